"""What a campaign looks like: accuracy over voltage or bit error rate, one series for each thing that was varied."""

from __future__ import annotations

from collections.abc import Sequence

from nfkit.pictures.charts import Axis, Chart, Line, Mark, Role, Series
from nfkit.reports.campaign import Campaign, CellResult
from nfkit.reports.figures import Spread

_ROLES: tuple[Role, ...] = ("base", "protected", "milder", "alone", "other")
"""Looks of series; of more than these, the rest stands in the table alone."""

_DONE = ("remedy", "storage")
"""What is done against errors, which a reader compares in one picture."""

_GIVEN = ("model", "data", "kind_text", "layout")
"""What is given; where there are more series than looks, each of it has a picture of its own."""

MOST_CHARTS = 12
"""Pictures of a campaign, at most; the table has all."""


def over_rates(record: Campaign) -> tuple[Chart, ...]:
    """Accuracy, or a metric, of each cell that was measured, joined where only the strength of the errors differs.

    One chart of all; of more series than there are looks, one for each model, data, kind and layout, in which a remedy
    looks as in all others.
    """
    measured = [result for result in record.cells if _figure(result) is not None and result.cell.place is None]
    varied = [name for name in (*_GIVEN, *_DONE) if len({getattr(result.cell, name) for result in measured}) > 1]
    if not measured:
        return ()
    if len({_named(result, varied) for result in measured}) <= len(_ROLES):
        return (_chart(record, measured, measured, varied),)
    charts: dict[str, list[CellResult]] = {}
    for result in measured:
        charts.setdefault(_named(result, [name for name in varied if name in _GIVEN]), []).append(result)
    done = [name for name in varied if name in _DONE]
    left = len(charts) - MOST_CHARTS
    rest = f" One of {len(charts)} such pictures; the table of the record has {left} more." if left > 0 else ""
    return tuple(
        _chart(record, measured, results, done, name, rest) for name, results in list(charts.items())[:MOST_CHARTS]
    )


def _named(result: CellResult, parts: Sequence[str]) -> str:
    return ", ".join(getattr(result.cell, part) for part in parts)


def _chart(
    record: Campaign,
    measured: Sequence[CellResult],
    drawn: Sequence[CellResult],
    told_apart: Sequence[str],
    given: str = "",
    rest: str = "",
) -> Chart:
    """A chart of some cells, with a series for each way in which they differ; kinds of axes are those of all."""
    volts = all(result.cell.volts is not None for result in measured)
    roles = dict(zip(dict.fromkeys(_named(result, told_apart) for result in measured), _ROLES, strict=False))
    groups: dict[str, list[CellResult]] = {}
    for result in drawn:
        groups.setdefault(_named(result, told_apart), []).append(result)
    rates = sorted(result.cell.rate for result in measured if result.cell.rate > 0)
    wide = not volts and bool(rates) and rates[-1] / rates[0] > 20
    series = [
        Series(name or "base with errors", _marks(results, volts), roles[name])
        for name, results in groups.items()
        if name in roles
    ]
    left = len(groups) - len(series)
    more = f" {left} further series stand in the table of the record alone." if left else ""
    clean = sorted({result.clean for result in drawn})
    percent = record.metric is None
    scale = 100 if percent else 1
    lines = (Line("without errors", scale * clean[0], "clean"),) if len(clean) == 1 else ()
    x = Axis("supply voltage over Vmin") if volts else Axis("bit error rate (%)", logarithmic=wide, low=0.0)
    name = "accuracy" if record.metric is None else record.metric.rpartition(":")[2]
    y = Axis("accuracy (%)", low=0.0, high=100.0) if percent else Axis(name)
    title = f"{name[:1].upper()}{name[1:]} over {'supply voltage' if volts else 'bit error rate'}"
    return Chart(
        f"{title}: {given}" if given else title,
        f"Bands: 95 % intervals at whichever look a cell ended.{more}{rest}", x, y, tuple(series), lines,
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
