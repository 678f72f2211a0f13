"""What a measurement says in a sentence where it was not asked for a verdict, as that of a bare base."""

from __future__ import annotations

from nfkit.reports.evaluation import Evaluation
from nfkit.reports.figures import Spread


def measured_sentence(record: Evaluation) -> str:
    """Accuracies at the highest bit error rate, and without errors; no recommendation."""
    point = max(record.points, key=lambda point: point.ber)
    told = f"at a bit error rate of {100 * point.ber:.4g} % {record.data.measure} is {_said(point.base)}"
    clean = f"{100 * record.clean_base:.1f} % without errors"
    if point.protected is None:
        return f"{told}; {clean}"
    return f"{told} with the base alone and {_said(point.protected)} with the generator; the base has {clean}"


def _said(spread: Spread) -> str:
    interval = "" if spread.ci95 is None else f" ({spread.interval()})"
    return f"{100 * spread.mean:.1f} %{interval}"
