"""From what a user writes after `--data` to a data set.

A form of data is one module with a function (path or source, split, what the model takes) -> Dataset, and one entry of
`FORMS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from nfkit.data.dataset import Dataset, Split
from nfkit.data.folder import load_folder
from nfkit.data.function import is_function, load_function
from nfkit.data.limits import ImageShape
from nfkit.data.named import NAMED, load_named
from nfkit.data.npz import is_npy, load_npy, load_npz
from nfkit.data.parquet import is_parquet, load_parquet
from nfkit.data.saved_datasets import is_saved, load_saved
from nfkit.errors import DataError, OptionError


@dataclass(frozen=True)
class Form:
    """A form in which people have data.

    Attributes:
        name: What a message calls it.
        fits: Whether a source is of this form; the first that fits is taken.
        read: Reads it.
    """

    name: str
    fits: Callable[[str, Path], bool]
    read: Callable[[str, Path, Split, ImageShape | None], Dataset]


FORMS = (
    Form(
        "an .npz file with arrays x and y",
        lambda source, path: path.suffix == ".npz",
        lambda source, path, split, wanted: load_npz(path, split, wanted),
    ),
    Form(
        f"one of {', '.join(sorted(NAMED))}",
        lambda source, path: source in NAMED,
        lambda source, path, split, wanted: load_named(source, split),
    ),
    Form(
        "x.npy with y.npy beside it",
        lambda source, path: is_npy(path),
        lambda source, path, split, wanted: load_npy(path, split, wanted),
    ),
    Form(
        "a folder that datasets saved",
        lambda source, path: is_saved(path),
        lambda source, path, split, wanted: load_saved(path, split, wanted),
    ),
    Form(
        "Parquet with images",
        lambda source, path: is_parquet(path),
        lambda source, path, split, wanted: load_parquet(path, split, wanted),
    ),
    Form(
        "a folder of images",
        lambda source, path: source != "" and path.is_dir(),
        lambda source, path, split, wanted: load_folder(path, split, wanted),
    ),
    Form(
        "module:function",
        lambda source, path: is_function(source),
        lambda source, path, split, wanted: load_function(source, split, wanted),
    ),
)
"""The forms, in the order in which they are tried. A name wins over a folder called like it: write `./cifar10`."""


def load(source: str | os.PathLike[str], split: Split, wanted: ImageShape | None = None) -> Dataset:
    """Loads a data set.

    Args:
        source: What a form of `FORMS` takes: an `.npz` or `.npy` or `.parquet` file, a folder of images, Parquet files
            or of a saved data set, the name of a known data set, `module:function` or `file.py:function`.
        split: Which part to load, where the source has both.
        wanted: (channels, height, width) that the model takes, `InputSpec.image_shape`: images of another size are
            fitted to it, and arrays that cannot be are refused before they are read.

    Raises:
        DataError: `source` is none of these, or what it names cannot be read.
    """
    if split not in get_args(Split):
        raise OptionError(f"There is no split {split!r}; choose train or test.")
    source = os.fspath(source)
    try:
        path = Path(source).expanduser()
        form = next((form for form in FORMS if form.fits(source, path)), None)
    except (RuntimeError, OSError, ValueError) as error:  # ~nobody, a name too long for a file, a zero byte
        raise DataError(f"--data {source[:80]!r}: {error}; give the path of a file or folder.") from error
    if form is not None:
        return form.read(source, path, split, wanted).changed(source=source)
    problem = "is a file of no known form" if os.path.isfile(path) else "names no data"
    raise DataError(
        f"--data {source!r} {problem}; give {', '.join(form.name for form in FORMS[:-1])}, or {FORMS[-1].name}."
    )


def load_for_training(
    source: str | os.PathLike[str],
    test_source: str | os.PathLike[str] | None,
    seed: int,
    wanted: ImageShape | None = None,
) -> tuple[Dataset, Dataset]:
    """Loads what to train on and what to measure on, which never share a sample.

    Args:
        source: Where the training samples are.
        test_source: Where the test samples are; the test split of `source` by default. A source without splits
            gives a tenth of its samples away for the test.
        seed: Seed of that division.
        wanted: What the model takes, as for `load`.

    Raises:
        DataError: There is no such data, or it is unusable.
    """
    train = load(source, "train", wanted)
    # Read once: what shuffles or augments would come out differently the second time, and share its samples.
    if train.whole and test_source is None:
        return train.hold_out(0.1, seed)
    test = load(test_source if test_source is not None else source, "test", wanted)
    return train.hold_out(0.1, seed) if train.sha256 == test.sha256 else (train, test)
