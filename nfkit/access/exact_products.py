"""The same integers on every processor: products of u8 and s8 codes without saturation.

x86 processors without VNNI add pairs of such products in 16 bits, which saturate: on them ONNX Runtime's default
computes another model, up to a point of accuracy away on an int8 ResNet-20. Its option moves the weights to u8, whose
kernels are exact. It is a rewriting of the optimiser, from level `extended` on: below, operators on codes (QLinearConv
and its like) still saturate there.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

OPTION = "session.x64quantprecision"
"""ONNX Runtime's session entry: 1 for exact products."""

_TRUSTED = (1, 32)
"""First version of ONNX Runtime that was tried: 1.23 ends the process on some models, where the option is set."""


def are_needed(model: ir.Model) -> bool:
    """Whether this processor saturates, and the model takes the option, which breaks blocked quantisation."""
    version = tuple(int(part) for part in ort.__version__.split(".")[:2])
    return (
        version >= _TRUSTED
        and saturates()
        and not any("block_size" in node.attributes for node in model.graph.all_nodes())
    )


@lru_cache(maxsize=1)
def saturates() -> bool:
    """Whether this processor's kernels saturate, found by computing two products of extreme codes."""
    graph = onnx.parser.parse_graph(
        "product (uint8[1, 2] a, int8[2, 1] b) => (int32[1, 1] y) { y = MatMulInteger (a, b) }"
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    codes = {"a": np.full((1, 2), 255, np.uint8), "b": np.full((2, 1), 127, np.int8)}
    return int(session.run(None, codes)[0].item()) != 2 * 255 * 127


def prepare(model: ir.Model) -> ir.Model:
    """A copy that computes the same and that the option can be used on.

    Stored int8 codes that are dequantised without a zero point get one of 0: the rewriting reads it unasked.
    """
    model = model.clone()
    for node in list(model.graph):
        if node.op_type != "DequantizeLinear" or len(node.inputs) != 2:
            continue
        codes, scale = node.inputs
        if codes is None or codes.const_value is None or codes.const_value.dtype != ir.DataType.INT8:
            continue
        if scale is None or scale.const_value is None:
            continue
        shape, name = tuple(scale.const_value.shape.numpy()), f"{node.outputs[0].name}/zero"
        zeros = ir.tensor(np.zeros(shape, np.int8), name=name)
        zero = ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(zeros.dtype), const_value=zeros)
        model.graph.register_initializer(zero)
        node.resize_inputs(3)
        node.replace_input_with(2, zero)
    return model
