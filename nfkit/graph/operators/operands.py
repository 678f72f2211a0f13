"""Which operand of which operator is a weight, a bias or a zero point.

Operators of the domain `com.microsoft` are ONNX Runtime's own (ContribOperators.md). An operator that takes raw codes
names the operands that hold their scale and zero point besides.
"""

from __future__ import annotations

from typing import Literal

import onnx_ir as ir

Role = Literal["weight", "bias", "zero_point", "constant"]
Key = tuple[str, str]  # (domain, operator)

ORT = "com.microsoft"

DEQUANTIZE: frozenset[Key] = frozenset({("", "DequantizeLinear"), (ORT, "DequantizeLinear")})
QUANTIZE: frozenset[Key] = frozenset({("", "QuantizeLinear"), (ORT, "QuantizeLinear")})

_CONV: dict[int, Role] = {1: "weight", 2: "bias"}
_PRODUCT: dict[int, Role] = {0: "weight", 1: "weight"}
_RECURRENT: dict[int, Role] = {1: "weight", 2: "weight", 3: "bias"}

# Operands that hold values: floats, or codes that were dequantised on the way.
_FLOAT: dict[Key, dict[int, Role]] = {
    ("", "Conv"): _CONV,
    ("", "ConvTranspose"): _CONV,
    ("", "DeformConv"): {1: "weight", 3: "bias"},
    ("", "Gemm"): {**_PRODUCT, 2: "bias"},
    ("", "MatMul"): _PRODUCT,
    ("", "Einsum"): dict.fromkeys(range(8), "weight"),
    ("", "Gather"): {0: "weight"},
    ("", "LSTM"): _RECURRENT,
    ("", "GRU"): _RECURRENT,
    ("", "RNN"): _RECURRENT,
    (ORT, "FusedConv"): _CONV,
    (ORT, "NhwcFusedConv"): _CONV,
    (f"{ORT}.nchwc", "Conv"): _CONV,
    (ORT, "FusedGemm"): {**_PRODUCT, 2: "bias"},
    (ORT, "FusedMatMul"): _PRODUCT,
    (ORT, "FusedMatMulActivation"): _PRODUCT,
    (ORT, "TransposeMatMul"): _PRODUCT,
    (ORT, "GemmFastGelu"): {1: "weight", 2: "bias"},
    (ORT, "Attention"): _CONV,
    (ORT, "EmbedLayerNormalization"): dict.fromkeys((2, 3, 4), "weight"),
}

# Operands that hold codes.
_CODES: dict[Key, dict[int, Role]] = {
    ("", "ConvInteger"): {1: "weight", 2: "zero_point", 3: "zero_point"},
    ("", "MatMulInteger"): {**_PRODUCT, 2: "zero_point", 3: "zero_point"},
    ("", "QLinearConv"): {2: "zero_point", 3: "weight", 5: "zero_point", 7: "zero_point", 8: "bias"},
    ("", "QLinearMatMul"): {0: "weight", 2: "zero_point", 3: "weight", 5: "zero_point", 7: "zero_point"},
    (ORT, "QLinearConv"): {2: "zero_point", 3: "weight", 5: "zero_point", 7: "zero_point", 8: "bias"},
    (ORT, "QGemm"): {2: "zero_point", 3: "weight", 5: "zero_point", 6: "bias", 8: "zero_point"},
    (ORT, "DynamicQuantizeMatMul"): {1: "weight", 3: "zero_point"},
    (ORT, "MatMulIntegerToFloat"): {**_PRODUCT, 4: "zero_point", 5: "zero_point"},
    (ORT, "DynamicQuantizeLSTM"): {1: "weight", 2: "weight", 9: "zero_point", 11: "zero_point"},
    (ORT, "QAttention"): {1: "weight", 6: "zero_point", 7: "zero_point"},
    # Packed blobs: several codes a byte, faulted as the raw bits that they are.
    (ORT, "MatMulNBits"): {1: "weight", 3: "zero_point"},
    (ORT, "MatMulBnb4"): {1: "weight"},
    (ORT, "GatherBlockQuantized"): {0: "weight", 3: "zero_point"},
    (ORT, "QMoE"): {2: "weight", 5: "weight", 8: "weight"},
    # Arithmetic on activations; an operand that is stored is a constant.
    (ORT, "QLinearAdd"): {0: "constant", 2: "zero_point", 3: "constant", 5: "zero_point", 7: "zero_point"},
    (ORT, "QLinearMul"): {0: "constant", 2: "zero_point", 3: "constant", 5: "zero_point", 7: "zero_point"},
    **{
        (ORT, name): {2: "zero_point", 4: "zero_point"}
        for name in (
            "QLinearAveragePool",
            "QLinearGlobalAveragePool",
            "QLinearLeakyRelu",
            "QLinearReduceMean",
            "QLinearSigmoid",
            "QLinearSoftmax",
        )
    },
}

