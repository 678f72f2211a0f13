"""What a measurement says in a sentence where it was not asked for a verdict, as that of a bare base."""

from __future__ import annotations

from nfkit.reports.evaluation import Evaluation


def measured_sentence(record: Evaluation) -> str:
    """Accuracies at the highest bit error rate, and without errors; no recommendation."""
    point = max(record.points, key=lambda point: point.ber)
    told = f"at a bit error rate of {100 * point.ber:.4g} % {record.data.measure} is {point.base.with_interval()}"
    clean = f"{100 * record.clean_base:.1f} % without errors"
    if point.protected is None:
        return f"{told}; {clean}"
    return f"{told} with the base alone and {point.protected.with_interval()} with the generator; the base has {clean}"
