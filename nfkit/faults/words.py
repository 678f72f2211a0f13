"""Integers of ONNX types as raw words of so many bits, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[Any]
"""Integer codes of any shape: the raw content of a quantised initializer."""

Words = npt.NDArray[Any]
"""The same as unsigned integers of the same size; bits above those of a code say nothing."""


def to_words(codes: Codes) -> Words:
    """The raw words of codes, without a copy where they lie in one piece."""
    return np.ascontiguousarray(codes).view(f"uint{codes.dtype.itemsize * 8}")


def to_codes(words: Words, bits: int, dtype: npt.DTypeLike) -> Codes:
    """Reads raw words as codes, carrying a narrow signed code's top bit into the unused ones."""
    narrow = sub_byte(dtype)
    if narrow:  # such types keep their bits in the lower part of a byte, and zeros above
        if is_signed(dtype):
            words = ((words << (8 - bits)).view(np.int8) >> (8 - bits)).view(np.uint8)
        return (words & np.uint8(2**narrow - 1)).view(dtype)
    codes = words.view(dtype)
    spare = codes.dtype.itemsize * 8 - bits
    if spare and is_signed(dtype):
        return (codes << spare) >> spare
    return codes


def sub_byte(dtype: npt.DTypeLike) -> int:
    """Bits of a type that ONNX packs several to a byte (int4, uint4, int2, uint2); 0 for all others."""
    return {"int4": 4, "uint4": 4, "int2": 2, "uint2": 2}.get(np.dtype(dtype).name, 0)


def is_signed(dtype: npt.DTypeLike) -> bool:
    """Whether an integer type, packed or not, has negative numbers."""
    return not np.dtype(dtype).name.startswith("u")


def flipped_bits(before: Codes, after: Codes, bits: int | None = None) -> int:
    """Number of bits in which two arrays of codes of the same type differ.

    Args:
        before: Codes.
        after: Other codes.
        bits: Bits of one code, where the type is wider: what repeats a sign is no memory, and does not count.
    """
    difference = to_words(before) ^ to_words(after)
    width = before.dtype.itemsize * 8
    used = bits or sub_byte(before.dtype) or width
    if used < width:
        difference &= difference.dtype.type(2**used - 1)
    content = difference.reshape(-1).view(np.uint8)
    whole = content.size - content.size % 8  # eight bytes at a time take a seventh of the time
    return int(np.bitwise_count(content[:whole].view(np.uint64)).sum() + np.bitwise_count(content[whole:]).sum())
