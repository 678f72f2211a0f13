"""Words as the file stores them."""

from __future__ import annotations

from typing import ClassVar

from nfkit.faults.codes.base import StorageCode
from nfkit.faults.words import Codes


class AsStored(StorageCode):
    """Two's complement for signed types, and plain binary for unsigned ones: no decoder anywhere."""

    name: ClassVar[str] = "as-stored"
    sentence: ClassVar[str] = "as the file stores them: two's complement for signed types, plain binary for others"
    decoder: ClassVar[bool] = False

    def hold(self, codes: Codes, bits: int) -> Codes:
        """See `StorageCode.hold`."""
        return codes

    def release(self, held: Codes, bits: int) -> Codes:
        """See `StorageCode.release`."""
        return held
