"""Mean, spread and interval of a figure over chips."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist, fmean, stdev
from typing import Any

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Spread:
    """A figure over several chips.

    Attributes:
        mean: Arithmetic mean.
        std: Sample standard deviation (n - 1); 0 for a single chip.
        ci95: 95 % confidence interval of the mean over chips (Student's t).
    """

    mean: float
    std: float
    ci95: tuple[float, float]

    @classmethod
    def of(cls, values: list[float], least: float = -math.inf, most: float = math.inf) -> Spread:
        """The spread of at least one value; the interval ends at the least and the most that a value can be."""
        mean, n = fmean(values), len(values)
        if n == 1:
            return cls(mean, 0.0, (mean, mean))
        std = stdev(values)
        reach = t975(n - 1) * std / n**0.5
        return cls(mean, std, (max(least, mean - reach), min(most, mean + reach)))

    def to_dict(self) -> dict[str, Any]:
        """The spread for a record."""
        return asdict(self) | {"ci95": list(self.ci95)}

    def percent(self, signed: bool = False) -> str:
        """`mean ± std` in percent (points, for a difference)."""
        return f"{100 * self.mean:{'+' if signed else ''}.1f} ± {100 * self.std:.1f}"


_T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


def t975(degrees: int) -> float:
    """97.5 % quantile of Student's t distribution, to 0.002.

    Tabulated up to 10 degrees of freedom, from there by the Cornish-Fisher expansion around the normal quantile
    (Abramowitz and Stegun 26.7.5).
    """
    if degrees <= len(_T975):
        return _T975[degrees - 1]
    z, n = _Z, degrees
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )
