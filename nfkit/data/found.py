"""Data that was not named: looked for beside the model, by rules that a message can state.

For `model.onnx` or `model.nf.onnx`, in this order:

1. the data that a protected file's record names, where its digest is still the recorded one;
2. `model.train.npz` or `model.test.npz` by the split, then `model.npz`; each of them `.parquet` as well;
3. a folder `data`;
4. folders `train` and `test`;
5. the only `.npz` or `.parquet` file that belongs to no other model.

All of them in the model's own folder. A function is never called because a file names it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nfkit.data.dataset import Dataset, Split
from nfkit.data.function import is_function
from nfkit.data.limits import ImageShape, shown
from nfkit.data.named import NAMED
from nfkit.data.names import SPLITS
from nfkit.data.sources import load, load_for_training
from nfkit.errors import DataError, NfkitError

if TYPE_CHECKING:
    import onnx_ir as ir

DATA_KEY = "nfkit.data"
"""Metadata of a protected file: the data it was trained and measured on, as `describe_data` says."""

_SUFFIXES = (".npz", ".parquet")


@dataclass(frozen=True)
class Found:
    """Data that was found.

    Attributes:
        data: The data.
        source: What to give to `--data` for the same.
        sentence: What was taken, and by which rule.
    """

    data: Dataset
    source: str
    sentence: str


def find_data(
    model_path: str | os.PathLike[str],
    split: Split,
    model: ir.Model | None = None,
    wanted: ImageShape | None = None,
) -> Found:
    """Finds data for a model.

    Args:
        model_path: The model's file.
        split: Which part of the data is needed.
        model: The model as read; its record is looked at where it is protected.
        wanted: What the model takes, as for `load`.

    Raises:
        DataError: There is none, with the shortest ways to give some; or what was found is unusable.
    """
    found = look_for_data(model_path, split, model, wanted)
    if found is None:
        raise _nothing(Path(model_path), split)
    return found


def look_for_data(
    model_path: str | os.PathLike[str],
    split: Split,
    model: ir.Model | None = None,
    wanted: ImageShape | None = None,
) -> Found | None:
    """The same for what can do without data: None where there is none.

    Raises:
        DataError: What was found is unusable.
    """
    path = Path(model_path)
    changed = None
    if model is not None and DATA_KEY in model.metadata_props:
        recorded, changed = _recorded(path, split, model.metadata_props[DATA_KEY], wanted)
        if recorded is not None:
            return recorded
    rule = _beside(path, split)
    if rule is None:
        return None
    source, why = rule
    data = _load(source, split, wanted)
    sentence = f"data: {data.name}, {len(data):,} samples ({why})"
    return Found(data, source, f"{sentence}; {changed}" if changed else sentence)


def find_for_training(
    model_path: str | os.PathLike[str], seed: int, wanted: ImageShape | None = None, test_data: str | None = None
) -> tuple[Dataset, Dataset, str]:
    """Finds what to train on and what to measure on, by the same rules; the latter only where it is not named.

    Returns:
        (data to train on, data to measure on, a sentence that says what was taken).

    Raises:
        DataError: There is none, or it is unusable.
    """
    path = Path(model_path)
    rule, other = _beside(path, "train"), _beside(path, "test")
    if rule is None:
        raise _nothing(path, "train")
    test_source = test_data or (None if other is None or other[0] == rule[0] else other[0])
    try:
        train, test = load_for_training(rule[0], test_source, seed, wanted)
    except DataError as error:
        raise _unusable(rule[0], error) from error
    sentence = f"data: {train.name}, {len(train):,} samples to train on ({rule[1]})"
    where = f" ({other[1]})" if other is not None and test_source and test_data is None else ""
    return train, test, f"{sentence}, {len(test):,} of {test.name} to measure on{where}"


def require_data(model_path: str | os.PathLike[str], split: Split) -> None:
    """Refuses where the folder holds nothing that the rules take, before any work is done.

    Raises:
        DataError: There is none, with the shortest ways to give some.
    """
    if _beside(Path(model_path), split) is None:
        raise _nothing(Path(model_path), split)


def describe_data(train: Dataset, test: Dataset, seed: int, output: Path, clean_base: float) -> str:
    """What a protected file records of its data, so that it can be found again.

    Args:
        train: What the generator was trained on.
        test: What it was measured on.
        seed: Seed by which a source without splits was divided.
        output: The file; paths are recorded as seen from its folder.
        clean_base: Accuracy of the base without errors on what it was measured on.
    """

    def entry(data: Dataset) -> dict[str, Any]:
        source = data.source
        if source is not None and source not in NAMED and os.path.exists(source):
            source = os.path.relpath(source, output.parent)
        return {"source": source, "name": data.name, "n": len(data), "sha256": _digest(data), "labels": data.labels}

    record = {"train": entry(train), "test": entry(test), "seed": seed}
    if test.labels == "data":
        record["clean_base"] = round(clean_base, 6)
    return json.dumps(record, sort_keys=True)


def _digest(data: Dataset) -> str:
    """Digest of what the source holds: labels that the base gave are not in it."""
    return data.sha256 if data.labels == "data" else data.changed(y=None).sha256


def _recorded(path: Path, split: Split, text: str, wanted: ImageShape | None) -> tuple[Found | None, str | None]:
    """The data that a record names, or why it cannot be taken."""
    try:
        record = json.loads(text)
        entry, seed = record[split], int(record["seed"])
        source, digest, name = entry["source"], str(entry["sha256"]), str(entry["name"])
    except (ValueError, KeyError, TypeError):
        return None, "the file's own record of its data is damaged"
    if not isinstance(source, str) or "\0" in source:
        return None, None
    candidates = [source] if source in NAMED else [str(path.parent / source), str(path.parent / Path(source).name)]
    for candidate in dict.fromkeys(candidates):
        if is_function(candidate) or not (candidate in NAMED or os.path.isfile(candidate) or os.path.isdir(candidate)):
            continue
        try:
            data = load(candidate, split, wanted)
            if _digest(data) != digest and data.whole:
                data = load_for_training(candidate, None, seed, wanted)[0 if split == "train" else 1]
        except NfkitError:
            continue
        if _digest(data) == digest:
            sentence = f"data: {data.name}, {len(data):,} samples (the file's own record names them; digest verified)"
            return Found(data, candidate, sentence), None
        return None, f"{name}, which the file's own record names, has changed since"
    return None, None


def _beside(path: Path, split: Split) -> tuple[str, str] | None:
    """A source in the model's folder, and the rule that found it."""
    folder, stem = path.parent, _stem(path)
    for suffix in _SUFFIXES:
        for word in SPLITS[split]:
            if (file := folder / f"{stem}.{word}{suffix}").is_file():
                return str(file), f"{shown(file.name)} beside the model"
    for suffix in _SUFFIXES:
        if (file := folder / f"{stem}{suffix}").is_file():
            return str(file), f"{shown(file.name)} beside the model"
    if (folder / "data").is_dir():
        return str(folder / "data"), "the folder data beside the model"
    # One after the other: with both, the classes are numbered over the two.
    parts = {part: [w for w in words if (folder / w).is_dir()] for part, words in SPLITS.items()}
    if parts["train"] and parts["test"]:
        return str(folder), f"the folder {parts[split][0]} beside the model"
    if parts[split]:
        return str(folder / parts[split][0]), f"the folder {parts[split][0]} beside the model"
    owned = {stem, *(_stem(model) for model in folder.glob("*.onnx"))}
    free = [
        file
        for suffix in _SUFFIXES
        for file in sorted(folder.glob(f"*{suffix}"))
        if not any(file.name.startswith(f"{owner}.") for owner in owned)
    ]
    if len(free) == 1:
        return str(free[0]), f"{shown(free[0].name)}, the only data file beside the model"
    return None


def _stem(path: Path) -> str:
    return path.name.removesuffix(".onnx").removesuffix(".nf")


def _load(source: str, split: Split, wanted: ImageShape | None) -> Dataset:
    try:
        return load(source, split, wanted)
    except DataError as error:
        raise _unusable(source, error) from error


def _unusable(source: str, error: DataError) -> DataError:
    return DataError(f"no --data was given, and {shown(source)}, found beside the model, cannot be used: {error}")


def _nothing(path: Path, split: Split) -> DataError:
    stem = shown(_stem(path))
    looked = f"{stem}.{split}.npz, {stem}.npz, data/, train/ and test/, or a single .npz file"
    ways = {
        f"{split}.npz": f"arrays x and y: numpy.savez('{split}.npz', x=samples, y=class_numbers)",
        "photos/": "a folder with one subfolder of images for each class",
        "mydata.py:load": "a function of yours that returns (x, y), or a torch data set",
    }
    listed = "\n".join(f"  --data {source:<16}{what}" for source, what in ways.items())
    return DataError(
        f"no data to {'train' if split == 'train' else 'measure'} on: no --data was given, and beside "
        f"'{shown(path)}' there is none ({looked}); give --data in one of these ways:\n{listed}"
    )
