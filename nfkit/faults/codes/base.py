"""What every storage code says of itself, and how it is applied to the codes of a tensor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nfkit.faults.weakness import BLOCK
from nfkit.faults.words import Codes, Words, is_signed, to_codes, to_words
from nfkit.parallel import blocks, each

Numbers = npt.NDArray[np.int64]

TABLED_BITS = 16
"""Codes of so many bits are looked up; wider ones (biases) are computed one by one."""


class StorageCode(ABC):
    """A way to hold codes.

    Attributes:
        name: What it is called in options and records.
        sentence: What a word says, in a few words.
        decoder: Whether the read port needs a decoder that usual memories do not have.
    """

    name: ClassVar[str]
    sentence: ClassVar[str]
    decoder: ClassVar[bool] = True

    @abstractmethod
    def hold(self, codes: Codes, bits: int) -> Codes:
        """The words that hold some codes, in the codes' own type: those of b bits in a wider type look like codes."""

    @abstractmethod
    def release(self, held: Codes, bits: int) -> Codes:
        """The codes that some held words stand for."""

    def inexact(self, codes: Codes, bits: int) -> int:
        """How many codes come back changed from a memory without faults, because no word stands for them."""
        return int(np.count_nonzero(to_words(self.release(self.hold(codes, bits), bits)) != to_words(codes)))


class NumberCode(StorageCode):
    """Words of b bits for the numbers from -2^(b-1) to 2^(b-1) - 1."""

    @abstractmethod
    def encode(self, numbers: Numbers, bits: int) -> Numbers:
        """Words (0 to 2^bits - 1) that hold the numbers, or the nearest ones that can be held."""

    @abstractmethod
    def decode(self, words: Numbers, bits: int) -> Numbers:
        """Numbers that words (0 to 2^bits - 1) stand for."""

    def hold(self, codes: Codes, bits: int) -> Codes:
        """See `StorageCode.hold`."""
        words = _used(codes, bits)
        if bits <= TABLED_BITS:
            return _look_up(self.tables(bits, codes.dtype)[0], words)
        return to_codes(_encoded(self, words, bits, codes.dtype).astype(words.dtype), bits, codes.dtype)

    def release(self, held: Codes, bits: int) -> Codes:
        """See `StorageCode.release`."""
        words = _used(held, bits)
        if bits <= TABLED_BITS:
            return _look_up(self.tables(bits, held.dtype)[1], words)
        return to_codes(_decoded(self, words, bits, held.dtype).astype(words.dtype), bits, held.dtype)

    def tables(self, bits: int, dtype: npt.DTypeLike) -> tuple[Codes, Codes]:
        """Look-up tables (encode, decode) over all codes and all words of a type.

        Both are indexed by the bits of what goes in, read as an unsigned number; counted from the end of the table, a
        negative code is the index of its own bits.

        Args:
            bits: Bits of a code, at most `TABLED_BITS`.
            dtype: Type that stores the codes.
        """
        return _tables(self, bits, np.dtype(dtype).name)


def _look_up(table: Codes, words: Words) -> Codes:
    found, flat = np.empty(words.size, table.dtype), words.ravel()

    def work(block: slice) -> None:
        found[block] = table.take(flat[block])

    each(work, blocks(words.size, BLOCK))
    return found.reshape(words.shape)


def _used(codes: Codes, bits: int) -> Words:
    words = to_words(codes)
    used: Words = words & words.dtype.type(2**bits - 1)
    return used


@lru_cache(maxsize=64)
def _tables(code: NumberCode, bits: int, name: str) -> tuple[Codes, Codes]:
    dtype = _dtype(name)
    words = np.arange(2**bits, dtype=f"uint{dtype.itemsize * 8}")
    both = []
    for translate in (_encoded, _decoded):
        table = to_codes(translate(code, words, bits, dtype).astype(words.dtype), bits, dtype)
        table.flags.writeable = False
        both.append(table)
    return both[0], both[1]


def _encoded(code: NumberCode, words: Words, bits: int, dtype: npt.DTypeLike) -> Numbers:
    """Raw codes to held words."""
    half, number = 2 ** (bits - 1), words.astype(np.int64)
    number = np.where(number >= half, number - 2 * half, number) if is_signed(dtype) else number - half
    return code.encode(number, bits)


def _decoded(code: NumberCode, words: Words, bits: int, dtype: npt.DTypeLike) -> Numbers:
    """Held words to raw codes."""
    number = code.decode(words.astype(np.int64), bits)
    raw: Numbers = (number if is_signed(dtype) else number + 2 ** (bits - 1)) & (2**bits - 1)
    return raw


def _dtype(name: str) -> np.dtype[np.generic]:
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name, name))
