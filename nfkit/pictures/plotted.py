"""A chart by matplotlib, for who goes on with it there: in a notebook, or towards a paper."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from nfkit.errors import OptionError
from nfkit.pictures.charts import Chart, Role
from nfkit.pictures.styles import STYLES, Marker

_MARKERS: dict[Marker, str] = {
    "circle": "o", "square": "s", "triangle": "^", "diamond": "D", "cross": "x", "none": "",
}  # fmt: skip


def plot(chart: Chart, axes: Any = None) -> Any:
    """Draws a chart.

    Args:
        chart: The chart; what is no number is left out.
        axes: Axes to draw in; those of a new figure by default.

    Returns:
        The axes.

    Raises:
        OptionError: When matplotlib is missing.
    """
    if find_spec("matplotlib") is None:
        raise OptionError("drawing needs matplotlib: pip install 'nfkit[plot]'")
    if axes is None:
        from matplotlib import pyplot as plt

        _, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for line in chart.lines:
        if line.drawable:
            axes.axhline(line.y, label=line.name, linewidth=1.2, **_line(line.role))
    for series in chart.series:
        marks = chart.drawn(series)
        x, y = [mark.x for mark in marks], [mark.y for mark in marks]
        style = STYLES[series.role]
        if series.faint:
            axes.plot(x, y, marker=_MARKERS[style.marker], linestyle="", markersize=2.5, alpha=0.5, color=style.light)
            continue
        drawn = _line(series.role) if series.joined else {"color": style.light, "linestyle": ""}
        axes.plot(x, y, marker=_MARKERS[style.marker], label=series.name, **drawn)
        ends = [(mark.x, mark.interval) for mark in marks if mark.interval is not None]
        if series.joined and len(ends) > 1:
            low, high = ([interval[end] for _, interval in ends] for end in (0, 1))
            axes.fill_between([at for at, _ in ends], low, high, color=style.light, alpha=0.16, linewidth=0)
        else:
            for at, (low_end, high_end) in ends:
                axes.vlines(at, low_end, high_end, color=style.light, alpha=0.7)
    if chart.x.logarithmic:
        axes.set_xscale("log")
    axes.set_xlabel(chart.x.title)
    axes.set_ylabel(chart.y.title)
    axes.set_title(chart.title)
    axes.grid(alpha=0.2)
    axes.legend(fontsize=8)
    return axes


def _line(role: Role) -> dict[str, Any]:
    style = STYLES[role]
    lengths = tuple(float(length) for length in style.dash.split())
    return {"color": style.light, "linestyle": (0, lengths) if lengths else "-"}
