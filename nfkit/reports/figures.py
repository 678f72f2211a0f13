"""Figures that records hold: a share of the samples, and a figure over chips, each with its interval.

Which samples were right is kept as packed bits, eight to a byte, the first sample in the highest bit
(`numpy.packbits`); in a JSON file they stand as base64. They are what intervals and comparisons are made of, now or
later.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Interval = tuple[float, float]
"""Ends of a 95 % confidence interval."""


class Spread(msgspec.Struct, frozen=True, omit_defaults=True):
    """A figure over several chips; accuracies are shares of the samples.

    Attributes:
        mean: Arithmetic mean over chips.
        std: Sample standard deviation over chips (n - 1); None for a single chip.
        ci95: 95 % confidence interval of the mean over all chips and images alike; None where it is undefined.
        worst: The least figure of a chip.
        low: 10 % quantile over chips; None for a single chip.
    """

    mean: float
    std: float | None = None
    ci95: Interval | None = None
    worst: float | None = None
    low: float | None = None

    def percent(self, signed: bool = False) -> str:
        """`mean ± std` in percent (points, for a difference); the mean alone for a single chip."""
        mean = f"{100 * self.mean:{'+' if signed else ''}.1f}"
        return mean if self.std is None else f"{mean} ± {100 * self.std:.1f}"

    def interval(self) -> str:
        """The interval in percent; a dash where it is undefined."""
        return "–" if self.ci95 is None else f"{100 * self.ci95[0]:.1f} to {100 * self.ci95[1]:.1f}"

    def with_interval(self) -> str:
        """The mean in percent, with its interval behind it where it has one."""
        interval = "" if self.ci95 is None else f" ({self.interval()})"
        return f"{100 * self.mean:.1f} %{interval}"


class Share(msgspec.Struct, frozen=True, omit_defaults=True):
    """The share of the samples that a model without errors gets right.

    Attributes:
        accuracy: The share.
        ci95: Wilson's 95 % interval over images; None where the number of samples is not known.
        correct: Which samples were right, packed; None where that was not kept.
    """

    accuracy: float
    ci95: Interval | None = None
    correct: bytes | None = None


def pack(correct: npt.NDArray[np.bool_]) -> bytes:
    """Packs which samples were right, bool [N]."""
    return np.packbits(correct).tobytes()


def unpack(packed: bytes, count: int) -> npt.NDArray[np.bool_]:
    """Which of `count` samples were right, bool [N]; the inverse of `pack`."""
    bits: npt.NDArray[Any] = np.unpackbits(np.frombuffer(packed, np.uint8), count=count)
    return bits.astype(np.bool_)
