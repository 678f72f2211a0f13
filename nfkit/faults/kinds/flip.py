"""Cells that return the opposite of what was written."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy.typing as npt

from nfkit.errors import OptionError
from nfkit.faults.kinds.base import FaultKind, Population
from nfkit.faults.weakness import Cells


class Flip(FaultKind):
    """Every faulty cell returns the opposite of what was written."""

    name: ClassVar[str] = "flip"
    sentence: ClassVar[str] = "returns the opposite of what was written"
    function: ClassVar[str] = """
        BitFlip (weight, mask) => (read) {
            read = BitwiseXor (weight, mask)
        }"""

    def check(self, rate: float, set_share: float) -> None:
        """See `FaultKind.check`."""
        super().check(rate, set_share)
        if set_share != 0.5:
            raise OptionError("flips go both ways: leave the set share at 0.5, or use the kind 'asymmetric'")

    def directed_rates(self, rate: float, set_share: float) -> tuple[float, float]:
        """See `FaultKind.directed_rates`."""
        return rate, rate

    def draw(self, cells: Population, rate: float, set_share: float) -> tuple[Cells, Cells]:
        """See `FaultKind.draw`."""
        faulty = cells.weakest(rate)
        return faulty, faulty

    def operands(self, setting: npt.NDArray[Any], clearing: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """See `FaultKind.operands`."""
        return {"flip_mask": setting}
