"""Which cells of a memory fail first: the seeded stream behind every map that nfkit draws.

Each cell has a threshold, the bit error rate from which on it is faulty; thresholds of different cells are
independent, and a cell is faulty at rate p with probability p. So the faulty cells at a low rate are a subset of
those at a higher one, as on a chip whose voltage is lowered step by step.

The thresholds are never drawn one by one, since only the weakest cells matter. Let points fall on (cell, time) as
a Poisson process of intensity 1 per cell and unit time. The number of points on a cell up to time tau is Poisson
distributed, so the cell has been hit with probability 1 - exp(-tau), independently of all others: with
tau = -log(1 - p) the cells hit by then are exactly the independent faults of rate p. Hence

* one number N(tau) says how many points have fallen (`_points_until`), and
* the k-th point hits a uniformly drawn cell, whatever its time (`weakest_cells`),

and a map costs one random word per faulty cell. A cell may be hit twice; it is faulty all the same.

Everything is integer arithmetic on words of the counter-based generator Philox, or float64 arithmetic of single
IEEE operations, so the maps are bit-identical on every machine. Golden maps in the tests freeze the stream.
"""

from __future__ import annotations

import hashlib
import threading
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nfkit.parallel import blocks, each

Cells = npt.NDArray[np.uint64]

_SHELLS = 48
"""Time is cut into shells (2^-(j+1), 2^-j], j = 0 ... 47, and the rest (0, 2^-48]."""

BLOCK = 1 << 15
"""Words (a multiple of 4) or cells to work on at once: their intermediate results stay in the processor's cache."""

_POSITIONS, _COUNTS, _MARKS = 0, 1, 2
"""Sub-streams of a memory's Philox stream; marks of shell j are at `_MARKS` + j."""


class _Philox(threading.local):
    """A generator for each thread: setting its state is ten times as fast as making one."""

    def __init__(self) -> None:
        self.generator = np.random.Philox(0)


_philox = _Philox()


