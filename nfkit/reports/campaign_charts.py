"""What a campaign looks like: accuracy over voltage or bit error rate, one series for each thing that was varied."""

from __future__ import annotations

from nfkit.pictures.charts import Axis, Chart, Line, Mark, Role, Series
from nfkit.reports.campaign import Campaign, CellResult
from nfkit.reports.figures import Spread

_ROLES: tuple[Role, ...] = ("base", "protected", "milder", "alone", "other")
"""Looks of series; of more than these, the rest stands in the table alone."""

_VARIED = ("model", "data", "remedy", "kind_text", "layout", "storage")


def over_rates(record: Campaign) -> Chart | None:
    """Accuracy, or a metric, of each cell that was measured, joined where only the strength of the errors differs."""
    measured = [result for result in record.cells if _figure(result) is not None]
    if not measured:
        return None
    volts = all(result.cell.volts is not None for result in measured)
    varied = [name for name in _VARIED if len({getattr(result.cell, name) for result in measured}) > 1]
    groups: dict[str, list[CellResult]] = {}
    for result in measured:
        name = ", ".join(getattr(result.cell, part) for part in varied) or "base with errors"
        groups.setdefault(name, []).append(result)
    rates = sorted(result.cell.rate for result in measured if result.cell.rate > 0)
    wide = not volts and bool(rates) and rates[-1] / rates[0] > 20
    series = [
        Series(name, _marks(results, volts), role)
        for (name, results), role in zip(groups.items(), _ROLES, strict=False)
    ]
    left = len(groups) - len(series)
    more = f" {left} further series stand in the table of the record alone." if left else ""
    clean = sorted({result.clean for result in measured})
    percent = record.metric is None
    scale = 100 if percent else 1
    lines = (Line("without errors", scale * clean[0], "clean"),) if len(clean) == 1 else ()
    x = Axis("supply voltage over Vmin") if volts else Axis("bit error rate (%)", logarithmic=wide, low=0.0)
    name = "accuracy" if record.metric is None else record.metric.rpartition(":")[2]
    y = Axis("accuracy (%)", low=0.0, high=100.0) if percent else Axis(name)
    return Chart(
        f"{name[:1].upper()}{name[1:]} over {'supply voltage' if volts else 'bit error rate'}",
        f"Bands: 95 % intervals at whichever look a cell ended.{more}", x, y, tuple(series), lines,
    )  # fmt: skip


def _figure(result: CellResult) -> Spread | None:
    """What a cell came to: its accuracy, or its metric."""
    return result.value if result.accuracy is None else result.accuracy


def _marks(results: list[CellResult], volts: bool) -> tuple[Mark, ...]:
    marks = []
    for result in results:
        figure = _figure(result)
        if figure is None:
            continue
        scale = 1 if result.accuracy is None else 100
        x = result.cell.volts if volts and result.cell.volts is not None else 100 * result.cell.rate
        low, high = (scale * end for end in figure.ci95) if figure.ci95 else (None, None)
        name = f"bit error rate {100 * result.cell.rate:.3g} %, {result.chips} chips"
        marks.append(Mark(x, scale * figure.mean, low, high, name))
    return tuple(sorted(marks, key=lambda mark: mark.x))
