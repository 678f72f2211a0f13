"""The nodes that take the place of one node, as a rule of `nfkit.graph.canonical.rewrites` makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from nfkit.errors import ModelError
from nfkit.graph.operators.operands import operand

Value = ir.Value | None
Cache = dict[tuple[Value | int, ...], ir.Value]


class Rewriter:
    """Collects the nodes that take the place of one node.

    Args:
        graph: The graph that the node is in.
        node: The node.
        dequantised: Values that were dequantised before, by codes, scale, zero point and axis: shared, so that codes
            with several readers are dequantised once.
    """

    def __init__(self, graph: ir.Graph, node: ir.Node, dequantised: Cache) -> None:
        self.node = node
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
        name = self.node.name or self.node.outputs[0].name
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
        """(codes - zero point) * scale.

        Raises:
            ModelError: When the node lacks the codes.
        """
        if codes is None:
            raise ModelError(
                f"node '{self.node.name or self.node.outputs[0].name}' ({self.node.op_type}) lacks an input"
            )
        key = (codes, scale, zero_point, axis)
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
