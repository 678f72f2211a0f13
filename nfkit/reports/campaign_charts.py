"""What a campaign looks like: accuracy over voltage or bit error rate, one series for each thing that was varied."""

from __future__ import annotations

from nfkit.pictures.charts import Axis, Chart, Line, Mark, Role, Series
from nfkit.reports.campaign import Campaign, CellResult

_ROLES: tuple[Role, ...] = ("base", "protected", "milder", "alone", "other")
"""Looks of series; of more than these, the rest stands in the table alone."""

_VARIED = ("model", "data", "remedy", "kind_text", "layout", "storage")


def over_rates(record: Campaign) -> Chart | None:
    """Accuracy of each cell that was measured, joined where only the strength of the errors differs."""
    measured = [result for result in record.cells if result.accuracy is not None]
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
    lines = (Line("without errors", 100 * clean[0], "clean"),) if len(clean) == 1 else ()
    x = Axis("supply voltage over Vmin") if volts else Axis("bit error rate (%)", logarithmic=wide, low=0.0)
    return Chart(
        f"Accuracy over {'supply voltage' if volts else 'bit error rate'}",
        f"Bands: 95 % intervals at whichever look a cell ended.{more}",
        x, Axis("accuracy (%)", low=0.0, high=100.0), tuple(series), lines,
    )  # fmt: skip


def _marks(results: list[CellResult], volts: bool) -> tuple[Mark, ...]:
    marks = []
    for result in results:
        if result.accuracy is None:
            continue
        x = result.cell.volts if volts and result.cell.volts is not None else 100 * result.cell.rate
        low, high = (100 * end for end in result.accuracy.ci95) if result.accuracy.ci95 else (None, None)
        name = f"bit error rate {100 * result.cell.rate:.3g} %, {result.chips} chips"
        marks.append(Mark(x, 100 * result.accuracy.mean, low, high, name))
    return tuple(sorted(marks, key=lambda mark: mark.x))
