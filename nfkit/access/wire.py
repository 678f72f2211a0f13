"""Tensors on the wire: the Open Inference Protocol (v2) over HTTP, in JSON or with its binary extension.

Both ends use this module: the client that asks an endpoint, and the server that stands in for one. A body is one JSON
object; with the extension, raw little-endian tensors follow it, and a header says where they begin.

https://github.com/kserve/open-inference-protocol, https://docs.nvidia.com/deeplearning/triton-inference-server
(extension "binary_tensor_data").
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LENGTH_HEADER = "Inference-Header-Content-Length"
"""Bytes of the JSON object in front of raw tensors."""
BINARY = "binary_tensor_data"
"""Name of the extension in a server's metadata."""

_NUMPY = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "INT8": "int8",
    "INT16": "int16", "INT32": "int32", "INT64": "int64", "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
_NAMES = {numpy: name for name, numpy in _NUMPY.items()}


class WireError(Exception):
    """A body that is not what the protocol says; the message says what is wrong."""


@dataclass(frozen=True)
class Message:
    """A decoded request or reply.

    Attributes:
        fields: The JSON object.
        tensors: Arrays by name, in order.
        wanted: For requests: names of the outputs that are asked for, and whether each is wanted as raw bytes.
    """

    fields: Mapping[str, Any]
    tensors: Mapping[str, npt.NDArray[Any]]
    wanted: Mapping[str, bool]


def datatype(dtype: str) -> str:
    """The protocol's name of a NumPy type.

    Raises:
        WireError: When it has none.
    """
    if dtype not in _NAMES:
        raise WireError(f"type {dtype} has no name in the protocol")
    return _NAMES[dtype]


def numpy_type(name: object) -> str:
    """NumPy's name of a type of the protocol.

    Raises:
        WireError: When it is none, or one that holds no numbers.
    """
    if not isinstance(name, str) or name not in _NUMPY:
        raise WireError(f"datatype {str(name)[:40]!r} is none of {', '.join(_NUMPY)}")
    return _NUMPY[name]


def encode(
    key: str,
    tensors: Mapping[str, npt.NDArray[Any]],
    fields: Mapping[str, Any],
    *,
    binary: Iterable[str] = (),
    outputs: Mapping[str, bool] | None = None,
) -> tuple[dict[str, str], bytes]:
    """A request (`key` is "inputs") or a reply ("outputs"), as headers and body.

    Args:
        key: What the tensors are called.
        tensors: Arrays by name.
        fields: Further entries of the JSON object.
        binary: Names of those tensors that go as raw bytes.
        outputs: For requests: outputs that are asked for, and whether as raw bytes.
    """
    raw, entries, binary = [], [], set(binary)
    for name, array in tensors.items():
        entry: dict[str, Any] = {"name": name, "datatype": datatype(array.dtype.name), "shape": list(array.shape)}
        if name in binary:
            content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
            entry["parameters"] = {"binary_data_size": len(content)}
            raw.append(content)
        else:
            entry["data"] = np.ascontiguousarray(array).ravel()
        entries.append(entry)
    whole = {**fields, key: entries}
    if outputs is not None:
        whole["outputs"] = [
            {"name": name, **({"parameters": {"binary_data": True}} if raw_too else {})}
            for name, raw_too in outputs.items()
        ]
    head = dumps(whole)
    if not binary:
        return {"Content-Type": "application/json"}, head
    return {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(len(head))}, head + b"".join(raw)


def decode(key: str, headers: Mapping[str, str], body: bytes) -> Message:
    """The inverse of `encode`; nothing in the body is believed before it is checked.

    Args:
        key: "inputs" or "outputs".
        headers: By lower-case name.
        body: The whole body.

    Raises:
        WireError: When the body is not what the protocol says.
    """
    stated = headers.get(LENGTH_HEADER.lower())
    length = len(body)
    if stated is not None:
        if not stated.isascii() or not stated.isdigit() or int(stated) > len(body):
            raise WireError(f"header {LENGTH_HEADER} says {stated[:20]!r}, the body has {len(body)} bytes")
        length = int(stated)
    fields = loads(body[:length])
    if not isinstance(fields, dict) or not isinstance(fields.get(key), list):
        raise WireError(f"the body is no JSON object with a list of {key!r}")
    tensors: dict[str, npt.NDArray[Any]] = {}
    rest = memoryview(body)[length:]
    for entry in fields[key]:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise WireError(f"an entry of {key!r} has no name")
        tensors[entry["name"]], rest = _tensor(entry, rest)
    if len(rest):
        raise WireError(f"{len(rest)} bytes follow the last tensor")
    asked = fields.get("outputs") if key == "inputs" else None
    everything = isinstance(fields.get("parameters"), dict) and fields["parameters"].get("binary_data_output") is True
    return Message(fields, tensors, _wanted(asked, everything))


