"""Data sets in NumPy's `.npz` files."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.data.dataset import Dataset, Split, from_arrays
from nfkit.errors import DataError

# Everything that a damaged, encrypted or foreign file makes zipfile and numpy raise.
_UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


def load_npz(path: Path, split: Split) -> Dataset:
    """Reads `x_train, y_train` or `x_test, y_test` by `split`; or `x, y`, which then serve either split.

    An optional scalar `mirror` says whether a mirrored image keeps its label.

    Raises:
        DataError: The file is missing, damaged, or lacks the arrays.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; give the path of an .npz file with arrays x and y.")
    arrays = _read(path, wanted=(f"x_{split}", f"y_{split}", "x", "y", "mirror"))
    mirror = bool(arrays["mirror"].all()) if "mirror" in arrays else False
    for x, y in ((f"x_{split}", f"y_{split}"), ("x", "y")):
        if x in arrays and y in arrays:
            return from_arrays(f"{path.name}:{x}", arrays[x], arrays[y], mirror)
    raise DataError(
        f"{path}: holds neither x_{split} and y_{split} nor x and y, but {_names(path) or 'nothing'}; "
        f"save it with numpy.savez(path, x_{split}=..., y_{split}=...)."
    )


def _read(path: Path, wanted: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    try:
        # A pickle in a data file could run any code, so none is read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in wanted if key in archive.files}
    # An .npy array under this name is no context manager: TypeError, or AttributeError on Python 3.10.
    except (*_UNREADABLE, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: cannot be read as an .npz file ({error}); "
            "save plain numeric arrays with numpy.savez(path, x=..., y=...)."
        ) from error


def _names(path: Path) -> str:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return ", ".join(sorted(archive.files))
