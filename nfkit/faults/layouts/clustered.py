"""Errors that crowd in some blocks of a memory, as they do on measured chips.

The cells of a memory are cut into blocks, and each block has a weakness g of its own, gamma distributed with mean 1 and
shape k. Given g a cell has been hit by the time t with probability 1 - exp(-g t), independently of all others. Over
blocks that is faulty with probability

    p = 1 - (1 + t / k)^-k,    so that    t = k ((1 - p)^(-1 / k) - 1)

makes p the bit error rate: it holds on average over blocks and chips, and each memory of a chip has a rate of its own,
which is what clustering is. A lower rate is an earlier time, so its faulty cells are a subset. Counts of faults in
blocks of b cells that expect m = p b of them have a variance over mean of about 1 + m / k; `fit_shape` reads k from
that.

The default k of 0.08 follows counts of the data of an FPGA study (Salami et al., MICRO 2018): 890 block memories of
16,384 cells, m = 2.55 and a variance over mean of 34 at the lowest voltage. One step of voltage above it is 0.04.
Large k is `iid`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nfkit.errors import OptionError
from nfkit.faults.bit_errors import BitErrors
from nfkit.faults.layouts.base import AnyRate, Memory, draw
from nfkit.faults.weakness import Cells, prefers_one, unit_marks, weakest_cells

_LATEST = Decimal(4)
"""Time at which a cell of mean weakness has failed with 98 %."""


@dataclass(frozen=True)
class Clustered(AnyRate):
    """Every weight has cells of its own, and errors crowd in blocks of them.

    Attributes:
        block: Cells of a block, in the order of the memory; each memory starts with a block of its own.
        shape: k; the smaller, the more they crowd.

    Raises:
        OptionError: When there are no such blocks.
    """

    usage: ClassVar[tuple[str, ...]] = ("cluster", "cluster:BLOCK:SHAPE")

    block: int = 16_384
    shape: float = 0.08

    def __post_init__(self) -> None:
        if self.block < 1 or not 0 < self.shape <= 1e6:
            raise OptionError(
                f"clusters in blocks of {self.block} cells with a shape of {self.shape}: give a number of cells from 1 "
                "on and a shape above 0, such as cluster:16384:0.08"
            )

    @classmethod
    def parse(cls, settings: str) -> Clustered:
        """Reads BLOCK:SHAPE; the defaults where nothing is given.

        Raises:
            ValueError: When these are no two numbers.
        """
        if not settings:
            return cls()
        block, shape = settings.split(":")
        return cls(int(block), float(shape))

    def faulty(self, seed: int, memory: Memory, errors: BitErrors) -> tuple[Cells, Cells]:
        """See `Layout.faulty`."""
        return draw(_Blocks(seed, memory.name, memory.count * memory.bits, self), errors)

    def __str__(self) -> str:
        return f"cluster:{self.block}:{self.shape:g}"


@dataclass(frozen=True)
class _Blocks:
    """The cells of one memory."""

    seed: int
    name: str
    count: int
    layout: Clustered

    def weakest(self, rate: float) -> Cells:
        if not self.count or not rate:
            return np.empty(0, np.uint64)
        # Decimal's powers and exponentials are rounded alike everywhere; a C library's need not be.
        shape = Decimal(self.layout.shape)
        time = shape * ((1 - Decimal(rate)) ** (-1 / shape) - 1)
        if time > _LATEST:
            raise OptionError(
                f"{self.layout} cannot crowd errors at a bit error rate of {100 * rate:.3g} %: most would fall on "
                "blocks that have failed altogether; choose a lower rate or a larger shape"
            )
        edges = self._edges()
        # Points fall on cells of mean weakness; their place among them is stretched to the blocks' own weakness.
        places = self._points(time * Decimal(float(edges[-1] / self.count)))
        finer = places + unit_marks(self.seed, f"{self.name} within", len(places))
        at = finer * (edges[-1] / self.count)
        block = np.searchsorted(edges, at, side="right") - 1
        block = np.minimum(block, len(edges) - 2)
        size = self._sizes()[block]
        within = (at - edges[block]) / (edges[block + 1] - edges[block]) * size
        cell = block * self.layout.block + np.minimum(within.astype(np.int64), size - 1)
        found: Cells = cell.astype(np.uint64)
        return found

    def _points(self, time: Decimal) -> Cells:
        """Points until a time, as cells of mean weakness; weakest cells are drawn for one unit of time each."""
        units = []
        for unit in range(int(time) + 1):
            rate = 1 - (-min(time - unit, Decimal(1))).exp()
            units.append(weakest_cells(self.seed, f"{self.name} unit {unit}", self.count, float(rate)))
        return np.concatenate(units)

    def prefer_one(self, cells: Cells, share: float) -> npt.NDArray[np.bool_]:
        return prefers_one(self.seed, self.name, cells, share)

    def _sizes(self) -> npt.NDArray[np.int64]:
        """Cells of each block; the last may have fewer."""
        blocks = -(-self.count // self.layout.block)
        sizes = np.full(blocks, self.layout.block)
        sizes[-1] = self.count - (blocks - 1) * self.layout.block
        return sizes

    def _edges(self) -> npt.NDArray[np.float64]:
        """Where blocks end on a line on which each is as long as it is weak."""
        sizes = self._sizes()
        key = hashlib.sha256(f"{self.seed} {self.name} {self.layout}".encode()).digest()
        # NumPy has frozen this generator's stream. What another C library may round differently is rounded away.
        source = np.random.RandomState(np.frombuffer(key[:16], np.uint32))
        weakness = source.standard_gamma(self.layout.shape, len(sizes)) / self.layout.shape
        weakness = np.maximum(np.round(weakness * 2**24), 1) / 2**24
        return np.concatenate([[0.0], np.cumsum(weakness * sizes)])


def fit_shape(counts: npt.ArrayLike) -> float:
    """The shape k of blocks of equal size that have so many faults each, by the method of moments.

    Args:
        counts: Faults of each block; at least two blocks, and at least one fault.

    Returns:
        m / (v / m - 1) for the mean m and the variance v; infinity where errors crowd no more than by chance.

    Raises:
        OptionError: When there is nothing to fit.
    """
    faults = np.asarray(counts, np.float64)
    if faults.size < 2 or not faults.sum() > 0:
        raise OptionError("nothing to fit: give the faults of at least two blocks, of which one has some")
    mean = float(faults.mean())
    excess = float(faults.var(ddof=1)) / mean - 1
    return mean / excess if excess > 0 else float("inf")
