"""What a campaign says of each of its models, in a sentence: what does best where errors are hardest, and how well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from nfkit.reports.campaign import Campaign, Cell, CellResult
from nfkit.reports.figures import Spread

_GIVEN = {"kind_text": "kind", "layout": "layout"}
_DONE = ("remedy", "storage")


def verdicts_of(record: Campaign) -> tuple[tuple[str, str], ...]:
    """A model and what the measurements say of it, one sentence for each data set.

    It speaks of the strongest errors: of kinds and layouts, of the one under which the best remedy does worst; there of
    the best remedy and the worst, and of those whose intervals meet the best one's. Of a metric, of which nobody says
    whether more is better, the best is what changes it least. Cells of a map of where errors hurt have no part in it.
    """
    measured = [r for r in record.cells if (r.accuracy or r.change) is not None and r.cell.place is None]
    several = len({result.cell.data for result in measured}) > 1
    models: dict[tuple[str, str], list[CellResult]] = {}
    for result in measured:
        models.setdefault((result.cell.model, result.cell.data), []).append(result)
    told = _answers if record.metric is None else partial(_metric, record.metric)
    return tuple(
        (model, f"on {data}, {told(results)}" if several else told(results))
        for (model, data), results in models.items()
    )


def _answers(results: Sequence[CellResult]) -> str:
    """Of a campaign in which right answers were counted."""
    where, order = _hardest(results, lambda result: -_accuracy(result).mean)
    best, least = order[0], order[-1]
    without = f"{100 * best.clean:.1f} % without errors"
    names = _names(order)
    if not names:
        right = _accuracy(best).with_interval()
        return f"{where}, {right} of the samples are answered rightly; {without}"
    told = f"{where}, '{names[0]}' is the most accurate: {_accuracy(best).with_interval()}, and {without}"
    told += f"; '{names[-1]}' is the least: {_accuracy(least).with_interval()}"
    return told + _alike(names, [_accuracy(result) for result in order])


def _metric(name: str, results: Sequence[CellResult]) -> str:
    """Of a campaign over a metric of the user's own."""
    where, order = _hardest(results, lambda result: abs(_change(result).mean))
    names, least, most = _names(order), _changed(order[0]), _changed(order[-1])
    clean = f"from {order[0].clean:.4g} without errors"
    if not names:
        return f"{where}, errors change {name} {clean} {least}"
    told = f"{where}, errors change {name} least with '{names[0]}', {clean} {least}; most with '{names[-1]}', {most}"
    return told + _alike(names, [_change(result) for result in order])


def _hardest(results: Sequence[CellResult], harm: Callable[[CellResult], float]) -> tuple[str, list[CellResult]]:
    """Where errors are hardest, in words, and what was measured there, the least harmed first."""
    strongest = max(result.cell.rate for result in results)
    at = [result for result in results if result.cell.rate == strongest]
    given = [name for name in _GIVEN if len({getattr(r.cell, name) for r in at}) > 1]
    groups: dict[str, list[CellResult]] = {}
    for result in at:
        groups.setdefault(_named(result.cell, given), []).append(result)
    hardest = max(groups, key=lambda name: min(harm(result) for result in groups[name]))
    order = sorted(groups[hardest], key=harm)
    where = f"at {_strength(order[0].cell)}" + (f", with {hardest}, the hardest of {len(groups)}" if given else "")
    return where, order


def _names(order: Sequence[CellResult]) -> list[str]:
    """What is done in each cell, by whatever differs; nothing where nothing does."""
    done = [name for name in _DONE if len({getattr(result.cell, name) for result in order}) > 1]
    return [", ".join(getattr(result.cell, name) for name in done) for result in order] if done else []


def _alike(names: Sequence[str], figures: Sequence[Spread]) -> str:
    """Which cannot be told from the first."""
    alike = [name for name, figure in zip(names[1:], figures[1:], strict=True) if _meet(figures[0], figure)]
    meet = "the interval of {} meets" if len(alike) == 1 else "the intervals of {} meet"
    return f"; {meet.format(', '.join(map(repr, alike)))} that of the first" if alike else ""


def _named(cell: Cell, parts: Sequence[str]) -> str:
    return ", ".join(f"{_GIVEN[part]} {getattr(cell, part)}" for part in parts)


def _strength(cell: Cell) -> str:
    rate = f"a bit error rate of {100 * cell.rate:.3g} %"
    return rate if cell.volts is None else f"{cell.volts:g} Vmin ({rate})"


def _accuracy(result: CellResult) -> Spread:
    assert result.accuracy is not None, "only what was measured is compared"
    return result.accuracy


def _change(result: CellResult) -> Spread:
    assert result.change is not None, "only what was measured is compared"
    return result.change


def _changed(result: CellResult) -> str:
    change = _change(result)
    ends = "" if change.ci95 is None else f" ({change.ci95[0]:+.3g} to {change.ci95[1]:+.3g})"
    return f"by {change.mean:+.3g}{ends}"


def _meet(one: Spread, other: Spread) -> bool:
    """Whether two intervals have a point in common; where one is not defined, nothing tells them apart."""
    if one.ci95 is None or other.ci95 is None:
        return True
    return one.ci95[0] <= other.ci95[1] and other.ci95[0] <= one.ci95[1]
