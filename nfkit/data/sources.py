"""From what a user writes after `--data` to a data set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from nfkit.data.dataset import Dataset, Split
from nfkit.data.folder import load_folder
from nfkit.data.function import load_function
from nfkit.data.named import NAMED, load_named
from nfkit.data.npz import load_npz
from nfkit.errors import DataError, OptionError

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def load(source: str, split: Split) -> Dataset:
    """Loads a data set.

    Args:
        source: One of four kinds: an `.npz` file, a folder of images, the name of a known data set, or
            `module:function`. A name wins over a folder called like it; write `./cifar10` for the folder.
        split: Which part to load, where the source has both.

    Raises:
        DataError: `source` is none of these, or what it names cannot be read.
    """
    if split not in get_args(Split):
        raise OptionError(f"There is no split {split!r}; choose train or test.")
    if source in NAMED:
        return load_named(source, split)
    path = Path(source).expanduser()
    if path.suffix == ".npz":
        return load_npz(path, split)
    if source and path.is_dir():
        return load_folder(path, split)
    if _FUNCTION.fullmatch(source):
        return load_function(source, split)
    problem = "is a file, but not an .npz one" if path.is_file() else "names no data"
    raise DataError(
        f"--data {source!r} {problem}; give an .npz file with arrays x and y, a folder of images, "
        f"one of {', '.join(sorted(NAMED))}, or module:function."
    )


def load_for_training(source: str, test_source: str | None, seed: int) -> tuple[Dataset, Dataset]:
    """Loads what to train on and what to measure on, which never share a sample.

    Args:
        source: Where the training samples are.
        test_source: Where the test samples are; the test split of `source` by default. A source without splits
            gives a tenth of its samples away for the test.
        seed: Seed of that division.

    Raises:
        DataError: There is no such data, or it is unusable.
    """
    train, test = load(source, "train"), load(test_source or source, "test")
    if train.sha256 == test.sha256:
        return train.hold_out(0.1, seed)
    return train, test
