"""Multiply-accumulate operations and parameters of a graph, from the graph itself."""

from __future__ import annotations

from math import prod

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from nfkit.errors import UnsupportedError


def count_macs(model: ir.Model) -> int:
    """Multiply-accumulate operations of one inference at batch 1.

    Convolutions, transposed convolutions and matrix products, at their true shapes: a transposed convolution does
    one multiplication for each pair of an input value and a kernel weight it meets.

    Args:
        model: The model; not changed.

    Raises:
        UnsupportedError: When the shape of a counted node cannot be inferred.
    """
    inferred = ir.passes.functionalize(ShapeInferencePass())(model).model
    return sum(_node_macs(node) for node in inferred.graph if node.op_type in _COUNTED)


def count_parameters(model: ir.Model) -> int:
    """Numbers that a model stores in its weights: elements of all floating and 8-bit initializers of rank 1 or more."""
    kinds = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.INT8, ir.DataType.UINT8)
    return sum(
        value.const_value.size
        for value in model.graph.initializers.values()
        if value.const_value is not None and value.dtype in kinds and len(value.const_value.shape) > 0
    )


_COUNTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def _node_macs(node: ir.Node) -> int:
    left, right = (_shape(node, node.inputs[i]) for i in (0, 1))
    if node.op_type == "Conv":  # weights [Cout, Cin / group, *kernel]
        return prod(_shape(node, node.outputs[0])[1:]) * prod(right[1:])
    if node.op_type == "ConvTranspose":  # weights [Cin, Cout / group, *kernel]
        return prod(left[1:]) * prod(right[1:])
    output = _shape(node, node.outputs[0])
    transposed = node.op_type == "Gemm" and "transA" in node.attributes and node.attributes["transA"].as_int()
    return prod(output[1:]) * (left[0] if transposed else left[-1])


def _shape(node: ir.Node, value: ir.Value | None) -> list[int]:
    """Extents of a value; a free batch counts as 1."""
    if value is None or value.shape is None:
        raise UnsupportedError(
            f"node '{node.name}' ({node.op_type}) has an operand of unknown shape: it can't be counted"
        )
    extents = [d if isinstance(d, int) else 1 for d in value.shape[:1]]
    for dimension in value.shape[1:]:
        if not isinstance(dimension, int):
            raise UnsupportedError(
                f"node '{node.name}' ({node.op_type}) has a free axis {value.shape}: it can't be counted"
            )
        extents.append(dimension)
    return extents