def _wanted(asked: object, everything: bool) -> dict[str, bool]:
    """Which outputs a request asks for."""
    if asked is None:
        return {"": everything}
    if not isinstance(asked, list) or not all(isinstance(e, dict) and isinstance(e.get("name"), str) for e in asked):
        raise WireError("'outputs' is no list of named outputs")
    wanted = {}
    for entry in asked:
        parameters = entry.get("parameters")
        raw = parameters.get("binary_data", everything) if isinstance(parameters, dict) else everything
        wanted[entry["name"]] = raw is True
    return wanted


def _tensor(entry: Mapping[str, Any], rest: memoryview) -> tuple[npt.NDArray[Any], memoryview]:
    name, shape = entry["name"][:80], entry.get("shape")
    dtype = np.dtype(numpy_type(entry.get("datatype")))
    if not isinstance(shape, list) or not all(type(extent) is int and extent >= 0 for extent in shape):
        raise WireError(f"tensor {name!r} has shape {str(shape)[:80]}")
    count = math.prod(shape)
    parameters = entry.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None:
        if type(size) is not int or size != count * dtype.itemsize or size > len(rest):
            raise WireError(f"tensor {name!r} of {dtype} {shape} says {size} bytes, {len(rest)} are left")
        return shaped(np.frombuffer(rest[:size], dtype.newbyteorder("<")).astype(dtype), shape, name), rest[size:]
    try:
        stored = entry.get("data")
        # NumPy alone would make floats of a list that holds numbers beyond int64.
        numbers = np.asarray(stored, np.uint64) if dtype == np.uint64 and _all_whole(stored) else np.asarray(stored)
    except (ValueError, OverflowError, RecursionError) as error:  # ragged lists, numbers without end
        raise WireError(f"the data of tensor {name!r} is no array") from error
    if numbers.size != count:
        raise WireError(f"tensor {name!r} of shape {shape} holds {numbers.size} numbers")
    return as_type(shaped(numbers, shape, name), dtype, name), rest


def shaped(numbers: npt.NDArray[Any], shape: list[int], name: str) -> npt.NDArray[Any]:
    """As many numbers as the shape has, in that shape.

    Raises:
        WireError: When no array has it: too many axes, or extents beyond all memory beside one of 0.
    """
    try:
        return numbers.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise WireError(f"tensor {name!r} has shape {str(shape)[:80]}, which no array has") from error


def _all_whole(stored: object) -> bool:
    """Whether nested lists hold whole numbers from 0 on alone."""
    if isinstance(stored, list):
        return all(map(_all_whole, stored))
    return type(stored) is int and stored >= 0


def as_type(numbers: npt.NDArray[Any], dtype: np.dtype[Any], name: str) -> npt.NDArray[Any]:
    """Numbers as JSON or protobuf hold them in a tensor's own type, none changed by more than its precision.

    Raises:
        WireError: When one does not fit it.
    """
    if numbers.size == 0:
        return numbers.astype(dtype)
    if numbers.dtype.kind not in ("biuf" if dtype.kind == "f" else "biu"):
        raise WireError(f"the data of tensor {name!r} are not all numbers of its type {dtype}")
    with np.errstate(over="ignore"):
        converted = numbers.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(converted, numbers):
        raise WireError(f"the data of tensor {name!r} exceeds its type {dtype}")
    return converted


def dumps(value: Any) -> bytes:
    """JSON; arrays become lists."""
    try:
        orjson = importlib.import_module("orjson")
    except ImportError:  # several times slower, and the same
        return json.dumps(value, default=_as_list, allow_nan=False).encode()
    encoded: bytes = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return encoded


def _as_list(array: npt.NDArray[Any]) -> list[Any]:
    """Numbers for JSON, which has no word for those that are none."""
    return [None if isinstance(v, float) and not math.isfinite(v) else v for v in array.tolist()]


def loads(body: bytes) -> Any:
    """The inverse.

    Raises:
        WireError: When it is no JSON.
    """
    try:
        try:
            return importlib.import_module("orjson").loads(body)
        except ImportError:
            return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError("the body is no JSON") from error
