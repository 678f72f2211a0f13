"""Codes that take the place of floats in a model, under the names of those."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from nfkit.graph.memory.bits import record_bits
from nfkit.graph.memory.storage import every_node
from nfkit.graph.quantised.known import drop, origin


class CodeStore:
    """Initializers that are being made, in place, in a model.

    Args:
        model: The model.
    """

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._taken = {str(v.name) for node in every_node(model) for v in node.outputs}
        for graph in (model.graph, *model.graph.subgraphs()):
            self._taken |= {str(v.name) for v in (*graph.inputs, *graph.initializers.values())}
        self._origins: dict[int, ir.Value] = {}  # by the codes made of it
        self._made: list[tuple[ir.Value, int | None]] = []

    def constant(self, graph: ir.Graph, name: str, array: npt.NDArray[Any]) -> ir.Value:
        """A new initializer, of that name if it is free."""
        name = self._free(name)
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        graph.register_initializer(value)
        return value

    def codes(self, graph: ir.Graph, array: npt.NDArray[Any], source: ir.Value, bits: int | None = None) -> ir.Value:
        """A new initializer of codes; `finish` gives it the name of what they are made of.

        Args:
            graph: The graph that reads them.
            array: The codes.
            source: The value that they take the place of: floats, or codes that this store made before.
            bits: Bits of a code, where it has fewer than its type.
        """
        root = self._origins.pop(id(source), None) or origin(source)
        # The record of narrow codes names initializers of the main graph, which bodies see as well.
        value = self.constant(graph if bits is None else self._model.graph, f"{root.name}_quantized", array)
        self._origins[id(value)] = root
        self._made = [(made, narrow) for made, narrow in self._made if made is not source]
        self._made.append((value, bits))
        return value

    def finish(self) -> None:
        """Gives the codes their names, and records their bits."""
        given: set[int] = set()
        for value, _ in self._made:
            root, graph = self._origins[id(value)], value.graph
            assert isinstance(graph, ir.Graph)
            if id(root) in given or not self._is_gone(root):
                continue
            given.add(id(root))
            self._taken.discard(str(root.name))
            self._taken.discard(str(value.name))
            name = self._free(str(root.name))
            del graph.initializers[str(value.name)]
            value.name = name
            if value.const_value is not None:
                value.const_value.name = name
            graph.register_initializer(value)
        record_bits(self._model, {str(value.name): bits for value, bits in self._made if bits is not None})

    def remove(self, node: ir.Node) -> None:
        """Removes a node that nothing reads any more, with what only it has read."""
        operands = [operand for operand in node.inputs if operand is not None]
        assert node.graph is not None
        node.graph.remove(node, safe=True)
        for operand in operands:
            drop(operand)

    def _is_gone(self, root: ir.Value) -> bool:
        if root.uses() or root.is_graph_output() or root.is_graph_input():
            return False
        return root.producer() is not None or not root.is_initializer()

    def _free(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self._taken:
            count += 1
            candidate = f"{name}_{count}"
        self._taken.add(candidate)
        return candidate
