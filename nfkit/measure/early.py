"""Early answers, measured: from which probability on the evidence may answer alone, how often it does, what that saves.

An image that is answered early costs the reads of the generator; any other those of the base as well. So the energy of
a file with early answers is an expectation over images, as sure as the share of them that was measured.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from scipy.special import log_softmax
from scipy.stats import binomtest

from nfkit.errors import DataError
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.trust import Trust, combine

NEVER = 2.0
"""A threshold that no probability reaches."""


@dataclass(frozen=True)
class EarlyShare:
    """How many images are answered early, with the 95 % interval by Wilson.

    Attributes:
        threshold: Probability of the evidence from which on they are.
        share: Their share.
        low: Lower end of its interval.
        high: Upper end.
        samples: Images that it was measured on.
    """

    threshold: float
    share: float
    low: float
    high: float
    samples: int

    @classmethod
    def of(cls, threshold: float, sure: npt.NDArray[np.bool_]) -> EarlyShare:
        """The share of images that are sure, [N].

        Raises:
            DataError: When there are none.
        """
        if not len(sure):
            raise DataError("no images to measure early answers on")
        interval = binomtest(int(sure.sum()), len(sure)).proportion_ci(0.95, "wilson")
        return cls(threshold, float(sure.mean()), float(interval.low), float(interval.high), len(sure))

    def saving(self, energy: float, added: float, base: float) -> tuple[float, float, float]:
        """Expected share of the weight memory's energy that is saved, with the ends of its interval.

        1 - (1 - q) e - A_g / A, where the share q of images needs no base (at batch 1; a larger batch runs the base
        unless all of its images are sure).

        Args:
            energy: e, energy of the base's accesses at its voltage, over that at the nominal one.
            added: A_g, accesses of the generator, at the nominal voltage.
            base: A, accesses of the base.
        """
        expected, low, high = (1 - (1 - share) * energy - added / base for share in (self.share, self.low, self.high))
        return expected, low, high

    def to_dict(self) -> dict[str, Any]:
        """The share for a record."""
        return asdict(self)


def early_share(model: ir.Model, evidence: npt.NDArray[Any]) -> EarlyShare | None:
    """How many images a file answers early; None where its base always runs.

    Args:
        model: A fused model.
        evidence: z for the images, [N, C].
    """
    answer = read_answer(model)
    if answer is None or answer.threshold is None:
        return None
    return EarlyShare.of(answer.threshold, sureness(evidence, answer.trust) >= answer.threshold)


def sureness(evidence: npt.NDArray[Any], trust: Trust) -> npt.NDArray[np.float64]:
    """Largest probability that calibrated evidence gives a class, [N], of z [N, C]."""
    logs = log_softmax(np.asarray(evidence, np.float64) / trust.temperature, axis=1)
    return np.asarray(np.exp(logs.max(1)))


def choose_threshold(
    scores: npt.NDArray[Any],
    evidence: npt.NDArray[Any],
    y: npt.NDArray[np.int64],
    trust: Trust,
    tolerance: float,
) -> float:
    """The lowest threshold at which early answers cost no more accuracy than is tolerated.

    Images are answered early from the surest on; what each costs is known on the data at hand. So that chance does not
    choose, the loss plus its standard error has to stay within the tolerance.

    Args:
        scores: Log scores of the faulty bases, [chips, N, C].
        evidence: z, [N, C].
        y: Labels [N].
        trust: How answers of both are made.
        tolerance: Accuracy that may be lost against always running the base, a share.

    Returns:
        The threshold; `NEVER` where even the surest image costs more.
    """
    sure = sureness(evidence, trust)
    both = (combine(scores, evidence, trust).argmax(-1) == y).mean(0)  # [N], mean over chips
    alone = np.asarray(evidence).argmax(1) == y
    order = np.argsort(-sure, kind="stable")
    lost = (both - alone)[order]
    n = len(y)
    total, square = np.cumsum(lost) / n, np.cumsum(lost**2) / n
    error = np.sqrt(np.maximum(square - total**2, 0) / n)
    allowed = np.flatnonzero(total + error <= tolerance)
    return float(sure[order][allowed[-1]]) if len(allowed) else NEVER
