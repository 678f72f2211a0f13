"""Error correction beside the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nfkit.errors import OptionError
from nfkit.faults import BitErrors
from nfkit.faults.ecc import CORRECTIONS, Correction
from nfkit.remedies.base import Remedy


@dataclass(frozen=True)
class Ecc(Remedy):
    """Check bits are stored with every memory word, and errors corrected when it is read.

    Attributes:
        code: A name of `nfkit.faults.ecc.CORRECTIONS`.

    Raises:
        OptionError: When there is no such code.
    """

    code: str

    def __post_init__(self) -> None:
        if self.code not in CORRECTIONS:
            raise OptionError(f"unknown ECC {self.code!r}: choose one of {', '.join(CORRECTIONS)}")

    @classmethod
    def parse(cls, text: str) -> Ecc:
        """Reads the name of an error correction."""
        return cls(text)

    @property
    def correction(self) -> Correction:
        """The error correction."""
        return CORRECTIONS[self.code]

    @property
    def name(self) -> str:
        """See `Remedy.name`."""
        return f"ecc:{self.code}"

    @property
    def sentence(self) -> str:
        """See `Remedy.sentence`."""
        code = self.correction
        return f"{code.check_bits} check bits are stored with every {code.data_bits} bits, and one error is corrected"

    @property
    def needs(self) -> frozenset[str]:
        """See `Remedy.needs`."""
        return super().needs | {"error-correction"}

    def errors(self, errors: BitErrors) -> BitErrors:
        """See `Remedy.errors`."""
        return replace(errors, ecc=self.code)
