"""Data sets that are folders of image files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from nfkit.data import images
from nfkit.data.dataset import Dataset, Split
from nfkit.errors import DataError


def load_folder(path: Path, split: Split) -> Dataset:
    """Reads a folder with one subfolder a class, or with a `labels.csv` (columns file, label).

    Class subfolders are numbered from 0 in sorted order; names that are all numbers are sorted as numbers.
    Where the folder holds `train` and `test`, each laid out like that, `split` picks one, and the classes are
    numbered over both, so that a class missing from one of them does not shift the labels.

    Raises:
        DataError: There are no images, one is unreadable or of another size, or `labels.csv` is malformed.
    """
    root, siblings = _split_root(path, split)
    samples = _from_csv(root) if (root / "labels.csv").is_file() else _from_subfolders(root, siblings)
    if not samples:
        raise DataError(
            f"{root}: there are no images in it; give one subfolder of images for each class, "
            "or a labels.csv with columns file,label."
        )
    files = [file for file, _ in samples]
    x = images.stack([images.decode(file, str(file)) for file in files], [str(file) for file in files])
    name = path.resolve().name
    return Dataset(
        name if root == path else f"{name}/{split}",
        x,
        np.array([label for _, label in samples], dtype=np.int64),
    )


def _split_root(path: Path, split: Split) -> tuple[Path, list[Path]]:
    """The folder that holds the split, and all the folders over which classes are numbered."""
    names = {child.name for child in path.iterdir() if child.is_dir() and not child.name.startswith(".")}
    # A lone "train" beside other subfolders is the class of railway trains.
    if {"train", "test"} <= names:
        return path / split, [path / "train", path / "test"]
    if names in ({"train"}, {"test"}):
        if split not in names:
            raise DataError(f"{path}: has a {names.pop()} subfolder, but none for {split}; add {path / split}.")
        return path / split, [path / split]
    return path, [path]


def _from_subfolders(root: Path, siblings: list[Path]) -> list[tuple[Path, int]]:
    names = {
        child.name
        for sibling in siblings
        for child in sibling.iterdir()
        if child.is_dir() and not child.name.startswith(".")
    }
    numeric = all(name.isdecimal() for name in names)
    classes = sorted(names, key=lambda name: (int(name) if numeric else 0, name))
    return [
        (file, label)
        for label, name in enumerate(classes)
        if (root / name).is_dir()
        for file in sorted((root / name).iterdir())
        if file.is_file() and file.suffix.lower() in images.SUFFIXES
    ]


def _from_csv(root: Path) -> list[tuple[Path, int]]:
    table = root / "labels.csv"
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            columns = rows.fieldnames or []
            if not {"file", "label"} <= set(columns):
                found = ", ".join(columns) or "none"
                raise DataError(f"{table}: needs columns file and label, but has {found}; mend its first line.")
            return [_sample(root, f"{table}, line {rows.line_num}", row["file"], row["label"]) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as CSV ({error}); save it as UTF-8 text.") from error


def _sample(root: Path, where: str, file: str | None, label: str | None) -> tuple[Path, int]:
    if not file or not label:
        raise DataError(f"{where}: lacks a file or a label; give both.")
    if not label.strip().isdecimal():
        raise DataError(f"{where}: label {label!r} is no class number; number the classes from 0.")
    path = root / file
    if not path.is_file():
        raise DataError(f"{where}: there is no file {path}; paths are relative to the folder of labels.csv.")
    return path, int(label)
