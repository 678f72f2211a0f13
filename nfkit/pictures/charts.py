"""What a chart shows, as data: one type, however it is drawn.

Numbers stand as a reader sees them, percents as percents. A number that is none, or beyond `DRAWABLE`, is left out of
the drawing and stands in the table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Role = Literal["protected", "base", "clean", "alone", "milder", "other", "heat"]
"""What a series is, which decides colour, marker and dash in every picture alike; `heat` is the shade of grids."""

DRAWABLE = 1e9
"""Largest magnitude that is drawn."""

MOST_MARKS = 600
"""Marks of one series that are drawn; of more, evenly spaced ones."""


@dataclass(frozen=True)
class Mark:
    """One measured figure.

    Attributes:
        x: Where it stands.
        y: The figure.
        low: Lower end of its interval; None where there is none.
        high: The upper end.
        name: What it is, for those who point at it and for the table.
    """

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    name: str = ""

    @property
    def drawable(self) -> bool:
        """Whether both coordinates are numbers of a magnitude that can be drawn."""
        return all(math.isfinite(v) and abs(v) <= DRAWABLE for v in (self.x, self.y))

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval, where it can be drawn."""
        if self.low is None or self.high is None or not all(map(_drawable, (self.low, self.high))):
            return None
        return self.low, self.high


@dataclass(frozen=True)
class Series:
    """Figures of one thing.

    Attributes:
        name: What the legend calls it.
        marks: Its figures, in the order in which they are joined.
        role: What it is.
        joined: Whether a line joins the marks; intervals are then a band, else whiskers.
        faint: Whether it is background, such as single chips.
    """

    name: str
    marks: tuple[Mark, ...]
    role: Role
    joined: bool = True
    faint: bool = False


@dataclass(frozen=True)
class Line:
    """A level that does not depend on x.

    Attributes:
        name: What the legend calls it.
        y: The level.
        role: What it is.
    """

    name: str
    y: float
    role: Role

    @property
    def drawable(self) -> bool:
        """Whether it can be drawn."""
        return _drawable(self.y)


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        title: What it measures, with its unit.
        logarithmic: Whether equal steps are equal factors; all values are then above 0.
        low: Least value that has a meaning; None where any has.
        high: Largest such value.
        upper: Second names of places on a horizontal axis, shown above the plot.
        upper_title: What those are.
    """

    title: str
    logarithmic: bool = False
    low: float | None = None
    high: float | None = None
    upper: tuple[tuple[float, str], ...] = ()
    upper_title: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart of figures over a number.

    Attributes:
        title: What it shows.
        caption: How it is to be read, in sentences.
        x: The horizontal axis.
        y: The vertical axis.
        series: What is drawn, the most important last, so that it lies on top.
        lines: Levels.
    """

    title: str
    caption: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    lines: tuple[Line, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is no mark to draw."""
        return not any(self.drawn(series) for series in self.series)

    def drawn(self, series: Series) -> tuple[Mark, ...]:
        """The marks of a series that can be drawn; of very many, evenly spaced ones."""
        marks = tuple(m for m in series.marks if m.drawable and not (self.x.logarithmic and m.x <= 0))
        step = math.ceil(len(marks) / MOST_MARKS)
        return marks[::step] if step > 1 else marks

    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the chart's table."""
        named = any(mark.name for series in self.series for mark in series.marks)
        return ("what", *(("which",) if named else ()), self.x.title, self.y.title, "95 % interval")

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """All figures of the chart, one row each, levels last."""
        named = len(self.columns()) == 5
        marks = [
            (s.name, *((m.name,) if named else ()), number(m.x), number(m.y), _interval(m))
            for s in self.series
            for m in s.marks
        ]
        return (*marks, *((line.name, *(("",) if named else ()), "any", number(line.y), "–") for line in self.lines))


def number(value: float) -> str:
    """A number for a table; a dash where it is none."""
    return f"{value:.4g}" if math.isfinite(value) else "–"


def _interval(mark: Mark) -> str:
    return "–" if mark.low is None or mark.high is None else f"{number(mark.low)} to {number(mark.high)}"


def _drawable(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= DRAWABLE
