"""Bars that lie: amounts by name, each perhaps in parts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.etree.ElementTree import SubElement

from nfkit.pictures import elements
from nfkit.pictures.charts import DRAWABLE, Role, number
from nfkit.pictures.text import shown

MOST_BARS = 40
"""Bars that are drawn; the table has all."""

_WIDTH, _ROW, _TOP, _LABEL = 400, 30, 4, 15


@dataclass(frozen=True)
class Bars:
    """Amounts by name.

    Attributes:
        title: What they are.
        caption: How they are to be read, in sentences.
        unit: What they are counted in.
        parts: What each bar is made of, by name, and its look.
        amounts: By name of a bar, one number a part, none below 0.
    """

    title: str
    caption: str
    unit: str
    parts: tuple[tuple[str, Role], ...]
    amounts: tuple[tuple[str, tuple[float, ...]], ...]

    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the table."""
        return ("what", *(f"{name} ({self.unit})" for name, _ in self.parts))

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """One row a bar."""
        return tuple((name, *(_amount(value) for value in values)) for name, values in self.amounts)


def draw(bars: Bars, ident: str) -> str:
    """Bars as an SVG element; empty where none can be drawn.

    Args:
        bars: The bars; a name stands above its bar, so that it may be long.
        ident: Identifier, of its own in the page.
    """
    known = [(name, values) for name, values in bars.amounts if all(map(_drawable, values))][:MOST_BARS]
    longest = max((sum(values) for _, values in known), default=0.0)
    if not longest:
        return ""
    height = _TOP + _ROW * len(known)
    left = len(bars.amounts) - len(known)
    more = f" The first {len(known)}; the table has {left} more." if left else ""
    said = "; ".join(f"{name}: {_amounts(bars, values)}" for name, values in known)
    drawing = elements.root(_WIDTH, height, bars.title, f"In {bars.unit}.{more} {said}", ident)
    for index, (name, values) in enumerate(known):
        top, x = _TOP + _ROW * index, 0.0
        elements.write(drawing, 0, top + 11, shown(name, 60), "start")
        written = [_amount(value) for value in values if value] or ["0"]  # a part that is 0 has no block either
        elements.write(drawing, _WIDTH, top + 11, " + ".join(written), "end")
        for (part, role), value in zip(bars.parts, values, strict=False):
            width = value / longest * _WIDTH
            rect = elements.block(drawing, x, top + _LABEL, width, _ROW - _LABEL - 5, role)
            SubElement(rect, "title").text = shown(f"{part}: {_amount(value)} {bars.unit}")
            x += width
    return elements.markup(drawing)


def _amounts(bars: Bars, values: tuple[float, ...]) -> str:
    return ", ".join(f"{name} {_amount(value)}" for (name, _), value in zip(bars.parts, values, strict=False))


def _amount(value: float) -> str:
    if not _drawable(value):
        return number(value)
    return f"{value:,.0f}" if value >= 100 or value == round(value) else number(value)


def _drawable(value: float) -> bool:
    return math.isfinite(value) and 0 <= value <= DRAWABLE
