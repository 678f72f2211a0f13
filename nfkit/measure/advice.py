"""Whether a protected model is worth its base: the pair against what each half scores by itself.

A generator that has learned the classes may score more alone than in front of a faulty base. Such a pair protects
nothing: it is a small classifier with a large model behind it, and a user must be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nfkit.measure.evaluation import Evaluation

MARGIN = 0.03
"""By how much the pair has to beat both of its halves before it is recommended, as a share of the samples."""


@dataclass(frozen=True)
class Comparison:
    """Mean accuracies at one bit error rate.

    Attributes:
        ber: Bit error rate.
        base: The faulty base by itself.
        pair: The protected model.
        alone: The generator by itself, at nominal voltage.
    """

    ber: float
    base: float
    pair: float
    alone: float

    @property
    def gain(self) -> float:
        """By how much the pair beats the better of its halves."""
        return self.pair - max(self.base, self.alone)


@dataclass(frozen=True)
class Advice:
    """Where a protected model beats both of its halves.

    Attributes:
        comparisons: One entry a bit error rate, rising.
        source: What the generator's own accuracy is: that of its `evidence`, or of a linear `probe` on its bottleneck.
    """

    comparisons: tuple[Comparison, ...]
    source: str

    @property
    def recommended(self) -> tuple[float, ...]:
        """Bit error rates at which the pair beats both by at least `MARGIN`."""
        return tuple(c.ber for c in self.comparisons if c.gain >= MARGIN - 1e-9)  # 0.83 - 0.8 is below 0.03

    def sentence(self) -> str:
        """The recommendation."""
        alone = self.comparisons[0].alone
        by = "by a linear probe on its bottleneck" if self.source == "probe" else "by its own evidence"
        text = f"the generator alone, {by}, classifies {100 * alone:.1f} %"
        if self.recommended:
            best = max(self.comparisons, key=lambda c: c.gain)
            rates = _list(self.recommended)
            return (
                f"{text}: run the pair at bit error rates of {rates}, where it beats both the faulty base and the "
                f"generator by 3 points or more (most at {_percent(best.ber)}: {100 * best.pair:.1f} %)"
            )
        beaten = [c.ber for c in self.comparisons if c.alone >= max(c.base, c.pair)]
        unneeded = [c.ber for c in self.comparisons if c.base >= c.pair and c.base > c.alone]
        ahead = [c.ber for c in self.comparisons if c.gain > 0]
        reasons = []
        if beaten:
            reasons.append(f"at {_list(beaten)} the generator alone does as well or better, so the base adds nothing")
        if unneeded:
            reasons.append(f"at {_list(unneeded)} the faulty base does as well or better, so nothing needs protection")
        if ahead:
            reasons.append(f"at {_list(ahead)} it is ahead, but by less")
        return f"{text}: at none of the measured rates does the pair beat both by 3 points ({'; '.join(reasons)})"

    def to_dict(self) -> dict[str, Any]:
        """The advice for a record."""
        return {
            "generator_alone": self.comparisons[0].alone,
            "measured_by": self.source,
            "rates": [
                {"ber": c.ber, "base": c.base, "protected": c.pair, "gain_over_both": c.gain} for c in self.comparisons
            ],
            "recommended": list(self.recommended),
            "sentence": self.sentence(),
        }


def advise(evaluation: Evaluation, probed: float | None = None) -> Advice | None:
    """Compares a pair with its halves.

    Args:
        evaluation: Of a protected model.
        probed: Accuracy of a probe on the generator, for generators that yield no evidence of their own.

    Returns:
        The advice; None where nothing is known of the generator alone.
    """
    alone = evaluation.alone if evaluation.alone is not None else probed
    if alone is None or evaluation.clean_protected is None:
        return None
    comparisons = [
        Comparison(entry["ber"], entry["base"].mean, entry["protected"].mean, alone) for entry in evaluation.summary()
    ]
    source = "evidence" if evaluation.alone is not None else "probe"
    return Advice(tuple(sorted(comparisons, key=lambda c: c.ber)), source)


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _list(rates: list[float] | tuple[float, ...]) -> str:
    names = [_percent(rate) for rate in rates]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
