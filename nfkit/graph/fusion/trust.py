"""How far a fused file trusts its base and its own evidence: four numbers, and the formula that they go into.

    answer = log((1 - e) softmax(t s) + e / C) + b log softmax(z / T)

s are the base's scores in log form, z the generator's evidence, C the number of classes. The first term is what a base
says that is wrong about everything with probability e; the second is what the generator saw. Given the class, the two
err independently, so their logarithms add up (b = 1); b other than 1 says how far that holds.

b = 0 is the base alone, e = 1 the generator alone.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax, softmax

from nfkit.errors import OptionError

Scores = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Trust:
    """The numbers of the formula.

    Attributes:
        sharpness: t, a factor on the base's scores; above 0.
        doubt: e, the probability that a faulty base knows nothing, 0 to 1; 1 is the generator alone.
        weight: b, the weight of the evidence, from 0 on; 0 is the base alone.
        temperature: T, by which the evidence is divided so that its shares are true probabilities; above 0.

    Raises:
        OptionError: When a number is outside its range.
    """

    sharpness: float = 1.0
    doubt: float = 0.0
    weight: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        for name in ("sharpness", "temperature"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise OptionError(f"{name} {getattr(self, name)}: give a number above 0")
        if not 0 <= self.doubt <= 1:
            raise OptionError(f"doubt {self.doubt}: give a number from 0 (trust the base) to 1 (generator alone)")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise OptionError(f"weight of the evidence {self.weight}: give a number from 0 (base alone) on")

    def to_dict(self) -> dict[str, float]:
        """The numbers for a record."""
        return asdict(self)


BASE_ALONE = Trust(weight=0.0)


def combine(scores: Scores, evidence: Scores, trust: Trust) -> npt.NDArray[np.float64]:
    """The answer by the formula.

    Args:
        scores: s, [..., N, C], logarithms up to a summand a sample.
        evidence: z, [N, C] or what broadcasts to the shape of the scores.
        trust: t, e, b and T.

    Returns:
        Scores [..., N, C]; those of the base where the evidence weighs nothing.
    """
    s: npt.NDArray[np.float64] = np.asarray(scores, np.float64)
    z: npt.NDArray[np.float64] = np.asarray(evidence, np.float64)
    if trust.weight == 0:
        return s + np.zeros_like(z)
    return base_term(s, trust) + trust.weight * np.asarray(log_softmax(z / trust.temperature, axis=-1))


def base_term(scores: npt.NDArray[np.float64], trust: Trust) -> npt.NDArray[np.float64]:
    """log((1 - e) softmax(t s) + e / C); log softmax(t s) itself, without underflow, where nothing is doubted."""
    if trust.doubt == 0:
        result: npt.NDArray[np.float64] = log_softmax(trust.sharpness * scores, axis=-1)
        return result
    shares = softmax(trust.sharpness * scores, axis=-1)
    return np.asarray(np.log((1 - trust.doubt) * shares + trust.doubt / scores.shape[-1]))
