"""The faulty cells of one memory, and what a reader gets from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nfkit.faults.codes import AS_STORED, StorageCode
from nfkit.faults.ecc import Correction
from nfkit.faults.weakness import BLOCK, Cells
from nfkit.faults.words import Codes, flipped_bits, is_signed, to_codes, to_words
from nfkit.parallel import blocks, each, shares


class Read(NamedTuple):
    """What a chip returns for a tensor.

    Attributes:
        codes: The codes, in the shape and type of those that were written.
        flipped: Bits of the held words that come out wrong, behind the error correction where there is one.
    """

    codes: Codes
    flipped: int


@dataclass(frozen=True)
class SiteFaults:
    """The cells of one memory that err, and how it is read.

    Attributes:
        bits: Bits of one code. Where codes are held in a wider type they are sign-extended from these bits.
        setting: Cells (`code * bits + bit`, uint64, possibly repeated) that turn a stored 0 into 1.
        clearing: Cells that turn a stored 1 into 0.
        exclusive: Whether it is known that no cell is among both.
        storage: How a code is held.
        correction: What corrects errors at the read port; None where nothing does.
        check: The cells of its check bits, as a memory of their own; None where they do not err.
    """

    bits: int
    setting: Cells
    clearing: Cells
    exclusive: bool = False
    storage: StorageCode = AS_STORED
    correction: Correction | None = None
    check: SiteFaults | None = None

    def masks(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> tuple[Codes, Codes]:
        """The same as full-size bit masks (set, clear) of the held words, in the codes' own integer type."""
        width = np.dtype(dtype).itemsize * 8
        masks = []
        for cells in (self.setting, self.clearing):
            mask = np.zeros(int(np.prod(shape)), dtype=f"uint{width}")
            for block in blocks(len(cells), BLOCK):
                _scatter(mask, *self._locate(cells[block], mask.dtype), np.bitwise_or)
            masks.append(to_codes(mask, self.bits, dtype).reshape(shape))
        return masks[0], masks[1]

    def apply(self, codes: Codes) -> Codes:
        """The codes that the chip returns: a new array of the same shape and type.

        A stored 0 becomes 1 in a setting cell, a stored 1 becomes 0 in a clearing cell. The work grows with the
        number of faulty cells, and a few copies of the codes.
        """
        return self.storage.release(self._deliver(self.storage.hold(codes, self.bits)), self.bits)

    def read(self, codes: Codes) -> Read:
        """The codes that the chip returns, and how many of the bits that it holds for them come out wrong."""
        held = self.storage.hold(codes, self.bits)
        got = self._deliver(held)
        return Read(self.storage.release(got, self.bits), flipped_bits(held, got, self.bits))

    def _deliver(self, held: Codes) -> Codes:
        """The words that a reader gets."""
        read = self._err(held)
        if self.correction is None:
            return read
        words, raw = self.correction.count_words(held.size, self.bits), to_words(held)
        sound = np.zeros(words, np.uint8)
        setting, clearing = self.check.masks((words,), np.uint8) if self.check else (sound, sound)
        zero = np.full(1, 0 if is_signed(held.dtype) else 2 ** (self.bits - 1), raw.dtype)
        neutral = self.storage.hold(to_codes(zero, self.bits, held.dtype), self.bits)
        corrected = self.correction.correct(
            raw.ravel(), to_words(read).ravel(), self.bits, setting, clearing, int(to_words(neutral)[0])
        )
        return to_codes(corrected, self.bits, held.dtype).reshape(held.shape)

    def _err(self, held: Codes) -> Codes:
        """The words that the cells return."""
        stored = to_words(held).reshape(-1)
        read = np.empty_like(stored)
        # Threads never meet: each has codes of its own. It looks through all cells for those that belong to it, which
        # costs a fraction of reading their codes.
        many = max(len(self.setting), len(self.clearing)) > BLOCK
        each(lambda share: self._err_in(stored, read, share), shares(stored.size) if many else [slice(0, stored.size)])
        return to_codes(read, self.bits, held.dtype).reshape(held.shape)

    def _err_in(self, stored: Codes, read: Codes, share: slice) -> None:
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
        """Number of cells that err in at least one direction, those of check bits included."""
        cells = np.concatenate([self.setting, self.clearing])
        if len(cells) and cells.max() < 2**32:  # half the bytes take half the time
            cells = cells.astype(np.uint32)
        cells.sort()  # several times as fast as np.unique
        own = int(np.count_nonzero(np.diff(cells))) + bool(len(cells))
        return own + (self.check.faulty_cells() if self.check else 0)

    def _locate(self, cells: Cells, dtype: np.dtype[Any]) -> tuple[npt.NDArray[np.int64], Codes]:
        """Codes of cells, and masks of their bits."""
        if self.bits & (self.bits - 1):
            code = cells // np.uint64(self.bits)
            bit = (cells - code * np.uint64(self.bits)).astype(dtype)
        else:  # several times as fast as a division
            code = cells >> np.uint64(self.bits.bit_length() - 1)
            bit = cells.astype(dtype) & dtype.type(self.bits - 1)
        return code.view(np.int64), np.left_shift(dtype.type(1), bit)


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
