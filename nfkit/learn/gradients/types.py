"""Element types that kernels cannot keep: found before anything is run, so that a report and a run agree.

Tensors of types that torch lacks (float8, float4, int4, ...) are held in a wider type that has all their values. That
is right wherever values are read, and wrong where an operator makes such a type, or asks for one: those are named here.
"""

from __future__ import annotations

import onnx_ir as ir

from nfkit.learn.gradients.common import DTYPES

_NARROW = (ir.DataType.INT4, ir.DataType.UINT4, ir.DataType.INT2, ir.DataType.UINT2)
_NO_NUMBERS = (ir.DataType.STRING, ir.DataType.COMPLEX64, ir.DataType.COMPLEX128)


def obstacle(node: ir.Node) -> str | None:
    """Why the element types of a node stand against computing it; None where they do not."""
    for value in node.inputs:
        if value is not None and value.dtype in _NO_NUMBERS:
            return f"'{value.name}' has element type {value.dtype.name}"
    made = _made(node)
    if made is None:
        return None
    if node.op_type == "QuantizeLinear":
        # Narrow integers are clipped by the canonical view; codes of floating types are no integers to round to.
        fits = made.is_integer() and (int(made) in DTYPES or made in _NARROW)
    else:
        fits = int(made) in DTYPES
    return None if fits else f"it makes element type {made.name}"


def input_obstacle(node: ir.Node) -> str | None:
    """Why a node cannot read the model's input, which is a tensor of floats here whatever its type; None if it can."""
    for value in node.inputs:
        if value is None or not value.is_graph_input() or value.is_initializer():
            continue
        if value.dtype is ir.DataType.BOOL:
            return "the input has element type BOOL"
        if node.op_type.startswith("Bitwise"):
            return "it reads the bits of the input, which have no gradient"
    return None


def _made(node: ir.Node) -> ir.DataType | None:
    """The element type that a node is asked for; None where it follows from the operands."""
    for name in ("to", "output_dtype"):
        if name in node.attributes and node.attributes[name].as_int():
            return ir.DataType(node.attributes[name].as_int())
    if node.op_type == "CastLike" and len(node.inputs) > 1 and node.inputs[1] is not None:
        return node.inputs[1].dtype
    if node.op_type == "QuantizeLinear" and len(node.inputs) > 2 and node.inputs[2] is not None:
        return node.inputs[2].dtype
    return None
