"""Stored tensors: what they declare and what they hold must be the same."""

from __future__ import annotations

import math
from typing import Any

from onnx import TensorProto

from nfkit.rim.defect import DefectError

MAX_RANK = 64
"""Axes of a tensor, as NumPy has them."""
MAX_TENSOR = 2**40
"""Elements of one stored tensor."""

KNOWN_TYPES = set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
_COMPLEX = (TensorProto.COMPLEX64, TensorProto.COMPLEX128)
_NARROW = {
    getattr(TensorProto, name): bits
    for name, bits in {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}.items()
    if hasattr(TensorProto, name)
}
_BYTES = {
    getattr(TensorProto, name): size
    for size, names in {
        1: ("INT8", "UINT8", "BOOL", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0"),
        2: ("INT16", "UINT16", "FLOAT16", "BFLOAT16"),
        4: ("INT32", "UINT32", "FLOAT"),
        8: ("INT64", "UINT64", "DOUBLE", "COMPLEX64"),
        16: ("COMPLEX128",),
    }.items()
    for name in names
    if hasattr(TensorProto, name)
}


def check_tensor(tensor: TensorProto, where: str) -> None:
    """Refuses a tensor that holds more or less than it declares.

    Args:
        tensor: The tensor, or where its data lies.
        where: How to call it in a message.

    Raises:
        DefectError: With what is wrong.
    """
    dims = list(tensor.dims)
    if tensor.data_type not in KNOWN_TYPES:
        raise DefectError(f"{where} has element type {tensor.data_type}, which is none")
    if len(dims) > MAX_RANK:
        raise DefectError(f"{where} has {len(dims)} axes, more than {MAX_RANK}")
    if any(extent < 0 for extent in dims):
        raise DefectError(f"{where} has extents {dims}")
    size = math.prod(dims)
    if size > MAX_TENSOR:
        raise DefectError(f"{where} of extents {dims} has more than {MAX_TENSOR:,} elements")
    if tensor.data_location == TensorProto.EXTERNAL:
        _check_location(tensor, where)
        return
    held, needed = _held(tensor, size)
    if held != needed:
        unit = "bytes" if tensor.HasField("raw_data") else "entries"
        raise DefectError(f"{where} of extents {dims} needs {needed} {unit} and holds {held}")


def _check_location(tensor: TensorProto, where: str) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if not entries.get("location"):
        raise DefectError(f"{where} does not say in which file its data lies")
    for key in ("offset", "length"):
        if key in entries and not (entries[key].isascii() and entries[key].isdigit()):
            raise DefectError(f"{where} has the {key} {entries[key]!r} in its data file")
    if tensor.data_type == TensorProto.STRING:
        raise DefectError(f"{where} keeps text in a data file, which ONNX does not allow")


def _held(tensor: TensorProto, size: int) -> tuple[int, int]:
    """What a tensor holds and what it needs, in bytes or in entries."""
    kind, raw = tensor.data_type, tensor.HasField("raw_data")
    field = _field(kind)
    others = [name for name in _FIELDS if (raw or name != field) and len(getattr(tensor, name))]
    if others:
        raise DefectError(f"tensor '{tensor.name}' holds content in {others[0]}, where none of its type belongs")
    if raw:
        held = len(tensor.raw_data)
        if kind in _NARROW:
            return held, -(-size * _NARROW[kind] // 8)
        return held, size * _BYTES[kind] if kind in _BYTES else held
    held = len(getattr(tensor, field))
    if kind in _NARROW:
        return held, -(-size * _NARROW[kind] // 8)
    return held, 2 * size if kind in _COMPLEX else size


_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def _field(kind: Any) -> str:
    """Where a message keeps entries of a type that are no raw bytes."""
    if kind in (TensorProto.FLOAT, TensorProto.COMPLEX64):
        return "float_data"
    if kind in (TensorProto.DOUBLE, TensorProto.COMPLEX128):
        return "double_data"
    if kind in (TensorProto.UINT32, TensorProto.UINT64):
        return "uint64_data"
    if kind == TensorProto.STRING:
        return "string_data"
    return "int64_data" if kind == TensorProto.INT64 else "int32_data"
