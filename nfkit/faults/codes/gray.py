"""Gray code."""

from __future__ import annotations

from typing import ClassVar

from nfkit.faults.codes.base import NumberCode, Numbers


class Gray(NumberCode):
    """The reflected binary code of offset binary: words of neighbouring numbers differ in one bit."""

    name: ClassVar[str] = "gray"
    sentence: ClassVar[str] = "the Gray code of offset binary: neighbouring numbers differ in one bit"

    def encode(self, numbers: Numbers, bits: int) -> Numbers:
        """See `NumberCode.encode`."""
        offset = numbers + 2 ** (bits - 1)
        held: Numbers = offset ^ (offset >> 1)
        return held

    def decode(self, words: Numbers, bits: int) -> Numbers:
        """See `NumberCode.decode`."""
        offset, step = words, 1
        while step < bits:  # each bit is the parity of all above it
            offset = offset ^ (offset >> step)
            step *= 2
        meant: Numbers = offset - 2 ** (bits - 1)
        return meant
