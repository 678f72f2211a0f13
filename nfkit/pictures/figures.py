"""A picture with its title, its caption, its legend and the table of its numbers, as HTML."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from html import escape

from nfkit.pictures import bars, cloud, heat, svg
from nfkit.pictures.bars import Bars
from nfkit.pictures.charts import Chart
from nfkit.pictures.cloud import KEY, Cloud
from nfkit.pictures.elements import swatch
from nfkit.pictures.heat import Heat
from nfkit.pictures.text import shown

Picture = Chart | Bars | Heat | Cloud

MOST_ROWS = 200
"""Rows of a table that a page holds; it says how many more there are."""


def draw(picture: Picture, ident: str) -> str:
    """A picture of any kind as an SVG element; empty where there is nothing to draw.

    Args:
        picture: The picture.
        ident: Identifier, of its own in the page.
    """
    if isinstance(picture, Chart):
        return svg.draw(picture, ident)
    if isinstance(picture, Bars):
        return bars.draw(picture, ident)
    return heat.draw(picture, ident) if isinstance(picture, Heat) else cloud.draw(picture, ident)


def figure(picture: Picture, ident: str) -> str:
    """A picture with everything that belongs to it, its table folded away beneath it.

    Args:
        picture: The picture.
        ident: Identifier, of its own in the page.
    """
    drawn = draw(picture, ident)
    title = f"<strong>{escape(shown(picture.title))}</strong>"
    caption = f"<figcaption>{title} {escape(shown(picture.caption, 1000))}</figcaption>"
    numbers = table(picture.columns(), picture.rows(), picture.title)
    folded = f"<details><summary>The numbers</summary>{numbers}</details>"
    kind = "nf nf-cloud" if isinstance(picture, Cloud) else "nf"  # clouds are compared, side by side
    return f'<figure class="{kind}">{caption}{drawn}{legend(picture)}{folded}</figure>'


def sketch(picture: Picture | None) -> str:
    """A picture and its legend, small enough for the middle of a notebook; empty where there is nothing to draw."""
    if picture is None:
        return ""
    # A notebook holds many: each has an identifier of its own, the same for the same picture.
    ident = f"nf{hashlib.sha256(repr(picture).encode()).hexdigest()[:10]}"
    drawn = draw(picture, ident)
    return f'<div style="max-width:420px">{drawn}{legend(picture)}</div>' if drawn else ""


def legend(picture: Picture) -> str:
    """The names of what is drawn, each with its sign; empty for a picture of one thing."""
    signs: list[tuple[str, str]] = []
    if isinstance(picture, Chart):
        for series in picture.series:
            if not series.faint:
                joined = series.joined and len(series.marks) > 1
                signs.append((series.name, swatch(series.role, "line" if joined else "marker")))
        signs += [(line.name, swatch(line.role, "dashes")) for line in picture.lines]
    elif isinstance(picture, Bars) and len(picture.parts) > 1:
        signs = [(name, swatch(role, "block")) for name, role in picture.parts]
    elif isinstance(picture, Cloud):
        signs = [(name, swatch(role, "block")) for name, role in KEY]
    if not signs:
        return ""
    entries = "".join(f"<li>{sign} {escape(shown(name))}</li>" for name, sign in signs)
    style = "list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.2em 1.2em"
    return f'<ul class="nf-legend" style="{style}">{entries}</ul>'


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], name: str) -> str:
    """A table as HTML, that a keyboard can scroll; of more than `MOST_ROWS` rows, the first and how many follow.

    Args:
        columns: Names of the columns.
        rows: One value a column in each.
        name: What the table is called.
    """
    head = "".join(f'<th scope="col">{escape(shown(column))}</th>' for column in columns)
    body = "".join(_row(row) for row in rows[:MOST_ROWS])
    more = len(rows) - MOST_ROWS
    rest = f"<p>{more:,} more rows are in the record.</p>" if more > 0 else ""
    return (
        f'<div class="nf-table" role="region" tabindex="0" aria-label="{escape(shown(name))}" style="overflow-x:auto">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{rest}"
    )


def _row(row: Sequence[object]) -> str:
    first, *others = (escape(shown(cell)) for cell in row)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'
