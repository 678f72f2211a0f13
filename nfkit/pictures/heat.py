"""A grid of numbers as shades: which class was taken for which, or what errors in which bit of which layer cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.etree.ElementTree import SubElement

from nfkit.pictures import elements
from nfkit.pictures.text import shown

MOST_CELLS = 30
"""Rows and columns that are drawn; the table has all."""

_WIDTH, _LEFT, _TOP, _FOOT = 400, 60, 6, 42
_NAMES = 165  # where rows are not the columns, as layers and bits, their names need room
_HIGHEST = 26  # of a row then
_WRITTEN = 12  # with more columns than this, cells are too small for numbers


@dataclass(frozen=True)
class Heat:
    """Numbers in a grid.

    Attributes:
        title: What they are.
        caption: How they are to be read, in sentences.
        across: What a column is.
        down: What a row is.
        names: Names of the rows, and of the columns where these have none of their own.
        values: Numbers, one row each; none is drawn for what is below 0 or NaN, which the table holds.
        columns_named: Names of the columns; those of the rows by default.
    """

    title: str
    caption: str
    across: str
    down: str
    names: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    columns_named: tuple[str, ...] = ()

    @property
    def over(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.columns_named or self.names

    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the table."""
        return (f"{self.down} \\ {self.across}", *self.over)

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """One row a row."""
        cells = [["" if math.isnan(v) else f"{v:.12g}" for v in row] for row in self.values]
        return tuple((name, *row) for name, row in zip(self.names, cells, strict=True))


def draw(heat: Heat, ident: str) -> str:
    """A grid as an SVG element; empty where nothing is above 0.

    Args:
        heat: The grid.
        ident: Identifier, of its own in the page.
    """
    rows, columns = min(len(heat.names), MOST_CELLS), min(len(heat.over), MOST_CELLS)
    most = max((value for row in heat.values for value in row if value > 0), default=0.0)
    if not most:
        return ""
    left, letters = (_NAMES, 22) if heat.columns_named else (_LEFT, 9)
    names = _apart(heat.names) if heat.columns_named else heat.names
    wide = (_WIDTH - left) / columns
    high = min(wide, _HIGHEST) if heat.columns_named else wide
    bottom = high * rows + _TOP
    rest = f" The first {rows} of {len(heat.names)} rows; the table has all." if rows < len(heat.names) else ""
    drawing = elements.root(
        _WIDTH, bottom + _FOOT, heat.title, f"Rows: {heat.down}; columns: {heat.across}.{rest}", ident
    )
    for i, row in enumerate(heat.values[:rows]):
        y = _TOP + i * high
        elements.write(drawing, left - 5, y + high / 2 + 4, shown(names[i], letters), "end")
        for j, value in enumerate(row[:columns]):
            if math.isnan(value):
                continue
            shade = 0.04 + 0.92 * max(value, 0.0) / most
            cell = elements.block(drawing, left + j * wide, y, wide - 1, high - 1, "heat", shade)
            SubElement(cell, "title").text = shown(
                f"{heat.down} {heat.names[i]}, {heat.across} {heat.over[j]}: {value:.12g}"
            )
            if columns <= _WRITTEN and value > 0:
                elements.write(drawing, left + (j + 0.5) * wide, y + high / 2 + 4, _brief(value))
    if columns <= _WRITTEN:
        for j, name in enumerate(heat.over[:columns]):
            elements.write(drawing, left + (j + 0.5) * wide, bottom + 14, shown(name, 5))
    elements.write(drawing, left + columns * wide / 2, bottom + _FOOT - 8, heat.across)
    if not heat.columns_named:  # long names fill the room, and say what they are
        middle = (_TOP + bottom) / 2
        elements.write(drawing, 11, middle, heat.down).set("transform", f"rotate(-90 11 {middle:.0f})")
    return elements.markup(drawing)


def _brief(value: float) -> str:
    """A number as a cell has room for it; the table has it whole."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{1 if value < 10 * size else 0}f}{letter}"
    return f"{value:g}"


def _apart(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names without the last parts that all of them share, as `.weight` is; the table has them whole."""
    parts = [name.split(".") for name in names]
    while len(parts) > 1 and min(map(len, parts)) > 1 and len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    return tuple(map(".".join, parts))