def _words(seed: int, name: str, stream: int, start: int, stop: int) -> npt.NDArray[np.uint64]:
    """The 64-bit words `start` (a multiple of 4) to `stop` of one sub-stream of the memory `name` on chip `seed`."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    # The sub-stream is the top word of Philox's 256-bit counter: 2^192 blocks of 4 words apart, they never meet.
    # As uint64 arrays: NumPy would turn a list that mixes numbers below and above 2^63 into floats.
    counter, keys = np.array([start // 4, 0, 0, stream], np.uint64), np.array([seed, key], np.uint64)
    _philox.generator.state = {
        "bit_generator": "Philox",
        "state": {"counter": counter, "key": keys},
        "buffer": np.zeros(4, np.uint64),
        "buffer_pos": 4,  # used up: the next word comes from the next block
        "has_uint32": 0,
        "uinteger": 0,
    }
    return _philox.generator.random_raw(stop - start).astype(np.uint64, copy=False)


@lru_cache(maxsize=1024)
def _poisson_table(mean: float) -> tuple[int, npt.NDArray[np.float64]]:
    """Smallest count of non-negligible probability, and the cumulative probabilities from there on.

    Built from ratios of neighbouring probabilities around the mode. cumprod and cumsum run strictly in order, so
    no machine rounds differently.
    """
    mode = int(mean)
    width = int(12 * mean**0.5) + 40
    below = np.arange(mode, max(mode - width, 0), -1, dtype=np.float64)
    above = np.arange(mode + 1, mode + width, dtype=np.float64)
    falling = np.cumprod(below / mean)[::-1] if mean else below
    weights = np.concatenate([falling, [1.0], np.cumprod(mean / above)])
    cumulative = np.cumsum(weights)
    return mode - len(below), cumulative / cumulative[-1]


def _poisson(mean: float, uniform: float) -> int:
    """Poisson count of the given mean by inversion of one uniform number."""
    first, cumulative = _poisson_table(mean)
    return first + int(cumulative.searchsorted(uniform, side="right"))


class _Shell(NamedTuple):
    """What is known of a shell whatever the chip.

    Attributes:
        number: Which shell.
        mean: Expected number of points.
        empty: Uniform number below which none fall: in most shells there are hardly ever any.
        part: Share of the shell before tau, in units of 2^-32; None where tau lies beyond it.
    """

    number: int
    mean: float
    empty: float
    part: int | None


def time_of(rate: float) -> float:
    """The time tau = -log(1 - rate) until which a cell has been hit with probability `rate`."""
    # Decimal's logarithm is correctly rounded everywhere; a C library's need not be.
    return float(-(1 - Decimal(rate)).ln())


@lru_cache(maxsize=1024)
def _shells(cells: int, rate: float) -> tuple[_Shell, ...]:
    """The shells that begin before tau, when a cell has been hit with probability `rate`."""
    tau = time_of(rate)
    shells = []
    for number in range(_SHELLS, -1, -1):  # from the weakest cells on
        low = 0.0 if number == _SHELLS else 2.0 ** -(number + 1)
        high = 2.0**-number
        if tau <= low:
            break
        mean = cells * (high - low)
        first, cumulative = _poisson_table(mean)
        part = None if tau >= high else int((tau - low) / (high - low) * 2**32)
        shells.append(_Shell(number, mean, 0.0 if first else float(cumulative[0]), part))
    return tuple(shells)


def _points_until(seed: int, name: str, cells: int, rate: float) -> int:
    """N(tau): how many points have fallen when a cell has been hit with probability `rate`."""
    words = _words(seed, name, _COUNTS, 0, _SHELLS + 1)
    uniforms = ((words >> np.uint64(11)) * 2.0**-53).tolist()
    total = 0
    for shell in _shells(cells, rate):
        if uniforms[shell.number] < shell.empty:
            continue
        count = _poisson(shell.mean, uniforms[shell.number])
        total += count if shell.part is None else _marks_below(seed, name, shell.number, count, shell.part)
    return total


def _marks_below(seed: int, name: str, shell: int, count: int, limit: int) -> int:
    """How many of a shell's `count` points fall in its first `limit` / 2^32.

    Inside a shell the points' times are independent and uniform; 32 bits of time are enough to order them.
    """

    def below(block: slice) -> int:
        marks = _words(seed, name, _MARKS + shell, block.start, block.stop).view(np.uint32)
        return int(np.count_nonzero(marks[: count - 2 * block.start] < limit))  # two to a word

    return sum(each(below, blocks((count + 1) // 2, BLOCK)))


def weakest_cells(seed: int, name: str, cells: int, rate: float) -> Cells:
    """Cells of a memory that are faulty at a bit error rate, weakest first; a cell may occur twice.

    Args:
        seed: The chip, 0 to 2^64 - 1.
        name: The memory: a weight site, or an array shared by several.
        cells: Number of bit cells in the memory, below 2^32.
        rate: Bit error rate, 0 to 0.5.

    Returns:
        Cell numbers, uint64. For two rates p < q the result at p is a prefix of that at q.
    """
    drawn = np.empty(_points_until(seed, name, cells, rate) if rate else 0, np.uint64)
    n, half = np.uint64(cells), np.uint64(32)

    def draw(block: slice) -> None:
        # floor(word * cells / 2^64) in two halves, so that no product leaves 64 bits.
        high = _words(seed, name, _POSITIONS, block.start, block.stop)
        low = high & np.uint64(0xFFFFFFFF)
        low *= n
        low >>= half
        high >>= half
        high *= n
        high += low
        np.right_shift(high, half, out=drawn[block])

    each(draw, blocks(len(drawn), BLOCK))
    return drawn


def prefers_one(seed: int, name: str, cells: Cells, share: float) -> npt.NDArray[np.bool_]:
    """Which of the given cells are stuck at 1 rather than at 0: a fixed property of the cell.

    Args:
        seed: The chip.
        name: The memory.
        cells: Cell numbers, uint64.
        share: Probability that a cell is stuck at 1.

    Returns:
        One boolean a cell, from a multiplicative hash (the finaliser of SplitMix64) of chip, memory and cell.
    """
    key = np.uint64(int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "little"))
    limit = int(share * 2**32) << 32  # where the share is 1, that is 2^64
    ones = np.empty(len(cells), np.bool_)

    def decide(block: slice) -> None:
        x = cells[block] + key
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        np.less(x, limit, out=ones[block])

    each(decide, blocks(len(cells), BLOCK))
    return ones


def unit_marks(seed: int, name: str, count: int) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1), independent and uniform: the first `count` of a stream of the memory's own."""
    marks = np.empty(count, np.float64)

    def draw(block: slice) -> None:
        words = _words(seed, name, _POSITIONS, block.start, block.stop)
        marks[block] = (words >> np.uint64(11)) * 2.0**-53

    each(draw, blocks(count, BLOCK))
    return marks
