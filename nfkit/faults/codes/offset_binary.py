"""Offset binary."""

from __future__ import annotations

from typing import ClassVar

from nfkit.faults.codes.base import NumberCode, Numbers


class OffsetBinary(NumberCode):
    """The number plus half of the range, in plain binary: for unsigned types what the file stores."""

    name: ClassVar[str] = "offset-binary"
    sentence: ClassVar[str] = "the number plus half of the range, in plain binary"
    decoder: ClassVar[bool] = False  # at most an inverter

    def encode(self, numbers: Numbers, bits: int) -> Numbers:
        """See `NumberCode.encode`."""
        held: Numbers = numbers + 2 ** (bits - 1)
        return held

    def decode(self, words: Numbers, bits: int) -> Numbers:
        """See `NumberCode.decode`."""
        meant: Numbers = words - 2 ** (bits - 1)
        return meant
