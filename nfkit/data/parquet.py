"""Data sets in Parquet files: one, or a folder of shards as Hugging Face publishes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nfkit.data.columns import features_of, from_table, require_pyarrow
from nfkit.data.dataset import Dataset, Split
from nfkit.data.limits import ImageShape, shown
from nfkit.data.names import SPLITS, matches_split
from nfkit.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 256  # decoded at once


_PATTERNS = ("*.parquet", "*/*.parquet", "*/*/*.parquet")


def is_parquet(path: Path) -> bool:
    """Whether the path is a Parquet file, or a folder that holds some."""
    if path.suffix == ".parquet" and path.is_file():
        return True
    return path.is_dir() and any(any(path.glob(pattern)) for pattern in _PATTERNS)


def find_shards(folder: Path, split: Split) -> tuple[list[Path], bool]:
    """The Parquet files of a split in a folder, its `data` folder, or folders one below, and whether they are all.

    A file belongs to a split by a word in its name or its folder's (`data/train-00000-of-00002.parquet`,
    `train/0000.parquet`); files that say no split serve either.

    Raises:
        DataError: The files say a split, but none this one.
    """
    files = sorted({file for pattern in _PATTERNS for file in folder.glob(pattern)})
    words = {file: _split_word(folder, file, split) for file in files}
    if any(words.values()):
        first = next(word for word in SPLITS[split] if word in words.values())
        return [file for file, word in words.items() if word == first], False
    other: Split = "test" if split == "train" else "train"
    if any(_split_word(folder, file, other) for file in files):
        raise DataError(f"{shown(folder)}: has Parquet files for {other}, but none for {split}; add some.")
    return files, True


def load_parquet(path: Path, split: Split, wanted: ImageShape | None = None) -> Dataset:
    """Reads one Parquet file, or the shards of a split in a folder.

    Raises:
        DataError: pyarrow is missing, a file is damaged, or its columns hold no samples.
    """
    name = shown(path.resolve().name)
    require_pyarrow(name)
    import pyarrow as pa
    import pyarrow.parquet as pq

    files, whole = find_shards(path, split) if path.is_dir() else ([path], True)
    try:
        readers = [pq.ParquetFile(file) for file in files]
        schema = readers[0].schema_arrow
        if any(not reader.schema_arrow.equals(schema) for reader in readers):
            raise DataError(f"{name}: its Parquet files have different columns; keep those of one data set there.")

        def parts() -> Iterator[pa.RecordBatch]:
            for reader in readers:
                yield from reader.iter_batches(_ROWS)

        rows = sum(reader.metadata.num_rows for reader in readers)
        title = name if whole else f"{name}/{split}"
        return from_table(title, schema, features_of(schema), parts(), rows, files[0].parent, wanted, whole)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{name}: cannot be read as Parquet ({_line(error)}); write it again.") from error


def _split_word(folder: Path, file: Path, split: Split) -> str | None:
    parts = file.relative_to(folder).parts
    return next((word for part in reversed(parts) if (word := matches_split(part, split))), None)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
