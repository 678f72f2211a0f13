"""Codes of 4 or 2 bits in the types that ONNX has for them: packed, half or a quarter of a byte each.

The codes stay what they were, so the model computes the same. Their type now says their bits, and the record of them
(`nfkit.graph.memory.bits`) goes. Runtimes unpack such weights to float: integer kernels want int8.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from nfkit.errors import OptionError, UnsupportedError
from nfkit.graph.memory.bits import BITS_KEY, recorded_bits

# Type and least opset of DequantizeLinear that reads it, by bits.
_TYPES = {4: (ir.DataType.INT4, 21), 2: (ir.DataType.INT2, 25)}


def packed_opset(bits: int) -> int:
    """Least opset of a model with packed codes of so many bits.

    Raises:
        OptionError: When ONNX has no such type.
    """
    if bits not in _TYPES:
        raise OptionError(f"ONNX packs codes of 4 and 2 bits, not {bits}: leave them in int8 (without --pack)")
    return _TYPES[bits][1]


def pack(model: ir.Model) -> ir.Model:
    """A copy in which the recorded int8 codes of 4 and of 2 bits are packed.

    Raises:
        OptionError: When codes have bits that ONNX has no type for.
        UnsupportedError: When the model's opset is too low, or codes are read by anything but DequantizeLinear.
    """
    packed = model.clone()
    for name, bits in recorded_bits(model).items():
        least, opset = packed_opset(bits), model.opset_imports.get("", 0)
        if opset < least:
            raise UnsupportedError(
                f"'{name}' needs opset {least} to hold {bits}-bit codes packed, the model has {opset}"
            )
        value = packed.graph.initializers[name]
        for node, index in value.uses():
            if node.op_type != "DequantizeLinear" or index != 0:
                raise UnsupportedError(
                    f"'{name}' is read by {node.op_type} (node '{node.name}'), which takes int8 only"
                )
            _drop_zero_point(name, node)
        _retype(value, _TYPES[bits][0])
    packed.metadata_props.pop(BITS_KEY, None)
    for name in [name for name, value in packed.graph.initializers.items() if _unused(packed, value)]:
        del packed.graph.initializers[name]
    return packed


def _drop_zero_point(name: str, node: ir.Node) -> None:
    """Takes away a zero point of 0, which is what none means, instead of packing it as well."""
    zero_point = node.inputs[2] if len(node.inputs) > 2 else None
    if zero_point is None:
        return
    if zero_point.const_value is None or np.any(zero_point.const_value.numpy()):
        raise UnsupportedError(f"'{name}' has a zero point other than 0 (node '{node.name}'): quantise symmetrically")
    node.resize_inputs(2)


def _retype(value: ir.Value, dtype: ir.DataType) -> None:
    assert value.const_value is not None
    codes = np.asarray(value.const_value.numpy()).astype(dtype.numpy())
    value.const_value = ir.tensor(codes, dtype, name=value.name)
    value.type = ir.TensorType(dtype)


def _unused(model: ir.Model, value: ir.Value) -> bool:
    return not value.uses() and value not in model.graph.outputs
