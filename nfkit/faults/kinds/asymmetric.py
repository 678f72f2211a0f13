"""Cells that lose one value more often than the other."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy.typing as npt

from nfkit.faults.kinds.base import MAX_RATE, FaultKind, Population
from nfkit.faults.weakness import Cells


class Asymmetric(FaultKind):
    """Stored zeros turn into ones at one rate, stored ones into zeros at another."""

    name: ClassVar[str] = "asymmetric"
    sentence: ClassVar[str] = "turns 0 into 1 at the rate 2 p s and 1 into 0 at 2 p (1 - s), with s the set share"
    published: ClassVar[bool] = False
    function: ClassVar[str] = """
        DirectedFlip (weight, zero_to_one, one_to_zero) => (read) {
            zeros = BitwiseNot (weight)
            rising = BitwiseAnd (zeros, zero_to_one)
            falling = BitwiseAnd (weight, one_to_zero)
            flips = BitwiseOr (rising, falling)
            read = BitwiseXor (weight, flips)
        }"""

    def directed_rates(self, rate: float, set_share: float) -> tuple[float, float]:
        """See `FaultKind.directed_rates`."""
        # A share that came from two rates may round them up by a last bit.
        slack = MAX_RATE * (1 + 1e-12)
        rising, falling = 2 * rate * set_share, 2 * rate * (1 - set_share)
        return (
            min(rising, MAX_RATE) if rising <= slack else rising,
            min(falling, MAX_RATE) if falling <= slack else falling,
        )

    def draw(self, cells: Population, rate: float, set_share: float) -> tuple[Cells, Cells]:
        """See `FaultKind.draw`."""
        rising, falling = self.directed_rates(rate, set_share)
        faulty = cells.weakest(max(rising, falling))
        if rising == falling:
            return faulty, faulty
        # The cells of the lower rate are the weakest of those of the higher one.
        fewer = faulty[: len(cells.weakest(min(rising, falling)))]
        return (faulty, fewer) if rising > falling else (fewer, faulty)

    def operands(self, setting: npt.NDArray[Any], clearing: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """See `FaultKind.operands`."""
        return {"zero_to_one": setting, "one_to_zero": clearing}
