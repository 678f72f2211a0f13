"""Data sets in NumPy's files: `.npz`, and pairs of `.npy`."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from nfkit.data.dataset import Dataset, Split, from_arrays
from nfkit.data.limits import ImageShape, check_shape, check_size, shown
from nfkit.data.names import LABELS, SAMPLES, find_pair
from nfkit.errors import DataError

# Everything that a damaged, encrypted or foreign file makes zipfile and numpy raise.
_UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)

Header = tuple[tuple[int, ...], np.dtype[Any]]


def load_npz(path: Path, split: Split, wanted: ImageShape | None = None) -> Dataset:
    """Reads an `.npz` file by the names of its arrays, as `nfkit.data.names` says; without labels where it has none.

    An optional scalar `mirror` says whether a mirrored image keeps its label, an array `class_names` what the classes
    are called.

    Raises:
        DataError: The file is missing, damaged, too large, or lacks the arrays.
    """
    name = shown(path)
    if not path.is_file():
        raise DataError(f"{name}: there is no such file; give the path of an .npz file with arrays x and y.")
    try:
        headers = _headers(path)
        pair = _pair(name, headers, split)
        samples, labels, whole = pair
        shape, dtype = headers[samples]
        check_shape(name, shape, wanted)
        check_size(name, int(np.prod(shape, dtype=object)) * dtype.itemsize)
        # A pickle in a data file could run any code, so none is read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            x, y = archive[samples], None if labels is None else archive[labels]
            mirror = bool(archive["mirror"].all()) if "mirror" in archive.files else None
            classes = archive["class_names"].tolist() if "class_names" in archive.files else None
    # An .npy array under this name is no archive, which NumPy says with a TypeError, or on Python 3.10 AttributeError.
    except (*_UNREADABLE, TypeError, AttributeError) as error:
        raise DataError(
            f"{name}: cannot be read as an .npz file ({error}); "
            "save plain numeric arrays with numpy.savez(path, x=..., y=...)."
        ) from error
    names = [str(entry) for entry in classes] if isinstance(classes, list) else None
    return from_arrays(f"{shown(path.name)}:{samples}", x, y, mirror, classes=names, whole=whole)


def read_npz_pair(path: Path, split: Split) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """Samples and what stands beside them under a name for labels or targets, of any type and shape.

    Raises:
        DataError: As `load_npz`.
    """
    name = shown(path)
    if not path.is_file():
        raise DataError(f"{name}: there is no such file; give the path of an .npz file with arrays x and y.")
    try:
        samples, labels, _ = _pair(name, _headers(path), split)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return archive[samples], None if labels is None else archive[labels]
    except (*_UNREADABLE, TypeError, AttributeError) as error:
        raise DataError(f"{name}: cannot be read as an .npz file ({error}).") from error


def read_npy_pair(path: Path, split: Split) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """The same of `.npy` files.

    Raises:
        DataError: As `load_npy`.
    """
    samples, labels, _ = _npy_files(path, split)
    return _read_npy(samples), None if labels is None else _read_npy(labels)


def is_npy(path: Path) -> bool:
    """Whether the path is an `.npy` file, or a folder that holds some."""
    return path.is_file() if path.suffix == ".npy" else path.is_dir() and any(path.glob("*.npy"))


def load_npy(path: Path, split: Split, wanted: ImageShape | None = None) -> Dataset:
    """Reads samples in one `.npy` file, and their labels in the one beside it whose name says so.

    A folder holds `x.npy` and `y.npy`, or any other names of `nfkit.data.names`. A file `NAME_x.npy` goes with
    `NAME_y.npy`, likewise for the other names; a file whose name says nothing has no labels.

    Raises:
        DataError: There are no samples, or a file is damaged or too large.
    """
    samples, labels, whole = _npy_files(path, split)
    shape, dtype = _read_header(samples)
    check_shape(shown(samples), shape, wanted)
    check_size(shown(samples), int(np.prod(shape, dtype=object)) * dtype.itemsize)
    x, y = _read_npy(samples), None if labels is None else _read_npy(labels)
    return from_arrays(shown(samples.name), x, y, whole=whole)


def _npy_files(path: Path, split: Split) -> tuple[Path, Path | None, bool]:
    """The files of samples and labels, and whether they serve for training and measuring alike."""
    folder = path if path.is_dir() else path.parent
    files = {file.stem: file for file in sorted(folder.glob("*.npy"))}
    if not path.is_dir():
        return path, _labels_beside(path, files), True
    pair = find_pair(files, split)
    if pair is None:
        raise DataError(f"{shown(path)}: holds no samples for {split}; call the arrays x.npy and y.npy.")
    return files[pair[0]], files.get(pair[1] or ""), pair[2]


def _pair(name: str, headers: Mapping[str, Header], split: Split) -> tuple[str, str | None, bool]:
    try:
        pair = find_pair(headers, split)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    if pair is None:
        raise DataError(
            f"{name}: holds neither x_{split} and y_{split} nor x and y, but "
            f"{', '.join(sorted(headers)) or 'nothing'}; save it with numpy.savez(path, x_{split}=..., y_{split}=...)."
        )
    for array in (pair[0], pair[1]):
        if array is not None and headers[array][1].hasobject:
            raise DataError(
                f"{name}: cannot be read as an .npz file of numbers: '{array}' holds pickled Python objects, which "
                "could run any code; save plain numeric arrays with numpy.savez(path, x=..., y=...)."
            )
    return pair


def _labels_beside(path: Path, files: Mapping[str, Path]) -> Path | None:
    """The file whose name is that of the samples, but for one word for labels in place of the word for samples."""
    parts = re.split(r"([ _.\-]+)", path.stem.lower())
    others = {stem.lower(): file for stem, file in files.items()}
    for index, part in enumerate(parts):
        if part in SAMPLES:
            for word in LABELS:
                if (name := "".join([*parts[:index], word, *parts[index + 1 :]])) in others:
                    return others[name]
    return None


def _headers(path: Path) -> dict[str, Header]:
    """Shape and type of every array in an `.npz` file; nothing is unpacked but their first bytes."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as file:
                    found[member.removesuffix(".npy")] = _header(file)
    return found


def _header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _read_header(path: Path) -> Header:
    try:
        with path.open("rb") as file:
            return _header(file)
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def _read_npy(path: Path) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    except _UNREADABLE as error:
        raise _damaged(path, error) from error
    return array


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{shown(path)}: cannot be read as an .npy file ({error}); save a plain numeric array with numpy.save."
    )
