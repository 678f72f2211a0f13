"""One file a voltage: what was read of a memory that had been filled with ones.

The format of a public study of FPGA block memories (B. Salami et al., Comprehensive Evaluation of Supply Voltage
Underscaling in FPGA on-Chip Memories, MICRO 2018): `NAME-VOLTS.bin`, hexadecimal digits, most significant first, of
words of 16 bits. A 0 is a cell that lost its 1. Cells that would turn a 0 into a 1 were not looked for; the study found
that almost none do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nfkit.errors import DataError
from nfkit.faults.maps.files import files_by_volts, read_text
from nfkit.faults.maps.measured import MeasuredChip, Step

WORD = 16


def read_hex_files(folder: Path) -> MeasuredChip | None:
    """Reads a folder of such files; None where it holds none.

    Raises:
        DataError: When files are damaged or differ in size.
    """
    files = files_by_volts(folder, r".+-(?P<volts>\d+(\.\d+)?)\.bin")
    steps, rows = [], 0
    for volts, path in files.items():
        text = "".join(read_text(path).split())
        try:
            content = np.frombuffer(bytes.fromhex(text), np.uint8)
        except ValueError as error:
            raise DataError(f"'{path}' is no text of hexadecimal digits: {error}") from error
        if not content.size or content.size % (WORD // 8):
            raise DataError(f"'{path}' holds {4 * len(text)} bits, which are no words of {WORD}")
        words = np.unpackbits(content).reshape(-1, WORD)[:, ::-1]  # the least significant bit first
        rows = rows or len(words)
        if len(words) != rows:
            raise DataError(f"'{path}' holds {len(words)} words, others {rows}")
        steps.append(Step(volts, np.empty(0, np.uint64), np.flatnonzero(words == 0).astype(np.uint64)))
    return MeasuredChip(folder.name, rows, WORD, steps) if steps else None
