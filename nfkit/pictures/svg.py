"""A chart as SVG: laid out by hand, so that a page stays small and its colours follow the reader's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from xml.etree.ElementTree import Element, SubElement

from nfkit.pictures import elements
from nfkit.pictures.charts import Chart, Mark, Series
from nfkit.pictures.scale import Scale, fit
from nfkit.pictures.text import shown

WIDTH, HEIGHT = 400, 280
"""Extent of a chart: letters stay readable where it fills a phone's width, and half a desk's."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 16, 12, 44
_UPPER = 30  # more room at the top where the axis has second names
_LETTER, _GAP = 7, 8  # width of a letter at most, and least room between two names on the horizontal axis


def draw(chart: Chart, ident: str) -> str:
    """A chart as an SVG element.

    Args:
        chart: The chart; of what cannot be drawn, its table tells.
        ident: Identifier, of its own in the page.

    Returns:
        Markup for HTML; empty where there is nothing to draw.
    """
    drawn = [(series, marks) for series in chart.series if (marks := chart.drawn(series))]
    if not drawn:
        return ""
    x, y = _scales(chart, [mark for _, marks in drawn for mark in marks])
    drawing = elements.root(WIDTH, HEIGHT, chart.title, _description(chart, drawn), ident)
    _axes(drawing, chart, x, y)
    for line in chart.lines:
        if line.drawable:
            elements.stroke(drawing, [(x.begin, y(line.y)), (x.end, y(line.y))], line.role, 1.5)
    for series, marks in drawn:
        if not series.faint:
            _intervals(drawing, series, marks, x, y)
    for series, marks in drawn:
        _marks(drawing, series, marks, x, y)
    return elements.markup(drawing)


def _scales(chart: Chart, marks: Sequence[Mark]) -> tuple[Scale, Scale]:
    top = _TOP + (_UPPER if chart.x.upper else 0)
    heights = [*chain(*(mark.interval or (mark.y,) for mark in marks)), *(m.y for m in marks)]
    heights += [line.y for line in chart.lines if line.drawable]
    return (
        fit(chart.x, [mark.x for mark in marks], _LEFT, WIDTH - _RIGHT),
        fit(chart.y, heights, HEIGHT - _BOTTOM, top),
    )


def _axes(drawing: Element, chart: Chart, x: Scale, y: Scale) -> None:
    for tick in y.ticks(5):
        elements.line(drawing, x.begin, y(tick), x.end, y(tick))
        elements.write(drawing, x.begin - 6, y(tick) + 4, f"{tick:g}", "end")
    for tick, name, place in _apart(x, [(tick, f"{tick:g}") for tick in x.ticks(6)]):
        elements.line(drawing, x(tick), y.begin, x(tick), y.begin + 4)
        elements.write(drawing, place, y.begin + 17, name)
    elements.line(drawing, x.begin, y.begin, x.end, y.begin, stroke_opacity=".6")
    elements.write(drawing, (x.begin + x.end) / 2, HEIGHT - 8, chart.x.title)
    middle = (y.begin + y.end) / 2
    title = elements.write(drawing, 11, middle, chart.y.title)
    title.set("transform", f"rotate(-90 11 {middle:.0f})")
    if not chart.x.upper:
        return
    elements.write(drawing, (x.begin + x.end) / 2, 11, chart.x.upper_title)
    for value, name, place in _apart(x, [(v, name) for v, name in chart.x.upper if x.low <= v <= x.high]):
        elements.line(drawing, x(value), y.end - 4, x(value), y.begin, stroke_dasharray="1 3")
        elements.write(drawing, place, y.end - 8, name)


def _apart(x: Scale, named: Sequence[tuple[float, str]]) -> list[tuple[float, str, float]]:
    """The values whose names do not run into each other, from the left, and the middle of each name."""
    kept: list[tuple[float, str, float]] = []
    free = 0.0
    for value, name in sorted(named):
        half = _LETTER * len(name) / 2
        place = min(x(value), WIDTH - half)  # a name at the end stays within the drawing
        if place - half >= free:
            kept.append((value, name, place))
            free = place + half + _GAP
    return kept


def _intervals(drawing: Element, series: Series, marks: Sequence[Mark], x: Scale, y: Scale) -> None:
    ends = [(mark.x, mark.interval) for mark in marks if mark.interval is not None]
    if series.joined and len(ends) > 1:
        upper = [(x(at), y(high)) for at, (_, high) in ends]
        lower = [(x(at), y(low)) for at, (low, _) in reversed(ends)]
        elements.area(drawing, upper + lower, series.role)
        return
    for at, (low, high) in ends:
        elements.whisker(drawing, x(at), y(high), y(low), series.role)


def _marks(drawing: Element, series: Series, marks: Sequence[Mark], x: Scale, y: Scale) -> None:
    if series.joined and len(marks) > 1:
        elements.stroke(drawing, [(x(mark.x), y(mark.y)) for mark in marks], series.role)
    for mark in marks:
        element = elements.marker(drawing, x(mark.x), y(mark.y), series.role, 2 if series.faint else 4)
        if element is None:
            continue
        if series.faint:
            element.set("fill-opacity", ".55")
        else:
            SubElement(element, "title").text = shown(_said(series, mark))


def _said(series: Series, mark: Mark) -> str:
    said = f"{series.name}{', ' if mark.name else ''}{mark.name}: {mark.y:.4g} at {mark.x:.4g}"
    return said if mark.interval is None else f"{said} ({mark.interval[0]:.4g} to {mark.interval[1]:.4g})"


def _description(chart: Chart, drawn: Sequence[tuple[Series, Sequence[Mark]]]) -> str:
    """What can be seen: from where to where each series runs."""
    parts = [f"{chart.y.title} over {chart.x.title}."]
    for series, marks in drawn:
        first, last = min(marks, key=lambda m: m.x), max(marks, key=lambda m: m.x)
        ends = f"{first.y:.4g} at {first.x:.4g}"
        parts.append(f"{series.name}: {ends}" + (f", {last.y:.4g} at {last.x:.4g}." if len(marks) > 1 else "."))
    parts += [f"{line.name}: {line.y:.4g} throughout." for line in chart.lines if line.drawable]
    return " ".join(parts)
