"""A chart as text, for where no browser is at hand; drawn by plotext."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from nfkit.errors import OptionError
from nfkit.pictures.charts import Chart, Mark, Role
from nfkit.pictures.scale import fit
from nfkit.pictures.styles import STYLES, Marker
from nfkit.pictures.text import shown

HEIGHT = 16
"""Lines of the plot with its axes."""

_SIGNS: dict[Marker, str] = {"circle": "●", "square": "■", "triangle": "▲", "diamond": "◆", "cross": "×", "none": "·"}
_PATH, _LEVEL = "·", "┈"
_PAINT = re.compile(r"\x1b\[[0-9;]*m")


def available() -> bool:
    """Whether plotext is installed, in a version that is known here."""
    if find_spec("plotext") is None:
        return False
    import plotext

    return hasattr(plotext, "figure")


def draw(chart: Chart, width: int, *, colour: bool) -> str:
    """A chart as lines of text, with a legend beneath.

    Args:
        chart: The chart.
        width: Columns that it may take.
        colour: Whether to paint series in their colours; signs differ in any case.

    Returns:
        The lines; empty where there is nothing to draw.

    Raises:
        OptionError: When plotext is missing.
    """
    if not available():
        raise OptionError("a chart in a terminal needs plotext 6: pip install 'nfkit[plot]'")
    drawn = [(s, marks) for s in chart.series if not s.faint and (marks := chart.drawn(s))]
    if not drawn:
        return ""
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    plotext.terminal.limit(False, False)
    figure.plot_size(width, HEIGHT)
    figure.legend(False)
    place, ends = _axes(figure, chart, [mark for _, marks in drawn for mark in marks])

    def put(x: Sequence[float], y: Sequence[float], sign: str, role: Role, *, joined: bool) -> None:
        signal = figure.signal(list(x), list(y), marker=plotext.marker(sign, pixel=STYLES[role].terminal))
        signal.lines(joined)
        figure.draw(signal)

    for line in chart.lines:
        if line.drawable:
            put(ends, (line.y, line.y), _LEVEL, line.role, joined=True)
    for series, marks in drawn:
        x, y = [place(m.x) for m in marks], [m.y for m in marks]
        if series.joined and len(marks) > 1:
            put(x, y, _PATH, series.role, joined=True)
        put(x, y, _sign(series.role), series.role, joined=False)
    text = str(figure.build())
    figure.clear()
    plot = text if colour else _PAINT.sub("", text)
    return "\n".join(
        (shown(chart.title), *(line.rstrip() for line in plot.splitlines() if line.strip()), *_legend(chart, width))
    )


def _axes(figure: Any, chart: Chart, marks: list[Mark]) -> tuple[Callable[[float], float], tuple[float, float]]:
    """Sets the axes, and gives where a value of the horizontal one lies on it, and its ends."""
    heights = [mark.y for mark in marks] + [line.y for line in chart.lines if line.drawable]
    across, upright = fit(chart.x, [mark.x for mark in marks], 0, 1), fit(chart.y, heights, 0, 1)
    place: Callable[[float], float] = math.log10 if chart.x.logarithmic else float
    for name, scale, most, at in (("x", across, 6, place), ("y", upright, 4, float)):
        ruler = figure.ruler(name)
        ruler.lim(at(scale.low), at(scale.high))
        ticks = scale.ticks(most)
        ruler.ticks([at(tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    figure.label(shown(chart.x.title))
    figure.label(shown(chart.y.title), axis="y")
    return place, (place(across.low), place(across.high))


def _legend(chart: Chart, width: int) -> list[str]:
    """Signs and names, as many a line as fit."""
    entries = [f"{_sign(s.role)} {shown(s.name, width - 4)}" for s in chart.series if not s.faint and chart.drawn(s)]
    entries += [f"{_LEVEL} {shown(line.name, width - 16)} {line.y:.1f}" for line in chart.lines if line.drawable]
    lines = [""]
    for entry in entries:
        if lines[-1] and len(lines[-1]) + 3 + len(entry) > width:
            lines.append("")
        lines[-1] += f"{'   ' if lines[-1] else ''}{entry}"
    return lines


def _sign(role: Role) -> str:
    return _SIGNS[STYLES[role].marker]