# Where an operator that takes codes keeps their scale and zero point, and the axis of several of them (-1: the last).
_QUANTISATION: dict[Key, dict[int, tuple[int, int, int]]] = {
    ("", "ConvInteger"): {1: (99, 3, 0)},
    ("", "MatMulInteger"): {0: (99, 2, 0), 1: (99, 3, -1)},
    ("", "QLinearConv"): {3: (4, 5, 0)},
    (ORT, "QLinearConv"): {3: (4, 5, 0)},
    ("", "QLinearMatMul"): {0: (1, 2, 0), 3: (4, 5, -1)},
    (ORT, "QGemm"): {3: (4, 5, -1)},
    (ORT, "DynamicQuantizeMatMul"): {1: (2, 3, -1)},
    (ORT, "MatMulIntegerToFloat"): {0: (2, 4, 0), 1: (3, 5, -1)},
    (ORT, "DynamicQuantizeLSTM"): {1: (8, 9, -1), 2: (10, 11, -1)},
    (ORT, "QAttention"): {1: (4, 7, -1)},
    (ORT, "QLinearAdd"): {0: (1, 2, 0), 3: (4, 5, 0)},
    (ORT, "QLinearMul"): {0: (1, 2, 0), 3: (4, 5, 0)},
}

_MOVES = {
    "Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Split", "Concat", "Expand",
}  # fmt: skip


def key_of(node: ir.Node) -> Key:
    """Domain and operator of a node; `ai.onnx` is the empty domain."""
    return ("" if node.domain == "ai.onnx" else node.domain, node.op_type)


def standard_op(node: ir.Node) -> str:
    """Operator of a node of the standard domain; empty for any other domain."""
    domain, op = key_of(node)
    return "" if domain else op


def float_role(node: ir.Node, index: int) -> Role | None:
    """What an operand that holds values is read as; None where the operator gives it no role."""
    return _FLOAT.get(key_of(node), {}).get(index)


def code_role(node: ir.Node, index: int) -> Role | None:
    """What an operand that holds raw codes is read as; None where the operator takes none there."""
    key = key_of(node)
    if key in DEQUANTIZE | QUANTIZE and index == 2:
        return "zero_point"
    if key == (ORT, "QLinearConcat"):  # (y_scale, y_zero_point), then (codes, scale, zero_point) for each part
        if index == 1 or (index > 2 and index % 3 == 1):
            return "zero_point"
        return "constant" if index % 3 == 2 else None
    return _CODES.get(key, {}).get(index)


def quantisation(node: ir.Node, index: int) -> tuple[ir.Value | None, ir.Value | None, int]:
    """Scale, zero point and axis of an operand that holds raw codes, as far as the operator names them."""
    at = _QUANTISATION.get(key_of(node), {}).get(index)
    if at is None:
        return None, None, 0
    scale, zero_point, axis = at
    if node.op_type == "QGemm" and "transB" in node.attributes and node.attributes["transB"].as_int():
        axis = 0
    return operand(node, scale), operand(node, zero_point), axis


def is_scale(node: ir.Node, index: int) -> bool:
    """Whether an operand holds quantisation scales."""
    key = key_of(node)
    if key in DEQUANTIZE | QUANTIZE:
        return index == 1
    if key in ((ORT, "MatMulNBits"), (ORT, "MatMulBnb4"), (ORT, "GatherBlockQuantized")):
        return index == 2
    if any(index == scale for scale, _, _ in _QUANTISATION.get(key, {}).values()):
        return True
    return node.op_type.startswith(("QLinear", "QGemm")) and code_role(node, index + 1) == "zero_point"


def moves(node: ir.Node, index: int) -> bool:
    """Whether a node passes the values of its operand on, unchanged but for their place, or faulted by nfkit."""
    domain, op = key_of(node)
    if domain:
        return domain == "nfkit" and index == 0
    return op in _MOVES and (index == 0 or op == "Concat")


def operand(node: ir.Node, index: int) -> ir.Value | None:
    """An operand, or None where the node has none there."""
    return node.inputs[index] if index < len(node.inputs) else None
