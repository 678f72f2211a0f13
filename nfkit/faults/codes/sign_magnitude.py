"""Sign and magnitude."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nfkit.faults.codes.base import NumberCode, Numbers


class SignMagnitude(NumberCode):
    """The top bit is the sign, the rest the magnitude.

    There are two words for 0 and none for -2^(b-1), which is held as the nearest number, -2^(b-1) + 1. To let the
    second 0 stand for it would be exact, and would turn every 0 whose sign fails into the largest weight of all.
    """

    name: ClassVar[str] = "sign-magnitude"
    sentence: ClassVar[str] = "the top bit is the sign, the others the magnitude; the lowest code is held a step higher"

    def encode(self, numbers: Numbers, bits: int) -> Numbers:
        """See `NumberCode.encode`."""
        sign = 2 ** (bits - 1)
        magnitude = np.minimum(np.abs(numbers), sign - 1)
        held: Numbers = np.where(numbers < 0, magnitude | sign, magnitude)
        return held

    def decode(self, words: Numbers, bits: int) -> Numbers:
        """See `NumberCode.decode`."""
        sign = 2 ** (bits - 1)
        meant: Numbers = np.where(words & sign, -(words & (sign - 1)), words)
        return meant
