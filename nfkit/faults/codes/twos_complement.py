"""Two's complement."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nfkit.faults.codes.base import NumberCode, Numbers


class TwosComplement(NumberCode):
    """The top bit weighs -2^(b-1): for signed types what the file stores, for unsigned ones their top bit inverted."""

    name: ClassVar[str] = "twos-complement"
    sentence: ClassVar[str] = "the top bit weighs minus half of the range"
    decoder: ClassVar[bool] = False  # at most an inverter

    def encode(self, numbers: Numbers, bits: int) -> Numbers:
        """See `NumberCode.encode`."""
        held: Numbers = numbers & (2**bits - 1)
        return held

    def decode(self, words: Numbers, bits: int) -> Numbers:
        """See `NumberCode.decode`."""
        meant: Numbers = np.where(words >= 2 ** (bits - 1), words - 2**bits, words)
        return meant
