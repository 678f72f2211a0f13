"""Data sets that are folders of image files: one subfolder a class, or a table of labels, or no labels at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nfkit.data.dataset import Dataset, Split
from nfkit.data.images import SUFFIXES, ImageReader, stack
from nfkit.data.label_table import find_table, read_table
from nfkit.data.limits import ImageShape, shown
from nfkit.data.names import SPLITS
from nfkit.errors import DataError


def load_folder(path: Path, split: Split, wanted: ImageShape | None = None) -> Dataset:
    """Reads a folder with one subfolder a class, with a CSV table of labels, or with images alone.

    Class subfolders are numbered from 0 in sorted order; names that are all numbers are sorted as numbers.
    Where the folder holds `train` and `test`, each laid out like that, `split` picks one, and the classes are
    numbered over both, so that a class missing from one of them does not shift the labels. Where there is no `test`,
    `val`, `valid` or `validation` is measured on.

    Raises:
        DataError: There are no images, one is unreadable or of another size than the rest while nothing says which
            size is right, or the table of labels is malformed.
    """
    root, siblings = _split_root(path, split)
    table = find_table(root, split) or (find_table(path, split) if root != path else None)
    names: list[str] | None
    if table is not None:
        samples, names = read_table(table, root, [find_table(s, split) for s in siblings], split)
    else:
        samples, names = _from_subfolders(root, siblings)
    if not samples and table is None:
        samples, names = [(file, None) for file in _images_in(root)], None
    if not samples:
        raise DataError(
            f"{shown(root)}: there are no images in it; give one subfolder of images for each class, "
            "or a labels.csv with columns file,label."
        )
    reader = ImageReader(len(samples), wanted)
    x = stack([reader.read(file, shown(file)) for file, _ in samples])
    labels = [label for _, label in samples if label is not None]
    name = shown(path.resolve().name)
    return Dataset(
        name if root == path else f"{name}/{split}",
        x,
        np.array(labels, dtype=np.int64) if labels else None,
        classes=names,
        notes=reader.notes(),
        whole=root == path,
    )


def _split_root(path: Path, split: Split) -> tuple[Path, list[Path]]:
    """The folder that holds the split, and all the folders over which classes are numbered."""
    names = {child.name.lower(): child for child in path.iterdir() if child.is_dir() and not _is_hidden(child)}
    found = {part: [names[word] for word in words if word in names] for part, words in SPLITS.items()}
    # A lone "train" beside other subfolders is the class of railway trains.
    if found["train"] and found["test"]:
        return found[split][0], [*found["train"], *found["test"]]
    if len(names) == 1 and (found["train"] or found["test"]):
        if not found[split]:
            raise DataError(
                f"{shown(path)}: has a {next(iter(names))} subfolder, but none for {split}; add {shown(path / split)}."
            )
        return found[split][0], found[split]
    return path, [path]


def _from_subfolders(root: Path, siblings: list[Path]) -> tuple[list[tuple[Path, int | None]], list[str]]:
    names = {child.name for sibling in siblings for child in sibling.iterdir() if child.is_dir()}
    names = {name for name in names if not name.startswith(".")}
    numeric = all(name.isdecimal() for name in names)
    classes = sorted(names, key=lambda name: (int(name) if numeric else 0, name))
    samples: list[tuple[Path, int | None]] = [
        (file, label)
        for label, name in enumerate(classes)
        if (root / name).is_dir()
        for file in _images_in(root / name)
    ]
    return samples, [shown(name) for name in classes]


def _images_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")
