"""Operators on codes, and ONNX Runtime's fused ones, as float operators between DequantizeLinear and QuantizeLinear.

One rule an operator. Each says what the operator means by its specification (onnx Operators.md, ONNX Runtime's
ContribOperators.md), such as:

    QLinearConv(x, w, b) -> Quantize(Conv(Dequantize(x), Dequantize(w), Dequantize(b, scale = s_x * s_w)))
    ConvInteger(x, w)    -> Conv(x - z_x, w - z_w)
    FusedConv(x, w)      -> Relu(Conv(x, w))

A rule returns None where a node asks for what it cannot express; the node then stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from nfkit.graph.canonical.rewriter import Cache, Rewriter, Value
from nfkit.graph.memory.storage import every_node
from nfkit.graph.operators.facts import Key
from nfkit.graph.operators.operands import DEQUANTIZE, ORT, QUANTIZE, key_of

Rule = Callable[[Rewriter], Value]
_CONV = ("kernel_shape", "strides", "pads", "dilations", "group", "auto_pad")
_POOL = ("kernel_shape", "strides", "pads", "dilations", "ceil_mode", "auto_pad", "count_include_pad")


def rewrite(model: ir.Model) -> None:
    """Applies the rules to all nodes of the main graph, in place."""
    graph, dequantised = model.graph, Cache()
    for node in list(graph):
        rule = _RULES.get(key_of(node))
        if rule is None:
            continue
        before = dict(dequantised)
        rewriter = Rewriter(graph, node, dequantised)
        result = rule(rewriter)
        if result is None:
            dequantised.clear()
            dequantised.update(before)
            continue
        graph.insert_before(node, rewriter.nodes)
        old = node.outputs[0]
        old.replace_all_uses_with(result, replace_graph_outputs=True)
        result.type, result.shape, name = old.type, old.shape, old.name
        graph.remove(node, safe=True)
        result.name = name


def takes_codes(model: ir.Model) -> bool:
    """Whether a model has operators that multiply codes, rather than floats between quantisers."""
    return any(key_of(node) in _RULES and key_of(node) not in _QUANTISERS for node in every_node(model))


def _qlinear_conv(r: Rewriter) -> Value:
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, b = (r.input(i) for i in range(9))
    values = r.dequantise(x, x_scale, x_zero)
    last = bool(r.attribute("channels_last", 0))
    if last and (w is None or w.shape is None):
        return None
    rank = len(w.shape) if w is not None and w.shape is not None else 0
    values = _channels_first(r, values, rank) if last else values
    bias = None if b is None else r.dequantise(b, r.op("Mul", x_scale, w_scale), None, axis=0)
    y = r.op("Conv", values, r.dequantise(w, w_scale, w_zero, axis=0), bias, **r.kept(*_CONV))
    return r.quantise(_channels_last(r, y, rank) if last else y, y_scale, y_zero)


def _channels_first(r: Rewriter, value: ir.Value, rank: int) -> ir.Value:
    return r.op("Transpose", value, perm=[0, rank - 1, *range(1, rank - 1)])


def _channels_last(r: Rewriter, value: ir.Value, rank: int) -> ir.Value:
    return r.op("Transpose", value, perm=[0, *range(2, rank), 1])


def _qlinear_matmul(r: Rewriter) -> Value:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = (r.input(i) for i in range(8))
    left, right = r.dequantise(a, a_scale, a_zero, axis=-2), r.dequantise(b, b_scale, b_zero, axis=-1)
    return r.quantise(r.op("MatMul", left, right), y_scale, y_zero)


def _qgemm(r: Rewriter) -> Value:
    a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale, y_zero = (r.input(i) for i in range(9))
    columns = 0 if r.attribute("transB", 0) else 1
    right = r.dequantise(b, b_scale, b_zero, axis=columns)
    bias = None
    if c is not None:  # codes of scale alpha * s_a * s_b
        scale = r.op("Mul", r.op("Mul", a_scale, b_scale), r.constant(np.float32(r.attribute("alpha", 1.0))))
        bias = r.dequantise(c, scale, None, axis=-1)
    y = r.op("Gemm", r.dequantise(a, a_scale, a_zero), right, bias, **r.kept("alpha", "transA", "transB"))
    return y if y_scale is None else r.quantise(y, y_scale, y_zero)


def _qlinear_binary(op_type: str) -> Rule:
    def rule(r: Rewriter) -> Value:
        a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = (r.input(i) for i in range(8))
        y = r.op(op_type, r.dequantise(a, a_scale, a_zero), r.dequantise(b, b_scale, b_zero))
        return r.quantise(y, y_scale, y_zero)

    return rule


def _qlinear_unary(op_type: str, *attributes: str) -> Rule:
    def rule(r: Rewriter) -> Value:
        x, x_scale, x_zero, y_scale, y_zero = (r.input(i) for i in range(5))
        if r.attribute("channels_last", 0):
            return None
        y = r.op(op_type, r.dequantise(x, x_scale, x_zero), **r.kept(*attributes))
        return r.quantise(y, y_scale, y_zero)

    return rule


def _qlinear_softmax(r: Rewriter) -> Value:
    x, x_scale, x_zero, y_scale, y_zero = (r.input(i) for i in range(5))
    flat = r.attribute("opset", 13) < 13  # before, all axes from the given one on were taken as one
    values = r.dequantise(x, x_scale, x_zero)
    if flat:
        y = r.op("FlatSoftmax", values, domain="nfkit", axis=r.attribute("axis", 1))
    else:
        y = r.op("Softmax", values, axis=r.attribute("axis", -1))
    return r.quantise(y, y_scale, y_zero)


def _qlinear_concat(r: Rewriter) -> Value:
    count = (len(r.node.inputs) - 2) // 3
    at = [2 + 3 * i for i in range(count)]
    parts = [r.dequantise(r.input(i), r.input(i + 1), r.input(i + 2)) for i in at]
    return r.quantise(r.op("Concat", *parts, axis=r.attribute("axis", 0)), r.input(0), r.input(1))


def _conv_integer(r: Rewriter) -> Value:
    x, w, x_zero, w_zero = (r.input(i) for i in range(4))
    return r.op("Conv", r.centred(x, x_zero), r.centred(w, w_zero, axis=0), **r.kept(*_CONV))


def _matmul_integer(r: Rewriter) -> Value:
    a, b, a_zero, b_zero = (r.input(i) for i in range(4))
    return r.op("MatMul", r.centred(a, a_zero, axis=-2), r.centred(b, b_zero, axis=-1))


def _matmul_integer_to_float(r: Rewriter) -> Value:
    a, b, a_scale, b_scale, a_zero, b_zero, bias = (r.input(i) for i in range(7))
    y = r.op("MatMul", r.dequantise(a, a_scale, a_zero, axis=-2), r.dequantise(b, b_scale, b_zero, axis=-1))
    return r.add(y, bias)


def _dynamic_quantize_matmul(r: Rewriter) -> Value:
    a, b, b_scale, b_zero, bias = (r.input(i) for i in range(5))
    codes = r.op("DynamicQuantizeLinear", a, outputs=3)
    _, scale, zero_point = r.nodes[-1].outputs
    y = r.op("MatMul", r.dequantise(codes, scale, zero_point), r.dequantise(b, b_scale, b_zero, axis=-1))
    return r.add(y, bias)


def _matmul_nbits(r: Rewriter) -> Value:
    a, b, scales, zero_points, order, bias = (r.input(i) for i in range(6))
    if order is not None:
        return None
    sizes = {name: r.attribute(name, default) for name, default in (("K", 0), ("N", 0), ("bits", 4), ("block_size", 0))}
    weights = r.op("DequantizeNBits", b, scales, zero_points, domain="nfkit", **sizes)
    return r.add(r.op("MatMul", a, weights), bias)


def _fused_conv(r: Rewriter) -> Value:
    x, w, b, addend = (r.input(i) for i in range(4))
    y = r.add(r.op("Conv", x, w, b, **r.kept(*_CONV)), addend)
    return r.activate(y, r.attribute("activation", ""), list(r.attribute("activation_params", [])))


def _fused_gemm(r: Rewriter) -> Value:
    y = r.op("Gemm", *(r.input(i) for i in range(3)), **r.kept("alpha", "beta", "transA", "transB"))
    parameters = r.kept("activation_alpha", "activation_beta")
    return r.activate(y, r.attribute("activation", ""), list(parameters.values()))


def _standard(r: Rewriter) -> Value:
    """An operator that ONNX Runtime's domain has taken from the standard one."""
    return r.op(r.node.op_type, *r.node.inputs, **{name: a.value for name, a in r.node.attributes.items()})


