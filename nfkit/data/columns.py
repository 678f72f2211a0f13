"""Tables of samples, as Parquet and Arrow files hold them, to arrays.

The layout is that of Hugging Face: a column of images (a struct of `bytes` and `path`, or plain bytes) or of numbers, a
column of labels, and in the schema's metadata under `huggingface` what each column is and what the classes are called.
Files that other tools wrote lack the metadata; there the columns' names and types tell.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nfkit.data.dataset import Dataset, from_arrays
from nfkit.data.images import ImageReader, stack
from nfkit.data.limits import ImageShape, check_shape, check_size
from nfkit.data.names import LABELS, SAMPLES
from nfkit.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

_MORE_LABELS = ("fine_label",)


def require_pyarrow(name: str) -> None:
    """Says what to install where pyarrow is missing.

    Raises:
        DataError: When it is.
    """
    try:
        import pyarrow as pa  # noqa: F401
    except ImportError as error:
        raise DataError(
            f"{name}: reading Parquet and Arrow files needs pyarrow; install it with `pip install 'nfkit[parquet]'`."
        ) from error


def features_of(schema: pa.Schema) -> dict[str, Any]:
    """What the schema's metadata says of the columns; nothing where it is missing or damaged."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def from_table(
    name: str,
    schema: pa.Schema,
    features: dict[str, Any],
    parts: Iterable[pa.RecordBatch],
    rows: int,
    folder: Path,
    wanted: ImageShape | None,
    whole: bool,
) -> Dataset:
    """A data set from a table.

    Args:
        name: What messages call it.
        schema: The table's columns.
        features: What is said of them, by column.
        parts: The rows, in parts that fit the memory.
        rows: How many there are.
        folder: Where paths of images begin.
        wanted: What the model takes.
        whole: Whether the table serves either split.

    Raises:
        DataError: No column holds samples, several may hold the labels, or a value is missing.
    """
    samples, labels = _sample_column(name, schema, features), _label_column(name, schema, features)
    reader = ImageReader(rows, wanted)
    x: list[Any] = []
    y: list[Any] = []
    images = _is_image(schema.field(samples).type, features.get(samples))
    for part in parts:
        values = part.column(samples)
        if images:
            x += [_image(reader, f"{name}, row {len(x) + i}", v.as_py(), folder) for i, v in enumerate(values)]
        else:
            array = _numbers(name, values)
            check_shape(name, array.shape, wanted)
            check_size(name, rows * array[:1].nbytes)
            x.append(array)
        if labels is not None:
            y += part.column(labels).to_pylist()
    if not x or not sum(len(array) for array in x):
        raise DataError(f"{name}: holds no rows; give at least one sample and its label.")
    stacked = stack(x) if images else np.concatenate(x)
    numbers, classes = _label_numbers(name, y, features.get(labels or ""))
    return from_arrays(name, stacked, numbers, classes=classes, notes=reader.notes(), whole=whole)


def _sample_column(name: str, schema: pa.Schema, features: dict[str, Any]) -> str:
    columns = [str(column) for column in schema.names]
    declared = [c for c in columns if isinstance(features.get(c), dict) and features[c].get("_type") == "Image"]
    images = [c for c in columns if _is_image(schema.field(c).type, features.get(c))]
    named = [c for word in SAMPLES for c in columns if c.lower() == word]
    for candidates in (declared, images, named):
        if len(candidates) == 1 or (candidates and candidates is named):
            return candidates[0]
        if candidates:
            chosen = [c for c in named if c in candidates]
            if chosen:
                return chosen[0]
            raise DataError(f"{name}: columns {', '.join(candidates)} all hold images; call the one to use 'image'.")
    raise DataError(
        f"{name}: no column holds samples, of {', '.join(columns) or 'none'}; "
        "call it 'image' (bytes of image files) or 'x' (numbers), and the labels' column 'label'."
    )


def _label_column(name: str, schema: pa.Schema, features: dict[str, Any]) -> str | None:
    columns = [str(column) for column in schema.names]
    named = [c for word in (*LABELS, *_MORE_LABELS) for c in columns if c.lower() == word]
    if named:
        return named[0]
    declared = [c for c in columns if isinstance(features.get(c), dict) and features[c].get("_type") == "ClassLabel"]
    if len(declared) > 1:
        raise DataError(f"{name}: columns {', '.join(declared)} all hold labels; call the one to use 'label'.")
    return declared[0] if declared else None


def _is_image(kind: pa.DataType, feature: Any) -> bool:
    import pyarrow as pa

    if isinstance(feature, dict) and feature.get("_type") == "Image":
        return True
    if pa.types.is_struct(kind):
        return "bytes" in {kind.field(i).name for i in range(kind.num_fields)}
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _image(reader: ImageReader, where: str, value: Any, folder: Path) -> npt.NDArray[np.uint8]:
    content = value.get("bytes") if isinstance(value, dict) else value
    path = value.get("path") if isinstance(value, dict) else value if isinstance(value, str) else None
    if isinstance(content, bytes):
        return reader.read(io.BytesIO(content), where)
    if path:
        # A table from elsewhere must not reach files outside its own folder.
        if not (inside := (folder / path).resolve()).is_relative_to(folder.resolve()):
            raise DataError(f"{where}: names an image outside its folder ({path}); store the image's bytes instead.")
        return reader.read(inside, f"{where} ({path})")
    raise DataError(f"{where}: holds no image; remove the row, or give the image's bytes.")


def _numbers(name: str, values: pa.Array) -> npt.NDArray[Any]:
    """A column of numbers, or of lists of them as deep as they go, all of one shape."""
    import pyarrow as pa

    rows = len(values)
    shape: list[int] = []
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    while (
        pa.types.is_list(values.type) or pa.types.is_large_list(values.type) or pa.types.is_fixed_size_list(values.type)
    ):
        if values.null_count:
            raise DataError(f"{name}: a sample is missing; remove its row.")
        inner = values.flatten()
        length, rest = divmod(len(inner), len(values)) if len(values) else (0, 0)
        if rest or not all(len(entry) == length for entry in values):
            raise DataError(f"{name}: samples differ in length; give all of them the model's input size.")
        shape.append(length)
        values = inner
    if values.null_count:
        raise DataError(f"{name}: a value of a sample is missing; remove its row.")
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise DataError(f"{name}: samples are {values.type}, but inputs are numbers or images.")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(rows, *shape)


def _label_numbers(name: str, y: list[Any], feature: Any) -> tuple[npt.NDArray[Any] | None, list[str] | None]:
    names = feature.get("names") if isinstance(feature, dict) else None
    classes = [str(entry) for entry in names] if isinstance(names, list) else None
    if not y or all(label is None or label == -1 for label in y):  # test sets are published with labels of -1
        return None, classes
    if any(label is None for label in y):
        raise DataError(f"{name}: row {y.index(None)} has no label; remove it, or the labels of all rows.")
    if all(isinstance(label, str) for label in y):
        classes = sorted(set(y))
        return np.array([classes.index(label) for label in y], dtype=np.int64), classes
    try:
        return np.asarray(y), classes
    except ValueError as error:
        raise DataError(f"{name}: labels are no class numbers ({error}); give one number a row.") from error
