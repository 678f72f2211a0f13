"""Data sets from objects: arrays, torch data sets and loaders, rows of other libraries, plain iterables.

Nothing here imports torch: what an object is, is told by what it offers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.data.dataset import Dataset, Split, from_arrays
from nfkit.data.images import ImageReader, stack
from nfkit.data.limits import ImageShape, check_size
from nfkit.data.names import SPLITS, find_pair
from nfkit.errors import DataError

_WAYS = "return (x, y), a torch Dataset or DataLoader, an iterable of (sample, label), or a nfkit.data.Dataset"


def from_object(source: str, result: Any, split: Split, wanted: ImageShape | None = None) -> tuple[Dataset, bool]:
    """A data set from what a function returned.

    Args:
        source: What messages call it.
        result: A `Dataset`; (x, y), or a mapping of arrays under customary names; x alone, without labels; a torch
            DataLoader, which gives batches; a torch Dataset or any other finite iterable of samples: (x, y), a mapping,
            or x alone. Images may be Pillow's. Or two of these, as ((x, y), (x, y)) for training and test, or as a
            mapping with a key for each.
        split: Which of the two to take.
        wanted: What the model takes, where that is known.

    Returns:
        The data set, and whether it was one of two.

    Raises:
        DataError: It is none of these, its samples differ in shape, or it has more than the memory holds.
    """
    if isinstance(result, Mapping) and (word := next((w for w in SPLITS[split] if w in result), None)):
        return from_object(source, result[word], split, wanted)[0], True
    if isinstance(result, tuple) and len(result) == 2 and all(_is_pair(part) for part in result):
        return from_object(source, result[0 if split == "train" else 1], split, wanted)[0], True
    return _from_one(source, result, wanted), False


def _from_one(source: str, result: Any, wanted: ImageShape | None) -> Dataset:
    if isinstance(result, Dataset):
        return result
    if _is_array(result):
        return from_arrays(source, _array(source, result), None)
    if isinstance(result, Mapping) or _is_pair(result):
        x, y = _pair_of(source, result)
        return from_arrays(source, _array(source, x), None if y is None else _array(source, y))
    rows = None if isinstance(result, tuple) else _rows_of(result)
    if rows is None:
        many = f" of {len(result)}" if isinstance(result, tuple) else ""
        raise DataError(f"{source} returned a {type(result).__name__}{many}; {_WAYS}.")
    batched = hasattr(result, "batch_size") and hasattr(result, "dataset")
    return _collect(source, rows, batched, len(result) if hasattr(result, "__len__") else 1, wanted)


def _rows_of(result: Any) -> Iterable[Any] | None:
    """The samples or batches of an object, in order."""
    # A torch Dataset is indexed up to its length; iterating over it would go on until an index fails.
    if hasattr(result, "__getitem__") and hasattr(result, "__len__") and not isinstance(result, (str, bytes)):
        return result if hasattr(result, "__iter__") else (result[index] for index in range(len(result)))
    return result if isinstance(result, Iterable) and not isinstance(result, (str, bytes)) else None


def _collect(source: str, rows: Iterable[Any], batched: bool, count: int, wanted: ImageShape | None) -> Dataset:
    x: list[Any] = []
    y: list[Any] = []
    size = 0
    reader = ImageReader(count, wanted)
    for row in rows:
        sample, label = _pair_of(source, row)
        labels = None if label is None else _array(source, label)
        if hasattr(sample, "getexif"):  # a picture of Pillow's
            values = reader.convert(sample, f"{source}, sample {len(x)}")
        else:
            values = _array(source, sample)
        if not x and labels is not None and labels.dtype.kind in "iu":
            # One number for each entry along the first axis: a batch, and so are all the others.
            batched = batched or (labels.ndim == 1 and labels.shape == values.shape[:1])
        x += list(values) if batched else [values]
        if labels is not None:
            y += list(labels) if batched else [labels]
        size += values.nbytes
        check_size(source, size)  # an iterable may have no end
    if not x:
        raise DataError(f"{source} gave no samples; {_WAYS}.")
    if y and len(y) != len(x):
        raise DataError(f"{source}: gave {len(x)} samples, but {len(y)} labels; give one label for each sample.")
    pictures = all(values.dtype == np.uint8 and values.ndim == 3 for values in x)
    shapes = {values.shape[:2] if pictures else values.shape for values in x}
    if len(shapes) > 1 or len({labels.shape for labels in y}) > 1:
        listed = ", ".join(map(str, sorted(shapes)[:3]))
        raise DataError(f"{source}: samples differ in shape ({listed}); resize all of them to the model's input size.")
    reader.count = len(x)
    return from_arrays(source, stack(x) if pictures else np.stack(x), np.array(y) if y else None, notes=reader.notes())


def _pair_of(source: str, row: Any) -> tuple[Any, Any]:
    """The sample and the label, or None for it, of one row or batch."""
    if isinstance(row, Mapping):
        pair = find_pair([str(key) for key in row], "train") or find_pair([str(key) for key in row], "test")
        if pair is None:
            raise DataError(f"{source}: no key of {', '.join(map(str, row))} holds samples; call it 'x' or 'image'.")
        return row[pair[0]], None if pair[1] is None else row[pair[1]]
    if isinstance(row, (tuple, list)) and len(row) in (1, 2):
        return row[0], row[1] if len(row) == 2 else None
    return row, None


def _is_pair(entry: Any) -> bool:
    """Whether it is (samples, labels), and not two rows of a sample and a label each."""
    return isinstance(entry, (tuple, list)) and len(entry) == 2 and all(map(_is_many, entry))


def _is_many(entry: Any) -> bool:
    """Whether it is an array, or a list that makes one: of numbers alone, of arrays alone, or of such lists."""
    if not isinstance(entry, (tuple, list)):
        return _is_array(entry) and len(entry.shape) > 0
    first = entry[:2]
    scalars = (isinstance(one, (int, float)) or _is_array(one) for one in first)
    return bool(first) and (all(map(_is_many, first)) or (not any(map(_is_many, first)) and all(scalars)))


def _is_array(entry: Any) -> bool:
    return hasattr(entry, "__array__") and hasattr(entry, "shape")


def _array(source: str, value: Any) -> npt.NDArray[Any]:
    # A tensor that takes part in a gradient, or lies on another device, makes no array as it is.
    for step in ("detach", "cpu"):
        if hasattr(value, step):
            value = getattr(value, step)()
    try:
        return np.asarray(value)
    except Exception as error:
        raise DataError(
            f"{source} returned something that makes no array ({type(error).__name__}: {error}); "
            "return (x, y) as NumPy arrays."
        ) from error
