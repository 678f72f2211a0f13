"""AMD Quark's quantisers as the standard ones, where their codes are integers.

`ExtendedQuantizeLinear` and `ExtendedDequantizeLinear` (domain `com.amd.quark`), once called `VitisQuantizeLinear` and
`VitisDequantizeLinear` (`com.vai.quantize`), take the operands of QuantizeLinear and DequantizeLinear and compute, for
integers, what those do:

    y = saturate(round half to even(x / scale) + zero point)        y = (x - zero point) * scale

Source: quark.docs.amd.com, ONNX custom operators. AMD made them for 16 bits before ONNX had those, and for float16 and
bfloat16, which hold no integers and are refused.
"""

from __future__ import annotations

import onnx_ir as ir

from nfkit.errors import UnsupportedError
from nfkit.graph.operators.operands import ORT, operand
from nfkit.graph.operators.vendors import QUARK

_PER_AXIS, _SIXTEEN_BITS = 13, 21  # opsets from which on the standard operators have these
_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)
_CODES = (*_BYTES, ir.DataType.INT16, ir.DataType.UINT16)
_STORED = (*_CODES, ir.DataType.INT32)  # biases: ONNX has an operator that reads them, and none that makes them


def standardise(node: ir.Node, opset_imports: dict[str, int]) -> None:
    """Turns one of AMD Quark's quantisers into the operator of ONNX, or of ONNX Runtime where that is too old.

    Args:
        node: The node, changed in place.
        opset_imports: Those of the graph or function around it; that of ONNX Runtime's domain is added if needed.

    Raises:
        UnsupportedError: When the node is no quantiser, or its codes are no integers that the operator takes.
    """
    op = QUARK.get((node.domain, node.op_type))
    if op is None:
        raise UnsupportedError("it is no quantiser of integers, and no standard operator computes it")
    others = sorted(set(node.attributes) - {"axis"})
    if others:
        raise UnsupportedError(f"it has the attribute '{others[0]}', which {op} has not")
    kind = _code_type(node, op)
    taken = _CODES if op == "QuantizeLinear" else _STORED
    if kind not in taken:
        what = "of a type that the file does not say" if kind is None else f"of {kind.name.lower()}"
        raise UnsupportedError(
            f"its codes are {what}, and faults hit integers of 8 or 16 bits: quantise to int8 or uint8"
        )
    scale, opset = operand(node, 1), opset_imports.get("", 1)
    plain = scale is not None and scale.dtype in (None, ir.DataType.FLOAT)
    old = opset < (_PER_AXIS if kind not in (ir.DataType.INT16, ir.DataType.UINT16) and plain else _SIXTEEN_BITS)
    if old:
        opset_imports.setdefault(ORT, 1)
    node.domain, node.op_type = ORT if old else "", op


def _code_type(node: ir.Node, op: str) -> ir.DataType | None:
    """Type of the codes that a quantiser makes or reads; None where the file does not say."""
    zero_point, codes = operand(node, 2), node.outputs[0] if op == "QuantizeLinear" else operand(node, 0)
    for value in (zero_point, codes):
        if value is not None and value.dtype is not None:
            return value.dtype
    before = codes.producer() if codes is not None and op != "QuantizeLinear" else None
    if before is not None and operand(before, 2) is not None:
        return _code_type(before, "QuantizeLinear")
    return ir.DataType.UINT8 if op == "QuantizeLinear" and zero_point is None else None
