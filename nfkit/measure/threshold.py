"""How sure the evidence has to be to answer alone: the least threshold that loses no more than is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from nfkit.graph.fusion.trust import Trust, combine

CANDIDATES = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)
"""Probabilities that are tried. Below a half another class may be as likely."""
_WORTH = 0.01  # share of samples below which a second path through a device is not worth having


@dataclass(frozen=True)
class Threshold:
    """A threshold for early answers, on the samples that it was chosen by.

    Attributes:
        threshold: Probability from which on the evidence answers alone.
        spared: Share of the samples that the base is not asked for.
        accuracy: Accuracy with early answers.
        always: Accuracy where the base is always asked.
    """

    threshold: float
    spared: float
    accuracy: float
    always: float

    def to_dict(self) -> dict[str, Any]:
        """The choice for a record."""
        return dict(vars(self))


def choose_threshold(
    scores: npt.NDArray[Any], evidence: npt.NDArray[Any], y: npt.NDArray[np.int64], trust: Trust, loss: float
) -> Threshold | None:
    """Chooses the least threshold that loses at most so much accuracy.

    Args:
        scores: s of each faulty base, [chips, N, C], in log form.
        evidence: z, [N, C].
        y: Labels [N].
        trust: How far both are trusted.
        loss: Share of the samples that may be lost, such as 0.01.

    Returns:
        The choice; None where no threshold spares the base a noticeable share of the samples.
    """
    answered = combine(scores, evidence, trust).argmax(-1) == y  # [chips, N]
    shares = log_softmax(np.asarray(evidence, np.float64) / trust.temperature, axis=1)
    alone, certainty = shares.argmax(1) == y, np.exp(shares.max(1))
    always = float(answered.mean())
    for candidate in CANDIDATES:
        sure = certainty >= candidate
        accuracy = float(np.where(sure, alone, answered).mean())
        if accuracy >= always - loss and sure.mean() >= _WORTH:
            return Threshold(candidate, float(sure.mean()), accuracy, always)
    return None
