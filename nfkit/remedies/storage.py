"""Another way to hold codes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nfkit.faults import BitErrors
from nfkit.faults.codes import find_storage_code
from nfkit.remedies.base import Remedy


@dataclass(frozen=True)
class Storage(Remedy):
    """Codes are held in other words, in which an error weighs less.

    Attributes:
        code: A name of `nfkit.faults.codes.STORAGE_CODES`.

    Raises:
        OptionError: When there is no such code.
    """

    code: str

    def __post_init__(self) -> None:
        find_storage_code(self.code)

    @classmethod
    def parse(cls, text: str) -> Storage:
        """Reads the name of a storage code."""
        return cls(text)

    @property
    def name(self) -> str:
        """See `Remedy.name`."""
        return f"storage:{self.code}"

    @property
    def sentence(self) -> str:
        """See `Remedy.sentence`."""
        return f"weights are held in {self.code}: {find_storage_code(self.code).sentence}"

    @property
    def needs(self) -> frozenset[str]:
        """See `Remedy.needs`."""
        return super().needs | ({"storage-decoder"} if find_storage_code(self.code).decoder else set())

    def errors(self, errors: BitErrors) -> BitErrors:
        """See `Remedy.errors`."""
        return replace(errors, storage=self.code)
