"""How a code is held in memory: which word of bits stands for which number.

Low voltage hits the word that is held, and a decoder at the read port makes a code of it again. So the same cells cost
more or less accuracy, depending on what a bit weighs: in two's complement the top bit weighs half of the range, in sign
and magnitude it turns a small weight into a small weight.

A word stands for a signed number: the code itself for a signed type, and the code minus half of its range for an
unsigned one (128 for uint8), which is the code minus the zero point where that is the middle. Zero points are registers
and have no part in it: weights with another zero point are held around the middle all the same.

A new storage code is a module here with a subclass of `NumberCode`, and a line in `STORAGE_CODES`.
"""

from __future__ import annotations

from nfkit.errors import OptionError
from nfkit.faults.codes.as_stored import AsStored
from nfkit.faults.codes.base import NumberCode, StorageCode
from nfkit.faults.codes.gray import Gray
from nfkit.faults.codes.offset_binary import OffsetBinary
from nfkit.faults.codes.sign_magnitude import SignMagnitude
from nfkit.faults.codes.twos_complement import TwosComplement

AS_STORED = AsStored()

STORAGE_CODES: dict[str, StorageCode] = {
    code.name: code for code in (AS_STORED, TwosComplement(), SignMagnitude(), OffsetBinary(), Gray())
}
"""All storage codes by name; the first is the default."""

__all__ = [
    "AS_STORED",
    "STORAGE_CODES",
    "AsStored",
    "Gray",
    "NumberCode",
    "OffsetBinary",
    "SignMagnitude",
    "StorageCode",
    "TwosComplement",
    "find_storage_code",
]


def find_storage_code(name: str) -> StorageCode:
    """The storage code of a name.

    Raises:
        OptionError: When there is none.
    """
    if name not in STORAGE_CODES:
        raise OptionError(f"unknown storage code {name!r}: choose one of {', '.join(STORAGE_CODES)}")
    return STORAGE_CODES[name]
