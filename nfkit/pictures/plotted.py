"""A chart by matplotlib, for who goes on with it there: in a notebook, or towards a paper."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from nfkit.errors import OptionError
from nfkit.pictures.charts import Chart, Role
from nfkit.pictures.looks import LOOKS, Marker

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
            axes.axhline(line.y, label=line.name, linewidth=1.2, **_style(line.role))
    for series in chart.series:
        marks = chart.drawn(series)
        x, y = [mark.x for mark in marks], [mark.y for mark in marks]
        look = LOOKS[series.role]
        if series.faint:
            axes.plot(x, y, marker=_MARKERS[look.marker], linestyle="", markersize=2.5, alpha=0.5, color=look.light)
            continue
        style = _style(series.role) if series.joined else {"color": look.light, "linestyle": ""}
        axes.plot(x, y, marker=_MARKERS[look.marker], label=series.name, **style)
        ends = [(mark.x, mark.interval) for mark in marks if mark.interval is not None]
        if series.joined and len(ends) > 1:
            low, high = ([interval[end] for _, interval in ends] for end in (0, 1))
            axes.fill_between([at for at, _ in ends], low, high, color=look.light, alpha=0.16, linewidth=0)
        else:
            for at, (low_end, high_end) in ends:
                axes.vlines(at, low_end, high_end, color=look.light, alpha=0.7)
    if chart.x.logarithmic:
        axes.set_xscale("log")
    axes.set_xlabel(chart.x.title)
    axes.set_ylabel(chart.y.title)
    axes.set_title(chart.title)
    axes.grid(alpha=0.2)
    axes.legend(fontsize=8)
    return axes


def _style(role: Role) -> dict[str, Any]:
    look = LOOKS[role]
    lengths = tuple(float(length) for length in look.dash.split())
    return {"color": look.light, "linestyle": (0, lengths) if lengths else "-"}
