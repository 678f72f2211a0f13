"""GTSRB: 26,640 + 12,630 photographs of German traffic signs, 43 classes, here resized to 32 x 32.

Stallkamp, Schlipsing, Salmen, Igel: Man vs. computer: Benchmarking machine learning algorithms for traffic
sign recognition (2012).
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from nfkit.data.dataset import Dataset, Split
from nfkit.data.download import Remote, fetch
from nfkit.data.images import ImageReader, stack
from nfkit.errors import DataError

_BASE = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370"

FILES: Mapping[Split, tuple[Remote, ...]] = {
    "train": (Remote(f"{_BASE}/GTSRB-Training_fixed.zip", "md5:513f3c79a4c5141765e10e952eaa2478"),),
    "test": (
        Remote(f"{_BASE}/GTSRB_Final_Test_Images.zip", "md5:c7e4e6327067d32654124b0fe9e82185"),
        Remote(f"{_BASE}/GTSRB_Final_Test_GT.zip", "md5:fe31e9c9270bbcd7b84b7f21a9d9d9e5"),
    ),
}
"""The training images in one folder a class; the test images, and apart from them their labels."""

SIZE = (32, 32)


def load_gtsrb(split: Split, cache: Path, files: Mapping[Split, tuple[Remote, ...]] = FILES) -> Dataset:
    """Fetches the archives into `cache` and decodes one split; mirrored signs are other signs."""
    paths = [fetch(remote.url, remote.checksum, cache) for remote in files[split]]
    try:
        labels = _labels_from_csv(paths[1]) if split == "test" else None
        with zipfile.ZipFile(paths[0]) as archive:
            members = sorted(name for name in archive.namelist() if name.endswith(".ppm"))
            y = [_label(name, labels, paths[0]) for name in members]
            reader = ImageReader(len(members), (3, *SIZE), squeeze=True)
            x = []
            for name in members:
                with archive.open(name) as file:
                    x.append(reader.read(io.BytesIO(file.read()), f"{paths[0]}: {name}"))
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        names = ", ".join(str(path) for path in paths)
        raise DataError(f"{names}: cannot be unpacked ({error}); delete and fetch again.") from error
    if not x:
        raise DataError(f"{paths[0]}: there are no .ppm images in it; delete it and fetch it again.")
    return Dataset(f"gtsrb/{split}", stack(x), np.array(y, dtype=np.int64), mirror=False)


def _labels_from_csv(path: Path) -> dict[str, int]:
    """Reads `Filename;...;ClassId` rows into a table from file name to class."""
    with zipfile.ZipFile(path) as archive:
        tables = [name for name in archive.namelist() if name.endswith(".csv")]
        if not tables:
            raise DataError(f"{path}: there is no .csv of labels in it; delete it and fetch it again.")
        with archive.open(tables[0]) as raw:
            rows = csv.DictReader(io.TextIOWrapper(raw, "utf-8", newline=""), delimiter=";")
            try:
                return {row["Filename"]: int(row["ClassId"]) for row in rows}
            except (KeyError, TypeError, ValueError, csv.Error) as error:
                raise DataError(
                    f"{path}: {tables[0]} is not a table with Filename and ClassId ({error!r}); "
                    "delete it and fetch it again."
                ) from error


def _label(member: str, labels: Mapping[str, int] | None, path: Path) -> int:
    """The class of an image: its row in the table, or the number of its folder where there is no table."""
    image = PurePosixPath(member)
    if labels is None and image.parent.name.isdecimal():
        return int(image.parent.name)
    if labels is not None and image.name in labels:
        return labels[image.name]
    raise DataError(f"{path}: {member} has no label; delete it and fetch it again.")
