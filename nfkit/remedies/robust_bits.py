"""Robust cells for the bits that weigh most."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nfkit.errors import OptionError
from nfkit.faults import BitErrors
from nfkit.remedies.base import Remedy


@dataclass(frozen=True)
class RobustBits(Remedy):
    """The top bits of every code are held in cells that do not fail.

    Attributes:
        top: How many, from 1 on, counted from each site's own top.

    Raises:
        OptionError: When there are none.
    """

    top: int

    def __post_init__(self) -> None:
        if self.top < 1:
            raise OptionError(f"robust bits {self.top}: give how many top bits are robust, from 1 on")

    @classmethod
    def parse(cls, text: str) -> RobustBits:
        """Reads the number of bits."""
        if not text.isdecimal():
            raise OptionError(f"robust bits {text!r}: give a number, such as robust-bits:2")
        return cls(int(text))

    @property
    def name(self) -> str:
        """See `Remedy.name`."""
        return f"robust-bits:{self.top}"

    @property
    def sentence(self) -> str:
        """See `Remedy.sentence`."""
        bits = "the top bit" if self.top == 1 else f"the top {self.top} bits"
        return f"{bits} of every weight are held in cells that do not fail"

    @property
    def needs(self) -> frozenset[str]:
        """See `Remedy.needs`."""
        return super().needs | {"robust-cells"}

    def errors(self, errors: BitErrors) -> BitErrors:
        """See `Remedy.errors`."""
        return replace(errors, protected_top=max(self.top, errors.protected_top))
