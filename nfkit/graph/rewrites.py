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
from typing import Any

import numpy as np
import onnx_ir as ir

from nfkit.graph.operands import DEQUANTIZE, ORT, QUANTIZE, Key, key_of, operand

Value = ir.Value | None
_Cache = dict[tuple[int | None, ...], ir.Value]


class Rewriter:
    """Collects the nodes that take the place of one node.

    Args:
        graph: The graph that the node is in.
        node: The node.
        opset: Version of the standard operators.
        dequantised: Values that were dequantised before, by codes, scale, zero point and axis: shared, so that codes
            with several readers are dequantised once.
    """

    def __init__(self, graph: ir.Graph, node: ir.Node, opset: int, dequantised: _Cache) -> None:
        self.node, self.opset = node, opset
        self.nodes: list[ir.Node] = []
        self._graph, self._dequantised = graph, dequantised

    def input(self, index: int) -> Value:
        """An operand of the node; None where it has none."""
        return operand(self.node, index)

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute of the node, or its default."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.value

    def kept(self, *names: str) -> dict[str, Any]:
        """Those of the named attributes that the node has."""
        return {name: self.node.attributes[name].value for name in names if name in self.node.attributes}

    def op(self, op_type: str, *inputs: Value, domain: str = "", outputs: int = 1, **attributes: Any) -> ir.Value:
        """Adds a node, and returns its first output."""
        given = list(inputs)
        while given and given[-1] is None:
            given.pop()
        name = f"{self.node.name or self.node.outputs[0].name}"
        node = ir.node(op_type, given, attributes, domain=domain, num_outputs=outputs, name=name)
        for index, output in enumerate(node.outputs):
            output.name = f"{self.node.outputs[0].name}.canonical.{len(self.nodes)}.{index}"
        self.nodes.append(node)
        return node.outputs[0]

    def constant(self, array: Any) -> ir.Value:
        """A constant of the graph."""
        array = np.asarray(array)
        name = f"{self.node.outputs[0].name}.canonical.constant.{len(self._graph.initializers)}"
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        self._graph.register_initializer(value)
        return value

    def dequantise(self, codes: Value, scale: Value, zero_point: Value, axis: int = 1) -> ir.Value:
        """(codes - zero point) * scale."""
        assert codes is not None
        key = (id(codes), id(scale), id(zero_point), axis)
        if key not in self._dequantised:
            self._dequantised[key] = self.op("DequantizeLinear", codes, scale, zero_point, axis=axis)
        return self._dequantised[key]

    def centred(self, codes: Value, zero_point: Value, axis: int = 1) -> ir.Value:
        """Codes minus zero point, as floats."""
        return self.dequantise(codes, self.constant(np.float32(1)), zero_point, axis)

    def quantise(self, value: ir.Value, scale: Value, zero_point: Value) -> ir.Value:
        """Codes of a result."""
        return self.op("QuantizeLinear", value, scale, zero_point)

    def add(self, value: ir.Value, bias: Value) -> ir.Value:
        """The sum with a bias that may be absent."""
        return value if bias is None else self.op("Add", value, bias)

    def activate(self, value: ir.Value, name: str, parameters: list[float]) -> Value:
        """Applies the activation that a fused operator names; None where it is not known."""
        if name in ("", "Relu", "Sigmoid", "Tanh"):
            return self.op(name, value) if name else value
        if name == "LeakyRelu":
            return self.op(name, value, alpha=(parameters or [0.01])[0])
        if name == "HardSigmoid":
            alpha, beta = (*parameters, 0.2, 0.5)[:2] if len(parameters) > 1 else (0.2, 0.5)
            return self.op(name, value, alpha=alpha, beta=beta)
        if name == "Clip" and len(parameters) > 1:
            low, high = (self.constant(np.float32(p)) for p in parameters[:2])
            return self.op(name, value, low, high)
        return None


Rule = Callable[[Rewriter], Value]
_CONV = ("kernel_shape", "strides", "pads", "dilations", "group", "auto_pad")
_POOL = ("kernel_shape", "strides", "pads", "dilations", "ceil_mode", "auto_pad", "count_include_pad")


def rewrite(model: ir.Model) -> None:
    """Applies the rules to all nodes of the main graph, in place."""
    graph, dequantised = model.graph, _Cache()
    for node in list(graph):
        rule = _RULES.get(key_of(node))
        if rule is None:
            continue
        before = dict(dequantised)
        rewriter = Rewriter(graph, node, model.opset_imports.get("", 1), dequantised)
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
