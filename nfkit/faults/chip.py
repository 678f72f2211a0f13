"""A chip: a seed and a layout, from which follow the faulty cells of every memory on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.errors import OptionError
from nfkit.faults.kinds import BitErrors
from nfkit.faults.layouts import Iid, Layout, Memory
from nfkit.faults.weakness import BLOCK, Cells
from nfkit.parallel import blocks, each, shares

Codes = npt.NDArray[Any]
"""Integer codes of any shape: the raw content of a quantised initializer."""

# Chips are numbered, and the ranges below never meet: what a generator was trained or chosen on is never what it
# is judged by.
EVALUATION_CHIPS = range(50_000, 1_000_000)
VALIDATION_CHIPS = range(40_000, 50_000)
TRAINING_CHIPS = range(1_000_000, 2**32 - 2)


@dataclass(frozen=True)
class SiteFaults:
    """The cells of one memory that err.

    Attributes:
        bits: Bits of one code. Where codes are held in a wider type they are sign-extended from these bits.
        setting: Cells (`code * bits + bit`, uint64, possibly repeated) that turn a stored 0 into 1.
        clearing: Cells that turn a stored 1 into 0.
        exclusive: Whether it is known that no cell is among both.
    """

    bits: int
    setting: Cells
    clearing: Cells
    exclusive: bool = False

    def masks(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> tuple[Codes, Codes]:
        """The same as full-size bit masks (set, clear), in the codes' own integer type."""
        width = np.dtype(dtype).itemsize * 8
        masks = []
        for cells in (self.setting, self.clearing):
            mask = np.zeros(int(np.prod(shape)), dtype=f"uint{width}")
            for block in blocks(len(cells), BLOCK):
                _scatter(mask, *self._locate(cells[block], mask.dtype), np.bitwise_or)
            masks.append(self._extend(mask, dtype).reshape(shape))
        return masks[0], masks[1]

    def apply(self, codes: Codes) -> Codes:
        """The codes that the chip returns: a new array of the same shape and type.

        A stored 0 becomes 1 in a setting cell, a stored 1 becomes 0 in a clearing cell. The work grows with the
        number of faulty cells, and a copy of the codes.
        """
        stored = np.ascontiguousarray(codes).reshape(-1).view(f"uint{codes.dtype.itemsize * 8}")
        read = np.empty_like(stored)
        # Threads never meet: each has codes of its own. It looks through all cells for those that belong to it, which
        # costs a fraction of reading their codes.
        many = max(len(self.setting), len(self.clearing)) > BLOCK
        each(lambda share: self._err(stored, read, share), shares(stored.size) if many else [slice(0, stored.size)])
        return self._extend(read, codes.dtype).reshape(codes.shape)

    def _err(self, stored: Codes, read: Codes, share: slice) -> None:
        """Reads the codes of one share."""
        read[share] = stored[share]
        # A cell that may do either decides by what was stored, not by what it has made of that. Otherwise one of the
        # two arrays is enough, and each cell waits but once for its code to come from memory.
        seen = read if self.exclusive else stored
        for cells, write in ((self.setting, np.bitwise_or), (self.clearing, _clear)):
            for block in blocks(len(cells), BLOCK):
                code, mask = self._locate(self._within(cells[block], share, stored.size), stored.dtype)
                before = seen.take(code)
                erring = np.flatnonzero(write(before, mask) != before)
                _scatter(read, code.take(erring), mask.take(erring), write)

    def _within(self, cells: Cells, share: slice, count: int) -> Cells:
        """Those of some cells that belong to a share of `count` codes."""
        if share.stop - share.start == count:
            return cells
        first, width = share.start * self.bits, (share.stop - share.start) * self.bits
        return cells.take(np.flatnonzero(cells - np.uint64(first) < np.uint64(width)))  # cells before it wrap around

    def faulty_cells(self) -> int:
        """Number of cells that err in at least one direction."""
        cells = np.sort(np.concatenate([self.setting, self.clearing]))  # several times as fast as np.unique
        return int(np.count_nonzero(np.diff(cells))) + bool(len(cells))

    def _locate(self, cells: Cells, dtype: np.dtype[Any]) -> tuple[npt.NDArray[np.int64], Codes]:
        """Codes of cells, and masks of their bits."""
        if self.bits & (self.bits - 1):
            code = cells // np.uint64(self.bits)
            bit = (cells - code * np.uint64(self.bits)).astype(dtype)
        else:  # several times as fast as a division
            code = cells >> np.uint64(self.bits.bit_length() - 1)
            bit = cells.astype(dtype) & dtype.type(self.bits - 1)
        return code.view(np.int64), np.left_shift(dtype.type(1), bit)

    def _extend(self, words: Codes, dtype: npt.DTypeLike) -> Codes:
        """Reads raw words as codes, carrying a narrow signed code's top bit into the unused ones."""
        narrow = _sub_byte(dtype)
        if narrow:  # such types keep their bits in the lower part of a byte, and zeros above
            if not np.dtype(dtype).name.startswith("u"):
                words = ((words << (8 - self.bits)).view(np.int8) >> (8 - self.bits)).view(np.uint8)
            return (words & np.uint8(2**narrow - 1)).view(dtype)
        codes = words.view(dtype)
        spare = codes.dtype.itemsize * 8 - self.bits
        if spare and np.issubdtype(codes.dtype, np.signedinteger):
            return (codes << spare) >> spare
        return codes


