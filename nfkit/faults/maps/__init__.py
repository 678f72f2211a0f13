"""Fault maps that were measured on chips, by voltage.

`measured` says what such a chip is, the other modules read formats from folders of files. A new format is a module here
with a function like theirs, and a line in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nfkit.errors import DataError
from nfkit.faults.maps.hex_files import read_hex_files
from nfkit.faults.maps.measured import MeasuredChip, Step
from nfkit.faults.maps.stuck_at_files import read_stuck_at_files

FORMATS: dict[str, Callable[[Path], MeasuredChip | None]] = {
    "fmap_sa0_v_VOLTS.txt and fmap_sa1_v_VOLTS.txt, rows of 0 and 1 separated by commas": read_stuck_at_files,
    "NAME-VOLTS.bin, hexadecimal digits of a memory that was full of ones": read_hex_files,
}
"""What reads each format, by a description of its files; None from a reader that finds no such files."""

__all__ = ["FORMATS", "MeasuredChip", "Step", "read_measured_chip"]


def read_measured_chip(folder: Path) -> MeasuredChip:
    """Reads the fault maps in a folder.

    Raises:
        DataError: When the folder cannot be read, holds no maps of a known format, or damaged ones.
    """
    if not folder.is_dir():
        raise DataError(f"'{folder}' is no folder of fault maps: give the folder that holds the files")
    for read in FORMATS.values():
        chip = read(folder)
        if chip is not None:
            return chip
    raise DataError(f"'{folder}' holds no fault maps: the known files are {'; '.join(FORMATS)}")
