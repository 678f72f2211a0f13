"""Files of maps: which voltage a name states, and what may go wrong when one is read."""

from __future__ import annotations

import re
from pathlib import Path

from nfkit.errors import DataError

_LARGEST = 1 << 30


def files_by_volts(folder: Path, pattern: str) -> dict[float, Path]:
    """The files of a folder whose whole name fits a pattern, by the voltage that its group `volts` holds.

    Raises:
        DataError: When the folder cannot be read, or two files state the same voltage.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"'{folder}' cannot be read: {error.strerror}") from error
    found: dict[float, Path] = {}
    for path in paths:
        match = re.fullmatch(pattern, path.name)
        if match and path.is_file():
            volts = float(match["volts"])
            if volts in found:
                raise DataError(f"'{found[volts]}' and '{path}' are maps at the same voltage: keep one of them")
            found[volts] = path
    return found


def read_text(path: Path) -> str:
    """The content of a file of digits.

    Raises:
        DataError: When it cannot be read, or is no such file.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"'{path}' is larger than {_LARGEST >> 30} GB: this is no fault map")
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is no text of digits: this is no fault map that is known") from error
