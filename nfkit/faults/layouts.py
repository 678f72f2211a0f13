"""Which SRAM cell holds which bit of which weight.

A layout maps the cells of a weight site to faulty cells of a chip:

* `iid`: every weight has cells of its own; errors in different weights are independent.
* `array`: one SRAM array of rows x columns is filled again and again as weights stream through. Weight i of every
  site starts over at row 0, so a faulty cell hits many weights, and the same ones on every inference.
* `reference`: the map of the published NeuralFuse code: an array of 8192 x 128 cells drawn by NumPy's legacy
  generator, in which besides every row of 16 weights is repeated 16 times in a row. It reproduces the published
  collapse and its spread; it is a property of that code more than of SRAM.

Cells are numbered from the least significant bit of the first word on; `nfkit.faults.codes` says what a word holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nfkit.errors import OptionError
from nfkit.faults.bit_errors import BitErrors
from nfkit.faults.kinds import KINDS, Population
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
    """Finds the cells of a memory that err on a chip."""

    def faulty(self, seed: int, memory: Memory, errors: BitErrors) -> tuple[Cells, Cells]:
        """Cells of the memory that set and that clear: numbered `code * bits + bit`, possibly repeated.

        No cell is stuck at both: for that kind no cell may be among both.
        """

    def __str__(self) -> str: ...


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


def _draw(cells: Population, errors: BitErrors) -> tuple[Cells, Cells]:
    return errors.fault_kind.draw(cells, errors.rate, errors.set_share)


@dataclass(frozen=True)
class Iid:
    """Every weight has cells of its own."""

    def faulty(self, seed: int, memory: Memory, errors: BitErrors) -> tuple[Cells, Cells]:
        """See `Layout.faulty`."""
        return _draw(Drawn(seed, memory.name, memory.count * memory.bits), errors)

    def __str__(self) -> str:
        return "iid"


@dataclass(frozen=True)
class Array:
    """One array of rows x columns bit cells, reused by every site from row 0 on."""

    rows: int = 8192
    columns: int = 128

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1 or self.rows * self.columns >= 2**32:
            raise OptionError(f"SRAM array {self.rows}x{self.columns}: give two positive numbers, such as 8192x128")

    def faulty(self, seed: int, memory: Memory, errors: BitErrors) -> tuple[Cells, Cells]:
        """See `Layout.faulty`."""
        return self._map(Drawn(seed, str(self), self.rows * self.columns), memory, errors, 1)

    def _map(self, cells: Population, memory: Memory, errors: BitErrors, repeat: int) -> tuple[Cells, Cells]:
        setting, clearing = _draw(cells, errors)
        mapped = self._spread(setting, memory, repeat)
        return mapped, mapped if clearing is setting else self._spread(clearing, memory, repeat)

    def _spread(self, cells: Cells, memory: Memory, repeat: int) -> Cells:
        """Every cell of the memory that one of the array's cells holds at some time."""
        words = self.columns // memory.bits  # codes that fit a row; columns left over hold nothing
        if words == 0:
            raise OptionError(
                f"an SRAM row of {self.columns} cells cannot hold the {memory.bits}-bit codes of '{memory.name}'"
            )
        row, column = cells // np.uint64(self.columns), cells % np.uint64(self.columns)
        used = column < np.uint64(words * memory.bits)
        word, bit = column[used] // np.uint64(memory.bits), column[used] % np.uint64(memory.bits)
        first = row[used] * np.uint64(words * repeat) + word
        # Rows stream `repeat` times each, and the whole array again until the site is full.
        fills = -(-memory.count // (self.rows * words * repeat))
        steps = np.add.outer(
            np.arange(fills, dtype=np.uint64) * np.uint64(self.rows * words * repeat),
            np.arange(repeat, dtype=np.uint64) * np.uint64(words),
        ).ravel()
        near = first < np.uint64(memory.count)
        code = np.add.outer(first[near], steps)
        cell = code * np.uint64(memory.bits) + bit[near][:, None]
        held: Cells = cell[code < np.uint64(memory.count)]
        return held

    def __str__(self) -> str:
        return f"array:{self.rows}x{self.columns}"


@dataclass(frozen=True)
class Reference(Array):
    """The published code's map: see the module's text.

    The rule (Sun et al., NeuralFuse, NeurIPS 2024, published code): with NumPy's legacy generator seeded by `seed`,
    one uniform number a cell, row by row; the cell is faulty where it is below the rate. Seeded by `seed` + 1,
    again one number a cell: below one half the cell is stuck at 1, else at 0.
    """

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
class _Published:
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


def parse_layout(text: str) -> Layout:
    """Reads a layout from its name: `iid`, `array`, `array:ROWSxCOLUMNS` or `reference`.

    Raises:
        OptionError: When the text names no layout.
    """
    name, _, size = text.partition(":")
    presets: dict[str, Layout] = {"iid": Iid(), "reference": Reference(), "array": Array()}
    if text in presets:
        return presets[text]
    rows, _, columns = size.partition("x")
    if name == "array" and rows.isdecimal() and columns.isdecimal():
        return Array(int(rows), int(columns))
    raise OptionError(f"unknown layout {text!r}: choose iid, array, array:ROWSxCOLUMNS (in bit cells) or reference")
