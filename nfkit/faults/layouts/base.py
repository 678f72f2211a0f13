"""What every layout says, and the cells that nfkit draws itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from nfkit.faults.bit_errors import BitErrors
from nfkit.faults.kinds import MAX_RATE, Population
from nfkit.faults.weakness import Cells, prefers_one, weakest_cells


class Memory(Protocol):
    """Bits to be stored: a weight site, or anything else with these three properties."""

    @property
    def name(self) -> str:
        """Unique name."""

    @property
    def count(self) -> int:
        """Number of codes."""

    @property
    def bits(self) -> int:
        """Bits of one code."""


class Layout(Protocol):
    """Finds the cells of a memory that err on a chip.

    Attributes:
        usage: What may be typed for it.
    """

    usage: ClassVar[tuple[str, ...]]

    @property
    def highest_rate(self) -> float:
        """The bit error rate up to which cells are known."""

    @classmethod
    def parse(cls, settings: str) -> Layout:
        """Reads what stands behind the name and a colon; the defaults where nothing does.

        Raises:
            ValueError: When it does not read.
        """

    def faulty(self, seed: int, memory: Memory, errors: BitErrors) -> tuple[Cells, Cells]:
        """Cells of the memory that set and that clear: numbered `code * bits + bit`, possibly repeated.

        No cell is stuck at both: for that kind no cell may be among both.
        """

    def __str__(self) -> str: ...


class AnyRate:
    """A layout whose cells are drawn, so that any rate can be had that a kind can have."""

    highest_rate: float = MAX_RATE


@dataclass(frozen=True)
class Drawn:
    """The cells of one physical memory, from nfkit's own stream.

    Attributes:
        seed: The chip.
        name: The memory.
        count: Its cells.
    """

    seed: int
    name: str
    count: int

    def weakest(self, rate: float) -> Cells:
        """See `nfkit.faults.kinds.Population.weakest`."""
        return weakest_cells(self.seed, self.name, self.count, rate)

    def prefer_one(self, cells: Cells, share: float) -> npt.NDArray[np.bool_]:
        """See `nfkit.faults.kinds.Population.prefer_one`."""
        return prefers_one(self.seed, self.name, cells, share)


def draw(cells: Population, errors: BitErrors) -> tuple[Cells, Cells]:
    """Cells of a physical memory that set and that clear."""
    return errors.fault_kind.draw(cells, errors.rate, errors.set_share)
