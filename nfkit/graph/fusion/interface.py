"""The steps between a model's own input and images in [-1, 1], written as nodes of the prefix."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.graph.fusion.fused import PREFIX
from nfkit.graph.input.affine import Arithmetic, Arrange, Convert, Permute, Saturate, Step


def write(steps: list[Step], value: ir.Value, nodes: list[ir.Node], graph: ir.Graph) -> ir.Value:
    """Appends the steps' nodes to `nodes`, registers their constants in the graph, and returns the last value."""
    for step in steps:
        match step:
            case Convert(dtype):
                value = _node("Cast", [value], nodes, to=int(ir.DataType.from_numpy(np.dtype(dtype))))
            case Saturate(dtype):
                # QuantizeLinear of scale 1 is "round half to even, then saturate", which Cast alone is not.
                one = _constant("one", np.array(1, np.float32), graph)
                zero = _constant("zero", np.array(0, dtype), graph)
                value = _node("QuantizeLinear", [value, one, zero], nodes)
            case Arrange(name, shape):
                # 0 in a Reshape keeps the axis: the batch may be free.
                value = _node("Reshape", [value, _constant(name, np.array([0, *shape], np.int64), graph)], nodes)
            case Permute(axes):
                value = _node("Transpose", [value], nodes, perm=list(axes))
            case Arithmetic(operation, name, constant):
                value = _node(operation, [value, _constant(name, constant, graph)], nodes)
    return value


def _node(op: str, inputs: list[ir.Value], nodes: list[ir.Node], **attributes: Any) -> ir.Value:
    node = ir.node(op, inputs, attributes, name=f"{PREFIX}interface_{len(nodes)}_{op}")
    node.outputs[0].name = f"{node.name}_output"
    nodes.append(node)
    return node.outputs[0]


def _constant(name: str, array: npt.NDArray[Any], graph: ir.Graph) -> ir.Value:
    name = f"{PREFIX}interface_{name}"
    if name not in graph.initializers:
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        graph.register_initializer(value)
    return graph.initializers[name]
