"""Functions where they are called, bodies where they are run, and constant tensors under the names of their memories.

A function's memory is one, however often it is called; its copies are brought together again under its name.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from nfkit.graph.memory.storage import stored_tensors
from nfkit.rim.failures import model_errors


class MemoryNames:
    """Which memory each tensor object of a copy is, whatever becomes of the value that holds it."""

    def __init__(self, view: ir.Model) -> None:
        self._names: dict[int, str] = {}
        self._kept: list[ir.TensorProtocol] = []  # so that no id is used again while names are looked up by it
        for entry in stored_tensors(view).values():
            if entry.node is None and entry.value.const_value is None:
                continue
            tensor = entry.tensor
            if id(tensor) in self._names:  # one tensor object shared by two memories
                entry.store(entry.array().copy())
                tensor = entry.tensor
            self._names[id(tensor)] = entry.name
            self._kept.append(tensor)

    def of(self, tensor: ir.TensorProtocol | None, default: str) -> str:
        """The name of the memory that a tensor is; the default for any other tensor."""
        return self._names.get(id(tensor), default)


def inlined(model: ir.Model, criteria: Callable[[ir.Function], bool] | None = None) -> tuple[ir.Model, MemoryNames]:
    """A copy of a model without functions, and the names of the memories that its tensors are.

    Args:
        model: The model; not changed.
        criteria: Which functions to put in place of their calls; all by default.

    Raises:
        ModelError: When the functions cannot be inlined.
    """
    view = model.clone()
    names = MemoryNames(view)
    if view.functions:
        with model_errors("the functions of the model cannot be inlined"):
            view = InlinePass(criteria)(view).model
    return view, names


def splice(graph: ir.Graph, node: ir.Node, body: ir.Graph, prefix: str, names: MemoryNames) -> list[ir.Value]:
    """Moves the nodes of a body in front of the node that runs it; the node stays, without that body's content.

    Args:
        graph: The graph that the node is in.
        node: The node.
        body: One of its bodies.
        prefix: What the names of the body's values get in front, since its twin may have values of the same names.
        names: Names of memories, which initializers of the body get.

    Returns:
        The body's results, as values of the graph.
    """
    results = list(body.outputs)
    body.outputs.clear()
    for value in list(body.initializers.values()):
        del body.initializers[str(value.name)]
        value.name = names.of(value.const_value, f"{prefix}{value.name}")
        graph.register_initializer(value)
    nodes = list(body)
    for inner in nodes:
        body.remove(inner)
        for output in inner.outputs:
            output.name = f"{prefix}{output.name}"
    graph.insert_before(node, nodes)
    return results


def lift_constants(graph: ir.Graph, names: MemoryNames) -> None:
    """Makes initializers of the Constant nodes of a graph, under the names of their memories."""
    for node in list(graph):
        if node.op_type != "Constant" or node.domain or "value" not in node.attributes:
            continue
        tensor, output = node.attributes["value"].as_tensor(), node.outputs[0]
        name = names.of(tensor, str(output.name))
        value = graph.initializers.get(name)
        if value is None:  # else a function's own memory, inlined before
            output.name = f"{name}.lifted"
            value = ir.Value(
                name=name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype), const_value=tensor
            )
            graph.register_initializer(value)
        output.replace_all_uses_with(value, replace_graph_outputs=True)
        graph.remove(node, safe=True)
