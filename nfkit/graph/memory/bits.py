"""Codes of fewer bits than the integer type that stores them.

ONNX has no 3-bit integers, so a model whose weights have b bits stores them in int8 (or uint8), sign-extended. That
they have b bits is recorded in the model's metadata, under `nfkit.bits`, as JSON {initializer: b}. A device that
holds such weights has b cells a code, so those are the bits that err; the metadata never changes what a model
computes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from nfkit.errors import ModelError

BITS_KEY = "nfkit.bits"
"""Metadata key of a model; its value says which initializers have codes narrower than their type."""


def recorded_bits(model: ir.Model) -> dict[str, int]:
    """Bits of the codes that are narrower than their type, by initializer.

    Raises:
        ModelError: When the record is malformed, names an initializer that the model does not hold, or gives it
            fewer bits than its codes need.
    """
    text = model.metadata_props.get(BITS_KEY)
    if text is None:
        return {}
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or not all(type(bits) is int for bits in record.values()):
        raise ModelError(f"metadata '{BITS_KEY}' is no JSON object of initializers and bits: remove or correct it")
    for name, bits in record.items():
        _check(model, name, bits)
    return record


def record_bits(model: ir.Model, bits: Mapping[str, int]) -> None:
    """Records in the model that the codes of these initializers have so many bits; other entries stay.

    Raises:
        ModelError: As `recorded_bits`.
    """
    if not bits:
        return
    record = {**recorded_bits(model), **bits}
    model.metadata_props[BITS_KEY] = json.dumps(record, sort_keys=True)
    recorded_bits(model)


def _check(model: ir.Model, name: str, bits: int) -> None:
    where = f"metadata '{BITS_KEY}' gives initializer '{name}' {bits} bits"
    graphs = (model.graph, *model.graph.subgraphs())
    value = next((graph.initializers[name] for graph in graphs if name in graph.initializers), None)
    if value is None:
        raise ModelError(f"{where}, but the model holds none of that name: was it renamed by another tool?")
    if value.dtype is None or not value.dtype.is_integer():
        raise ModelError(f"{where}, but it stores no integers: remove the entry")
    width = value.dtype.bitwidth
    if not 2 <= bits <= width:
        raise ModelError(f"{where}, but its type {value.dtype.name.lower()} has 2 to {width}: correct the entry")
    if value.const_value is None:
        raise ModelError(f"initializer '{name}' has no data: load the model with its external data beside it")
    stored = np.asarray(value.const_value.numpy()).astype(np.int64)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if value.dtype.is_signed() else (0, 2**bits - 1)
    if stored.size and (stored.min() < low or stored.max() > high):
        raise ModelError(
            f"{where}, {low} to {high}, but its codes span {stored.min()} to {stored.max()}: correct the entry"
        )
