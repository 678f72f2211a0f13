"""Two files a voltage, one of cells stuck at 0 and one of cells stuck at 1.

The format of the published NeuralFuse code: `fmap_sa0_v_VOLTS.txt` and `fmap_sa1_v_VOLTS.txt`, one line a row of the
memory, one number a cell, separated by commas: 1 where the cell is stuck (8192 rows of 128 cells there; any size here).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from nfkit.errors import DataError
from nfkit.faults.maps.files import files_by_volts, read_text
from nfkit.faults.maps.measured import MeasuredChip, Step


def read_stuck_at_files(folder: Path) -> MeasuredChip | None:
    """Reads a folder of such files; None where it holds none.

    Raises:
        DataError: When one of a pair is missing, or files are damaged or differ in size.
    """
    zeros, ones = (files_by_volts(folder, rf"fmap_sa{value}_v_(?P<volts>\d+(\.\d+)?)\.txt") for value in (0, 1))
    if not zeros and not ones:
        return None
    shape: tuple[int, int] | None = None
    steps = []
    for volts in sorted(zeros.keys() | ones.keys()):
        for files, value in ((zeros, 0), (ones, 1)):
            if volts not in files:
                raise DataError(f"'{folder}' lacks the map of cells stuck at {value} at {volts:g} V")
        maps = [_read(zeros[volts]), _read(ones[volts])]
        for path, cells in zip((zeros[volts], ones[volts]), maps, strict=True):
            shape = shape or (cells.shape[0], cells.shape[1])
            if cells.shape != shape:
                raise DataError(
                    f"'{path}' has {cells.shape[0]} x {cells.shape[1]} cells, others {shape[0]} x {shape[1]}"
                )
        stuck = [np.flatnonzero(cells).astype(np.uint64) for cells in maps]
        steps.append(Step(volts, ones=stuck[1], zeros=stuck[0]))
    assert shape is not None
    return MeasuredChip(folder.name, *shape, steps)


def _read(path: Path) -> npt.NDArray[np.bool_]:
    rows = [row for line in read_text(path).splitlines() if (row := line.strip().rstrip(","))]
    if not rows:
        raise DataError(f"'{path}' is no table of 0 and 1: it is empty")
    try:
        cells = np.loadtxt(rows, delimiter=",", dtype=np.int64, ndmin=2)
    except ValueError as error:
        raise DataError(f"'{path}' is no table of 0 and 1: {error}") from error
    if not np.isin(cells, (0, 1)).all():
        raise DataError(f"'{path}' is no table of 0 and 1")
    stuck: npt.NDArray[np.bool_] = cells == 1
    return stuck
