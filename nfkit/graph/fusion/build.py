"""Nodes and constants for a graph, under names that nothing else has: what a fused file adds is written with this.

Softmax is spelt out as ReduceMax, Sub, Exp, ReduceSum and Div: some runtimes take a Softmax between DequantizeLinear
and QuantizeLinear for an elementwise function, and then answer wrongly without an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

_AXES_BECOME_INPUTS = 18  # of ReduceMax and its like; ReduceSum has had them since 13


class Builder:
    """Collects nodes for a graph, and registers their constants in it.

    Args:
        graph: Where the constants go; the nodes are for the caller to place.
        opset: Version of the standard operators.
        prefix: Start of every name.
    """

    def __init__(self, graph: ir.Graph, opset: int, prefix: str) -> None:
        self.graph, self.opset, self.prefix = graph, opset, prefix
        self.nodes: list[ir.Node] = []

    def node(self, op: str, *inputs: ir.Value, output: str = "", **attributes: Any) -> ir.Value:
        """Adds a node.

        Args:
            op: A standard operator.
            inputs: Its operands.
            output: Name of the result without the prefix; one of its own by default.
            attributes: Its attributes.

        Returns:
            The first output.
        """
        node = ir.node(op, inputs, attributes, name=f"{self.prefix}{len(self.nodes)}_{op}")
        node.outputs[0].name = f"{self.prefix}{output}" if output else f"{node.name}_output"
        self.nodes.append(node)
        return node.outputs[0]

    def constant(self, name: str, content: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> ir.Value:
        """An initializer of the graph; the same name is the same initializer."""
        name = f"{self.prefix}{name}"
        if name not in self.graph.initializers:
            tensor = ir.tensor(np.asarray(content, dtype), name=name)
            value = ir.Value(
                name=name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype), const_value=tensor
            )
            self.graph.register_initializer(value)
        return self.graph.initializers[name]

    def reduce(self, op: str, value: ir.Value, axis: int = 1) -> ir.Value:
        """ReduceMax, ReduceMin or ReduceSum over one axis, which stays with extent 1."""
        if op == "ReduceSum" or self.opset >= _AXES_BECOME_INPUTS:
            return self.node(op, value, self.constant(f"axis_{axis}", [axis], np.int64), keepdims=1)
        return self.node(op, value, axes=[axis], keepdims=1)

    def softmax(self, value: ir.Value, axis: int = 1) -> ir.Value:
        """Shares exp(v) / sum exp(v), computed from v - max v."""
        raised = self.node("Exp", self.node("Sub", value, self.reduce("ReduceMax", value, axis)))
        return self.node("Div", raised, self.reduce("ReduceSum", raised, axis))

    def log_softmax(self, value: ir.Value, axis: int = 1) -> ir.Value:
        """Logarithms of the shares, exact where one is all but 1."""
        below = self.node("Sub", value, self.reduce("ReduceMax", value, axis))
        total = self.reduce("ReduceSum", self.node("Exp", below), axis)
        return self.node("Sub", below, self.node("Log", total))


def spell_out_softmax(model: ir.Model, prefix: str = "softmax/") -> None:
    """Replaces, in place, every Softmax of the main graph by the five operators that it stands for.

    Args:
        model: At opset 13 or later, where Softmax runs over one axis.
        prefix: Start of the names of what is added.
    """
    graph = model.graph
    for index, node in enumerate([n for n in graph if n.op_type == "Softmax" and not n.domain]):
        source, result = node.inputs[0], node.outputs[0]
        assert source is not None
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else -1
        builder = Builder(graph, model.opset_imports[""], f"{prefix}{index}/")
        shares = builder.softmax(source, axis)
        shares.shape, shares.type = result.shape, result.type
        graph.insert_before(node, builder.nodes)
        result.replace_all_uses_with(shares, replace_graph_outputs=True)
        graph.remove(node, safe=True)
        shares.name = result.name
