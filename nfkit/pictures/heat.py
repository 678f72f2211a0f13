"""A grid of shares as shades: which class was taken for which."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import SubElement

from nfkit.pictures import elements
from nfkit.pictures.text import shown

MOST_CELLS = 30
"""Rows and columns that are drawn; the table has all."""

_WIDTH, _LEFT, _TOP, _FOOT = 400, 60, 6, 42
_WRITTEN = 12  # with more rows than this, cells are too small for numbers


@dataclass(frozen=True)
class Heat:
    """Numbers in a grid.

    Attributes:
        title: What they are.
        caption: How they are to be read, in sentences.
        across: What a column is.
        down: What a row is.
        names: Names of the rows, and of the columns.
        values: Numbers from 0 on, one row each.
    """

    title: str
    caption: str
    across: str
    down: str
    names: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]

    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the table."""
        return (f"{self.down} \\ {self.across}", *self.names)

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """One row a row."""
        return tuple((name, *(f"{v:g}" for v in row)) for name, row in zip(self.names, self.values, strict=True))


def draw(heat: Heat, ident: str) -> str:
    """A grid as an SVG element; empty where all is 0.

    Args:
        heat: The grid.
        ident: Identifier, of its own in the page.
    """
    count = min(len(heat.names), MOST_CELLS)
    most = max((value for row in heat.values for value in row), default=0.0)
    if not most:
        return ""
    size = (_WIDTH - _LEFT) / count
    side = size * count
    rest = f" The first {count} of {len(heat.names)}; the table has all." if count < len(heat.names) else ""
    drawing = elements.root(
        _WIDTH, side + _TOP + _FOOT, heat.title, f"Rows: {heat.down}; columns: {heat.across}.{rest}", ident
    )
    for i, row in enumerate(heat.values[:count]):
        y = _TOP + i * size
        elements.write(drawing, _LEFT - 5, y + size / 2 + 4, shown(heat.names[i], 9), "end")
        for j, value in enumerate(row[:count]):
            cell = elements.block(drawing, _LEFT + j * size, y, size - 1, size - 1, "heat", 0.04 + 0.92 * value / most)
            SubElement(cell, "title").text = shown(
                f"{heat.down} {heat.names[i]}, {heat.across} {heat.names[j]}: {value:g}"
            )
            if count <= _WRITTEN and value:
                elements.write(drawing, _LEFT + (j + 0.5) * size, y + size / 2 + 4, f"{value:g}")
    if count <= _WRITTEN:
        for j, name in enumerate(heat.names[:count]):
            elements.write(drawing, _LEFT + (j + 0.5) * size, side + _TOP + 14, shown(name, 5))
    elements.write(drawing, _LEFT + side / 2, side + _TOP + _FOOT - 8, heat.across)
    middle = _TOP + side / 2
    elements.write(drawing, 11, middle, heat.down).set("transform", f"rotate(-90 11 {middle:.0f})")
    return elements.markup(drawing)
