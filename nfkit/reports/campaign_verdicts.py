"""What a campaign says of each of its models, in a sentence: what does best where errors are hardest, and how well."""

from __future__ import annotations

from collections.abc import Sequence

from nfkit.reports.campaign import Campaign, Cell, CellResult
from nfkit.reports.figures import Spread

_GIVEN = {"kind_text": "kind", "layout": "layout"}
_DONE = ("remedy", "storage")


def verdicts_of(record: Campaign) -> tuple[tuple[str, str], ...]:
    """A model and what the measurements say of it, one sentence for each data set.

    It speaks of the strongest errors: of kinds and layouts, of the one under which the best remedy does worst; there of
    the best remedy and the worst, and of those whose intervals meet the best one's. Cells of a map of where errors hurt
    have no part in it, and neither have figures of a metric, of which nobody says whether more is better.
    """
    measured = [r for r in record.cells if r.accuracy is not None and r.cell.place is None]
    several = len({result.cell.data for result in measured}) > 1
    models: dict[tuple[str, str], list[CellResult]] = {}
    for result in measured:
        models.setdefault((result.cell.model, result.cell.data), []).append(result)
    return tuple(
        (model, f"on {data}, {_sentence(results)}" if several else _sentence(results))
        for (model, data), results in models.items()
    )


def _sentence(results: Sequence[CellResult]) -> str:
    strongest = max(result.cell.rate for result in results)
    at = [result for result in results if result.cell.rate == strongest]
    given = [name for name in _GIVEN if len({getattr(r.cell, name) for r in at}) > 1]
    groups: dict[str, list[CellResult]] = {}
    for result in at:
        groups.setdefault(_named(result.cell, given), []).append(result)
    hardest = min(groups, key=lambda name: max(_spread(result).mean for result in groups[name]))
    order = sorted(groups[hardest], key=lambda result: -_spread(result).mean)
    best = order[0]
    where = f"at {_strength(best.cell)}" + (f", with {hardest}, the hardest of {len(groups)}" if given else "")
    without = f"{100 * best.clean:.1f} % without errors"
    done = [name for name in _DONE if len({getattr(r.cell, name) for r in order}) > 1]
    if not done:
        return f"{where}, {_accuracy(best)} of the samples are answered rightly; {without}"
    names = {id(result): ", ".join(getattr(result.cell, name) for name in done) for result in order}
    alike = [names[id(other)] for other in order[1:] if _meet(_spread(best), _spread(other))]
    told = f"{where}, '{names[id(best)]}' is the most accurate: {_accuracy(best)}, and {without}"
    told += f"; '{names[id(order[-1])]}' is the least: {_accuracy(order[-1])}"
    if alike:
        meet = "the interval of {} meets" if len(alike) == 1 else "the intervals of {} meet"
        told += f"; {meet.format(', '.join(repr(name) for name in alike))} that of the first"
    return told


def _named(cell: Cell, parts: Sequence[str]) -> str:
    return ", ".join(f"{_GIVEN[part]} {getattr(cell, part)}" for part in parts)


def _strength(cell: Cell) -> str:
    rate = f"a bit error rate of {100 * cell.rate:.3g} %"
    return rate if cell.volts is None else f"{cell.volts:g} Vmin ({rate})"


def _spread(result: CellResult) -> Spread:
    assert result.accuracy is not None, "only what was measured is compared"
    return result.accuracy


def _accuracy(result: CellResult) -> str:
    return _spread(result).with_interval()


def _meet(one: Spread, other: Spread) -> bool:
    """Whether two intervals have a point in common; where one is not defined, nothing tells them apart."""
    if one.ci95 is None or other.ci95 is None:
        return True
    return one.ci95[0] <= other.ci95[1] and other.ci95[0] <= one.ci95[1]
