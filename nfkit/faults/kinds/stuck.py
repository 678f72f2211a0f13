"""Cells that are stuck."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nfkit.faults.kinds.base import FaultKind, Population
from nfkit.faults.weakness import Cells


class Stuck(FaultKind):
    """A share of the cells holds 0 or 1 whatever is written; only those that hold the wrong value flip a bit."""

    name: ClassVar[str] = "stuck"
    sentence: ClassVar[str] = "holds 0 or 1 whatever is written"
    exclusive: ClassVar[bool] = True
    function: ClassVar[str] = """
        StuckAt (weight, and_mask, or_mask) => (read) {
            kept = BitwiseAnd (weight, and_mask)
            read = BitwiseOr (kept, or_mask)
        }"""

    def directed_rates(self, rate: float, set_share: float) -> tuple[float, float]:
        """See `FaultKind.directed_rates`."""
        return rate * set_share, rate * (1 - set_share)

    def draw(self, cells: Population, rate: float, set_share: float) -> tuple[Cells, Cells]:
        """See `FaultKind.draw`."""
        faulty = cells.weakest(rate)
        ones = cells.prefer_one(faulty, set_share)
        # Several times as fast as a boolean index.
        return faulty.take(np.flatnonzero(ones)), faulty.take(np.flatnonzero(~ones))

    def operands(self, setting: npt.NDArray[Any], clearing: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """See `FaultKind.operands`."""
        return {"and_mask": ~clearing, "or_mask": setting}
