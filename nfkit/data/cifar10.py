"""CIFAR-10: 50,000 + 10,000 colour photographs, 32 x 32, ten classes.

Krizhevsky: Learning Multiple Layers of Features from Tiny Images (2009).
"""

from __future__ import annotations

import pickle
import tarfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from nfkit.data.dataset import Dataset, Split
from nfkit.data.download import Remote, fetch
from nfkit.errors import DataError

ARCHIVE = Remote(
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
)

_BATCHES: dict[Split, tuple[str, ...]] = {
    "train": tuple(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)),
    "test": ("cifar-10-batches-py/test_batch",),
}


def load_cifar10(split: Split, cache: Path, archive: Remote = ARCHIVE) -> Dataset:
    """Fetches the archive into `cache` and reads one split of it."""
    path = fetch(archive.url, archive.checksum, cache)
    try:
        with tarfile.open(path) as tar:
            batches = [_read_batch(tar, name, path) for name in _BATCHES[split]]
    # A loop of links in the archive is followed until the stack ends.
    except (OSError, EOFError, tarfile.TarError, zlib.error, RecursionError) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}); delete it and fetch it again.") from error
    # A row is one image: 1024 red values, then green, then blue.
    try:
        rows = np.concatenate([np.asarray(batch["data"], dtype=np.uint8) for batch in batches])
        x = np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        y = np.concatenate([np.asarray(batch["labels"], dtype=np.int64) for batch in batches])
    except (ValueError, TypeError, OverflowError) as error:  # ragged rows, or no numbers
        raise DataError(
            f"{path}: its rows are no images of 3 x 32 x 32 ({error}); delete it and fetch it again."
        ) from error
    return Dataset(f"cifar10/{split}", x, y, mirror=True)


def _read_batch(tar: tarfile.TarFile, name: str, path: Path) -> dict[str, Any]:
    try:
        member = tar.extractfile(name)
    except KeyError as error:
        raise DataError(f"{path}: lacks {name}; delete it and fetch it again.") from error
    if member is None:
        raise DataError(f"{path}: {name} is not a file; delete it and fetch it again.")
    with member:
        try:
            batch = _ArrayUnpickler(member).load()
        except DataError:
            raise
        except Exception as error:  # A damaged pickle can make the machine stumble in any way.
            raise DataError(f"{path}: {name} is damaged ({error}); delete it and fetch it again.") from error
    if not isinstance(batch, dict) or not {"data", "labels"} <= batch.keys():
        raise DataError(f"{path}: {name} lacks data or labels; delete it and fetch it again.")
    return batch


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles numbers, strings, containers and NumPy arrays, and refuses everything else.

    A pickle may name any function to call; the names below are all that a batch needs.
    """

    def __init__(self, file: IO[bytes]) -> None:
        # Python 2 wrote the batches; its byte strings become str, whose characters NumPy takes as bytes.
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            # The path is the one of the NumPy that wrote the file.
            case (("numpy.core.multiarray" | "numpy._core.multiarray"), "_reconstruct"):
                return _empty_array
            case "numpy", "ndarray":
                return np.ndarray
            case "numpy", "dtype":
                return _numeric_dtype
        raise DataError(f"The CIFAR-10 archive asks for {module}.{name}, which no batch needs; fetch it again.")


def _empty_array(*_: object) -> np.ndarray[Any, Any]:
    """The array that the pickle's next step fills."""
    return np.ndarray.__new__(np.ndarray, (0,), np.uint8)


def _numeric_dtype(code: str, *_: object) -> np.dtype[Any]:
    dtype = np.dtype(code)
    if dtype.kind not in "biuf":
        raise DataError(f"The CIFAR-10 archive holds an array of {dtype}, which no batch does; fetch it again.")
    return dtype
