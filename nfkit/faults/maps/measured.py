"""A chip whose faulty cells were measured at several voltages."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nfkit.errors import DataError
from nfkit.faults.weakness import Cells, unit_marks


@dataclass(frozen=True)
class Step:
    """The faulty cells at one voltage.

    Attributes:
        volts: Supply voltage in V.
        ones: Cells that are read as 1, rising: `row * columns + column`, uint64.
        zeros: Cells that are read as 0.
    """

    volts: float
    ones: Cells
    zeros: Cells


class MeasuredChip:
    """Faulty cells of one memory at several voltages.

    A cell counts as faulty from the highest voltage on at which it was: measurements of one cell may come and go (up to
    2 % of the faults in public data do), a chip whose voltage is lowered step by step is nested. Between two voltages,
    the cells that fail at the lower one fail one after another, in an order drawn once for all.

    Args:
        name: What the chip is called in messages.
        rows: Rows of the memory.
        columns: Cells of a row, of which the first holds the least significant bit of the row's first code.
        steps: Measurements, in any order.

    Raises:
        DataError: When there are none, or one is not of such a memory.
    """

    def __init__(self, name: str, rows: int, columns: int, steps: Sequence[Step]) -> None:
        self.name, self.rows, self.columns = name, rows, columns
        self.steps = tuple(sorted(steps, key=lambda step: -step.volts))
        if not self.steps or rows < 1 or columns < 1:
            raise DataError(f"{name}: no measurements of a memory")
        for above, below in zip(self.steps, self.steps[1:], strict=False):
            if above.volts == below.volts:
                raise DataError(f"{name}: two maps at {above.volts:g} V; keep one of them")
        for step in self.steps:
            both = np.intersect1d(step.ones, step.zeros)
            if both.size:
                row, column = divmod(int(both[0]), columns)
                raise DataError(f"{name}: row {row}, column {column} is stuck at 0 and at 1 at {step.volts:g} V")

    @property
    def cells(self) -> int:
        """Cells of the memory."""
        return self.rows * self.columns

    @cached_property
    def digest(self) -> str:
        """What tells these measurements from others: 12 hexadecimal digits."""
        content = hashlib.sha256(f"{self.rows} {self.columns}".encode())
        for step in self.steps:
            content.update(f"{step.volts!r} {len(step.ones)} {len(step.zeros)}".encode())
            content.update(step.ones.astype("<u8").tobytes() + step.zeros.astype("<u8").tobytes())
        return content.hexdigest()[:12]

    @cached_property
    def order(self) -> Cells:
        """All cells that were ever faulty, the weakest first."""
        return self._history[0]

    def prefer_one(self, cells: Cells) -> npt.NDArray[np.bool_]:
        """Which of some faulty cells are read as 1."""
        return np.isin(cells, self._history[1])

    def rate_at(self, volts: float) -> float:
        """Bit error rate (faulty cells over all) at a voltage that was measured.

        Raises:
            DataError: When it was not.
        """
        if volts not in self._counts:
            known = ", ".join(f"{step.volts:g}" for step in self.steps)
            raise DataError(f"{self.name} was not measured at {volts:g} V, but at {known} V")
        return self._counts[volts] / self.cells

    def faults_per_block(self, volts: float, block: int) -> npt.NDArray[np.int64]:
        """How many cells of each block of so many are faulty at a voltage; a short block at the end is left out."""
        faulty = self.order[: round(self.rate_at(volts) * self.cells)] // np.uint64(block)
        counts = np.bincount(faulty.astype(np.int64), minlength=self.cells // block)
        return counts[: self.cells // block]

    @cached_property
    def _counts(self) -> dict[float, int]:
        """Faulty cells by voltage, those of higher ones included."""
        seen = np.empty(0, np.uint64)
        counts = {}
        for step in self.steps:
            seen = np.union1d(seen, np.union1d(step.ones, step.zeros))
            counts[step.volts] = len(seen)
        return counts

    @cached_property
    def _history(self) -> tuple[Cells, Cells]:
        """Faulty cells in the order in which they fail, and those of them that are read as 1."""
        seen, ones = np.empty(0, np.uint64), np.empty(0, np.uint64)
        parts = []
        for step in self.steps:
            new = np.setdiff1d(np.union1d(step.ones, step.zeros), seen)
            marks = unit_marks(0, f"{self.name} {step.volts!r}", len(new))
            parts.append(new[np.argsort(marks, kind="stable")])
            ones = np.union1d(ones, np.intersect1d(new, step.ones))
            seen = np.union1d(seen, new)
        return np.concatenate(parts), ones
