"""The fault map of the published NeuralFuse code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nfkit.errors import OptionError
from nfkit.faults.bit_errors import BitErrors
from nfkit.faults.kinds import KINDS
from nfkit.faults.layouts.array import Array
from nfkit.faults.layouts.base import AnyRate, Memory
from nfkit.faults.weakness import Cells


@dataclass(frozen=True)
class Reference(Array):
    """The published code's map: an array whose every row of 16 weights is repeated 16 times.

    The rule (Sun et al., NeuralFuse, NeurIPS 2024, published code): with NumPy's legacy generator seeded by `seed`,
    one uniform number a cell, row by row; the cell is faulty where it is below the rate. Seeded by `seed` + 1,
    again one number a cell: below one half the cell is stuck at 1, else at 0.
    """

    usage: ClassVar[tuple[str, ...]] = ("reference",)

    @classmethod
    def parse(cls, settings: str) -> Reference:
        """Reads the layout; there is nothing to set.

        Raises:
            ValueError: When something is.
        """
        if settings:
            raise ValueError(settings)
        return cls()

    def faulty(self, seed: int, memory: Memory, errors: BitErrors) -> tuple[Cells, Cells]:
        """See `Layout.faulty`."""
        if not seed < 2**32 - 1:
            raise OptionError(f"chip {seed}: the reference layout takes seeds below {2**32 - 1}")
        if not errors.fault_kind.published:
            known = " and ".join(repr(kind.name) for kind in KINDS.values() if kind.published)
            raise OptionError(f"the reference layout knows the kinds {known}: use 'iid' or 'array' here")
        return self._map(_Published(seed, self.rows * self.columns), memory, errors, 16)

    def __str__(self) -> str:
        return "reference"


@dataclass(frozen=True)
class _Published(AnyRate):
    """The cells of the published code's array."""

    seed: int
    count: int

    def weakest(self, rate: float) -> Cells:
        return np.flatnonzero(_legacy_uniform(self.seed, self.count) < rate).astype(np.uint64)

    def prefer_one(self, cells: Cells, share: float) -> npt.NDArray[np.bool_]:
        ones: npt.NDArray[np.bool_] = _legacy_uniform(self.seed + 1, self.count)[cells.astype(np.int64)] < share
        return ones


def _legacy_uniform(seed: int, count: int) -> npt.NDArray[np.float64]:
    # The published maps are defined by this generator; NumPy has frozen its stream.
    return np.random.RandomState(seed).random_sample(count)
