"""Error correction beside a memory: what is stored in addition, and what a reader gets.

A new code is a module here with a subclass of `Correction`, and a line in `CORRECTIONS`.
"""

from __future__ import annotations

from nfkit.errors import OptionError
from nfkit.faults.ecc.base import Correction
from nfkit.faults.ecc.secded import Secded

CORRECTIONS: dict[str, Correction] = {
    correction.name: correction
    for correction in (Secded(32), Secded(64), Secded(32, zeroing=True), Secded(64, zeroing=True))
}
"""All codes by name, but for `none`, the default."""

NO_CORRECTION = "none"

__all__ = ["CORRECTIONS", "NO_CORRECTION", "Correction", "Secded", "find_correction"]


def find_correction(name: str) -> Correction | None:
    """The error correction of a name; None for `none`.

    Raises:
        OptionError: When there is none of that name.
    """
    if name == NO_CORRECTION:
        return None
    if name not in CORRECTIONS:
        raise OptionError(f"unknown ECC {name!r}: choose one of {', '.join((NO_CORRECTION, *CORRECTIONS))}")
    return CORRECTIONS[name]