@dataclass(frozen=True)
class Chip:
    """One physical chip.

    Attributes:
        seed: Which chip; the same seed is the same chip on every machine.
        layout: How its cells hold the weights.
    """

    seed: int
    layout: Layout = field(default_factory=Iid)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**64:
            raise OptionError(f"chip {self.seed} is no seed: give a whole number from 0 to 2^64 - 1")

    def faults(self, memory: Memory, errors: BitErrors) -> SiteFaults:
        """The faulty cells of one memory, whatever else is on the chip and in whatever order it is asked.

        Args:
            memory: A weight site, or anything with a name, a count of codes and their bits.
            errors: Rate and kind; lower rates give subsets.

        Raises:
            OptionError: When the layout cannot hold the memory or does not know the kind.
        """
        if errors.rate == 0 or errors.protects(memory.name):
            none = np.empty(0, np.uint64)
            return SiteFaults(memory.bits, none, none)
        setting, clearing = self.layout.faulty(self.seed, memory, errors)
        kept = self._exposed(setting, memory, errors)
        other = kept if clearing is setting else self._exposed(clearing, memory, errors)
        return SiteFaults(memory.bits, kept, other, exclusive=errors.kind == "stuck")

    @staticmethod
    def _exposed(cells: Cells, memory: Memory, errors: BitErrors) -> Cells:
        if not errors.protected_bits:
            return cells
        if max(errors.protected_bits) >= memory.bits:
            raise OptionError(
                f"protected bits {list(errors.protected_bits)}: '{memory.name}' has bits 0 to {memory.bits - 1}"
            )
        protected = np.array(errors.protected_bits, np.uint64)
        return cells[~np.isin(cells % np.uint64(memory.bits), protected)]


def _scatter(words: Codes, at: npt.NDArray[np.int64], mask: Codes, write: Callable[[Codes, Codes], Codes]) -> None:
    """words[at] = write(words[at], mask), where `at` may repeat; several times as fast as a ufunc's `at`."""
    while len(at):
        words[at] = write(words.take(at), mask)
        now = words.take(at)
        lost = np.flatnonzero(write(now, mask) != now)  # overwritten by another cell of the same code
        at, mask = at.take(lost), mask.take(lost)


def _clear(words: Codes, mask: Codes) -> Codes:
    cleared: Codes = words & ~mask
    return cleared


def flipped_bits(before: Codes, after: Codes, bits: int | None = None) -> int:
    """Number of bits in which two arrays of codes of the same type differ.

    Args:
        before: Codes.
        after: Other codes.
        bits: Bits of one code, where the type is wider: what repeats a sign is no memory, and does not count.
    """
    width = before.dtype.itemsize * 8
    difference = np.ascontiguousarray(before).view(f"uint{width}") ^ np.ascontiguousarray(after).view(f"uint{width}")
    used = bits or _sub_byte(before.dtype) or width
    if used < width:
        difference &= difference.dtype.type(2**used - 1)
    return int(np.bitwise_count(difference).sum())


def _sub_byte(dtype: npt.DTypeLike) -> int:
    """Bits of a type that ONNX packs several to a byte (int4, uint4, int2, uint2); 0 for all others."""
    return {"int4": 4, "uint4": 4, "int2": 2, "uint2": 2}.get(np.dtype(dtype).name, 0)