def _quantise_linear(r: Rewriter) -> Value:
    """Codes of fewer than 8 bits: wider ones, clipped."""
    zero_point = r.input(2)
    code = r.attribute("output_dtype", 0)
    dtype = zero_point.dtype if zero_point is not None else ir.DataType(code)
    if dtype is None or dtype not in _NARROW:
        return _standard(r) if r.node.domain else None
    attributes = {name: a.value for name, a in r.node.attributes.items() if name != "output_dtype"}
    wide = ir.DataType.INT8 if dtype.is_signed() else ir.DataType.UINT8
    if zero_point is None:
        attributes["output_dtype"] = int(wide)
    bits = dtype.bitwidth
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.is_signed() else (0, 2**bits - 1)
    codes = r.op("QuantizeLinear", r.input(0), r.input(1), zero_point, **attributes)
    return r.op("Clip", codes, *(r.constant(np.float32(end)) for end in ends))


_QUANTISERS = DEQUANTIZE | QUANTIZE

_NARROW = (ir.DataType.INT4, ir.DataType.UINT4, ir.DataType.INT2, ir.DataType.UINT2)

_RULES: dict[Key, Rule] = {
    ("", "QLinearConv"): _qlinear_conv,
    (ORT, "QLinearConv"): _qlinear_conv,
    ("", "QLinearMatMul"): _qlinear_matmul,
    ("", "ConvInteger"): _conv_integer,
    ("", "MatMulInteger"): _matmul_integer,
    (ORT, "QGemm"): _qgemm,
    (ORT, "QLinearAdd"): _qlinear_binary("Add"),
    (ORT, "QLinearMul"): _qlinear_binary("Mul"),
    (ORT, "QLinearSigmoid"): _qlinear_unary("Sigmoid"),
    (ORT, "QLinearLeakyRelu"): _qlinear_unary("LeakyRelu", "alpha"),
    (ORT, "QLinearGlobalAveragePool"): _qlinear_unary("GlobalAveragePool"),
    (ORT, "QLinearAveragePool"): _qlinear_unary("AveragePool", *_POOL),
    (ORT, "QLinearSoftmax"): _qlinear_softmax,
    (ORT, "QLinearConcat"): _qlinear_concat,
    (ORT, "DynamicQuantizeMatMul"): _dynamic_quantize_matmul,
    (ORT, "MatMulIntegerToFloat"): _matmul_integer_to_float,
    (ORT, "MatMulNBits"): _matmul_nbits,
    (ORT, "FusedConv"): _fused_conv,
    (ORT, "FusedGemm"): _fused_gemm,
    **dict.fromkeys(DEQUANTIZE - {("", "DequantizeLinear")}, _standard),
    **dict.fromkeys(QUANTIZE, _quantise_linear),
}
