"""Several measurements in one picture: which of the files is the most accurate for what it saves."""

from __future__ import annotations

from collections.abc import Sequence

from nfkit.pictures.charts import Axis, Chart, Mark, Role, Series
from nfkit.reports.accuracy_charts import SAVED, ends_of, rate_of
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.protection import Protection
from nfkit.reports.rendering import Readable

_ROLES: tuple[Role, ...] = ("protected", "milder", "other", "alone")
MOST = len(_ROLES)
"""Files that are drawn, as many as there are looks that can be told apart."""


def over_energy(records: Sequence[tuple[str, Readable]]) -> Chart | None:
    """Accuracy over the energy that is saved, one series a protected model, and one for all their bare bases.

    Args:
        records: Names and records; those that say nothing of energy are left out, and so are those after `MOST`.

    Returns:
        The chart; None where fewer than two protected models can be compared.
    """
    measured = [(name, found) for name, record in records if (found := _measured(record)) is not None]
    pairs = [(name, marks) for name, found in measured if (marks := _pair(found))]
    if len(pairs) < 2:
        return None
    bare = {(mark.x, mark.y): mark for _, found in measured for mark in _bare(found)}
    series = [Series("bases with errors", tuple(sorted(bare.values(), key=lambda m: m.x)), "base", joined=False)]
    series += [Series(name, marks, role) for (name, marks), role in zip(pairs, _ROLES, strict=False)]
    left = len(pairs) - MOST
    more = f" {left} further files are not drawn." if left > 0 else ""
    data = sorted({found.data.sha256 for _, found in measured})
    warning = "" if len(data) == 1 else " Not all were measured on the same samples."
    return Chart(
        "All files: accuracy over energy saved",
        f"Up and to the right is better. Bands: 95 % intervals over chips and images.{warning}{more}",
        Axis(SAVED, high=100.0), Axis("accuracy (%)", low=0.0, high=100.0), tuple(series),
    )  # fmt: skip


def _measured(record: Readable) -> Evaluation | None:
    found = record.evaluation if isinstance(record, Protection) else record
    return found if isinstance(found, Evaluation) else None


def _pair(record: Evaluation) -> tuple[Mark, ...]:
    marks = [
        Mark(100 * p.saving.by_accesses, 100 * p.protected.mean, *ends_of(p.protected.ci95), rate_of(p))
        for p in record.points
        if p.saving is not None and p.protected is not None
    ]
    return tuple(sorted(marks, key=lambda mark: mark.x))


def _bare(record: Evaluation) -> list[Mark]:
    return [
        Mark(100 * p.voltage.saving, 100 * p.base.mean, *ends_of(p.base.ci95), rate_of(p))
        for p in record.points
        if p.voltage is not None
    ]
