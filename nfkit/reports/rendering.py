"""A record as a person reads it: text, HTML in a notebook, or a data frame.

Every record says what it is in an `Overview`: sentences, then one table, then notes. The three forms are made of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import msgspec

from nfkit.errors import OptionError


@dataclass(frozen=True)
class Table:
    """Rows of values under names.

    Attributes:
        columns: Names of the columns.
        rows: One value a column in each row; texts as a person reads them.
        keys: How many of the first columns tell the rows apart: they stand in each part of a table that is too wide.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    keys: int = 1

    def __str__(self) -> str:
        if not self.columns:
            return ""
        lines = [self.columns, *(tuple(map(str, row)) for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        text = [lines[0], tuple("-" * width for width in widths), *lines[1:]]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in text
        )

    def to_pandas(self) -> Any:
        """The rows as a pandas DataFrame; the table itself where pandas is not installed."""
        if find_spec("pandas") is None:
            return self
        return import_module("pandas").DataFrame(list(self.rows), columns=list(self.columns))

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        body = "".join(f"<tr>{''.join(f'<td>{escape(str(v))}</td>' for v in row)}</tr>" for row in self.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True)
class Overview:
    """What a record says, in the order in which it is read.

    Attributes:
        first: The sentence that matters most; empty where there is none.
        title: What the numbers are.
        table: The numbers.
        notes: What else a reader needs.
    """

    first: str
    title: str
    table: Table
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [self.first, self.title, str(self.table), *self.notes]
        return "\n".join(part for part in parts if part)

    def _repr_html_(self, picture: str = "") -> str:
        first = f"<p><strong>{escape(self.first)}</strong></p>" if self.first else ""
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<div>{first}{picture}<p>{escape(self.title)}</p>{self.table._repr_html_()}{notes}</div>"


class Readable(msgspec.Struct, frozen=True):
    """A record that can be read by a person."""

    def overview(self) -> Overview:
        """What the record says, for text and HTML."""
        raise NotImplementedError

    def table(self) -> Table:
        """The measured numbers, unrounded, one row an entry."""
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """The measured numbers as a pandas DataFrame; as a `Table` where pandas is not installed."""
        return self.table().to_pandas()

    def plot(self, axes: Any = None) -> Any:
        """Draws the chart that says most of it by matplotlib.

        Args:
            axes: Axes to draw in; those of a new figure by default.

        Returns:
            The axes.

        Raises:
            OptionError: When there is nothing to draw, or matplotlib is missing.
        """
        from nfkit.pictures.plotted import plot
        from nfkit.reports.seen import chart_of

        chart = chart_of(self)
        if chart is None:
            raise OptionError(f"a record of {type(self).__name__.lower()} has no chart: print it, or see its table()")
        return plot(chart, axes)

    def to_dict(self) -> dict[str, Any]:
        """The record in plain values, as its JSON file holds it."""
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain

    def __str__(self) -> str:
        return str(self.overview())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.overview().first or self.overview().title}>"

    def _repr_html_(self) -> str:
        from nfkit.pictures.figures import sketch
        from nfkit.reports.seen import chart_of

        return self.overview()._repr_html_(sketch(chart_of(self)))
