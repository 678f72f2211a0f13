"""One SRAM array for all weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nfkit.errors import OptionError
from nfkit.faults.bit_errors import BitErrors
from nfkit.faults.kinds import Population
from nfkit.faults.layouts.base import AnyRate, Drawn, Memory, draw
from nfkit.faults.weakness import Cells


@dataclass(frozen=True)
class Array(AnyRate):
    """One array of rows x columns bit cells, reused by every site from row 0 on."""

    usage: ClassVar[tuple[str, ...]] = ("array", "array:ROWSxCOLUMNS (in bit cells)")

    rows: int = 8192
    columns: int = 128

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1 or self.rows * self.columns >= 2**32:
            raise OptionError(f"SRAM array {self.rows}x{self.columns}: give two positive numbers, such as 8192x128")

    @classmethod
    def parse(cls, settings: str) -> Array:
        """Reads ROWSxCOLUMNS; the default size where nothing is given.

        Raises:
            ValueError: When these are no two numbers.
        """
        if not settings:
            return cls()
        rows, columns = settings.split("x")
        if not (rows.isdecimal() and columns.isdecimal()):
            raise ValueError(settings)
        return cls(int(rows), int(columns))

    def faulty(self, seed: int, memory: Memory, errors: BitErrors) -> tuple[Cells, Cells]:
        """See `Layout.faulty`."""
        return self._map(Drawn(seed, str(self), self.rows * self.columns), memory, errors, 1)

    def _map(self, cells: Population, memory: Memory, errors: BitErrors, repeat: int) -> tuple[Cells, Cells]:
        setting, clearing = draw(cells, errors)
        mapped = self.spread(setting, memory, repeat)
        return mapped, mapped if clearing is setting else self.spread(clearing, memory, repeat)

    def spread(self, cells: Cells, memory: Memory, repeat: int) -> Cells:
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
