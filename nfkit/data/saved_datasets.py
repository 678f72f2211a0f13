"""Data sets that the `datasets` library saved to disk; read with pyarrow alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nfkit.data.columns import features_of, from_table, require_pyarrow
from nfkit.data.dataset import Dataset, Split
from nfkit.data.limits import ImageShape, shown
from nfkit.data.names import SPLITS
from nfkit.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def load_saved(path: Path, split: Split, wanted: ImageShape | None = None) -> Dataset:
    """Reads what `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote.

    Raises:
        DataError: pyarrow is missing, a file is missing or damaged, or there is no such split.
    """
    name = shown(path.resolve().name)
    require_pyarrow(name)
    import pyarrow as pa

    whole = not (path / "dataset_dict.json").is_file()
    try:
        folder = path if whole else _split_folder(path, split)
        files = [folder / entry["filename"] for entry in _json(folder / "state.json")["_data_files"]]
        schema = _open(files[0]).schema
        info = _json(folder / "dataset_info.json").get("features")
        features: dict[str, Any] = info if isinstance(info, dict) else features_of(schema)

        def parts() -> Iterator[pa.RecordBatch]:
            for file in files:
                yield from _open(file)

        rows = sum(part.num_rows for part in parts())
        title = name if whole else f"{name}/{split}"
        return from_table(title, schema, features, parts(), rows, folder, wanted, whole)
    except (pa.ArrowException, OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(
            f"{name}: cannot be read as a saved data set ({type(error).__name__}: {error}); save it again with "
            "save_to_disk."
        ) from error


def _split_folder(path: Path, split: Split) -> Path:
    splits = _json(path / "dataset_dict.json")["splits"]
    word = next((word for word in SPLITS[split] if word in splits), None)
    if word is None:
        raise DataError(f"{shown(path)}: holds {', '.join(map(str, splits))}, but nothing for {split}; add it.")
    return path / word


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is no table")
    return content


def _open(path: Path) -> pa.RecordBatchStreamReader:
    import pyarrow as pa

    return pa.ipc.open_stream(pa.memory_map(str(path)))
