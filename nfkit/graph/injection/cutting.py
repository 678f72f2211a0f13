"""Cuts a graph where errors begin: before it, every chip computes the same.

Values at a cut are codes where the graph has any there: a pair of quantisation and dequantisation is cut between the
two, so that each half still holds whole what a runtime merges into integer kernels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.convenience import extract

from nfkit.graph.memory.storage import bodies


@dataclass(frozen=True, eq=False)
class Cut:
    """A model in two.

    Attributes:
        before: From the model's input to the values at the cut, its outputs.
        after: From these values, its inputs, to the model's first output.
    """

    before: ir.Model
    after: ir.Model

    @property
    def values(self) -> list[str]:
        """Names of what is handed on."""
        return [str(value.name) for value in self.after.graph.inputs]


def cuts(model: ir.Model, changing: Sequence[str], sites: Sequence[str], count: int) -> Iterator[Cut]:
    """Places before which the named initializers are not read, and others of the weights are; the last one first.

    There are none in a graph with bodies or functions of its own, and none before the first weights. What a runtime
    merges may be another in two halves than in the whole, and then its last bit, too: whoever cuts has to compare.

    Args:
        model: The model; it is not changed.
        changing: Names of the initializers whose codes change.
        sites: Names of all weights of the model.
        count: How many places at most, each before one weight more.
    """
    copy = model.clone()
    graph = copy.graph
    if copy.functions or not set(sites) <= set(graph.initializers) or any(True for node in graph for _ in bodies(node)):
        return
    graph.sort()
    constant = _constant(graph)
    seen, found = set(changing), set[tuple[str | None, ...]]()
    earlier = [name for name in _in_order(graph, sites) if name not in seen]
    while len(found) < count:
        dirty = _depending(graph, seen)
        earlier = [name for name in earlier if not _depending(graph, {name}) - constant <= dirty]
        at = _frontier(graph, dirty, constant)
        if not earlier or not at or any(value.is_graph_input() for value in at):
            return
        key = tuple(value.name for value in at)
        if key not in found:
            found.add(key)
            yield Cut(_part(copy, graph.inputs[:1], at), _part(copy, at, graph.outputs[:1]))
        seen.add(earlier.pop())


def _constant(graph: ir.Graph) -> set[ir.Value]:
    """Values that no input changes."""
    found = set(graph.initializers.values())
    for node in graph:
        if all(value is None or value in found for value in node.inputs):
            found.update(node.outputs)
    return found


def _depending(graph: ir.Graph, names: set[str]) -> set[ir.Value]:
    """Initializers, and all values that depend on them."""
    found = {graph.initializers[name] for name in names}
    for node in graph:
        if any(value in found for value in node.inputs):
            found.update(node.outputs)
    return found


def _in_order(graph: ir.Graph, sites: Sequence[str]) -> list[str]:
    """Weights as the graph computes with them: the less depends on one, the later it is."""
    return sorted(sites, key=lambda name: -len(_depending(graph, {name})))


def _frontier(graph: ir.Graph, dirty: set[ir.Value], constant: set[ir.Value]) -> list[ir.Value]:
    """Values that are not dirty and that dirty ones are computed of: codes rather than what they stand for."""
    found: dict[ir.Value, None] = {}
    for node in graph:
        if dirty.isdisjoint(node.outputs):
            continue
        for value in node.inputs:
            if value is None or value in dirty or value in constant:
                continue
            producer = value.producer()
            if producer is not None and producer.op_type == "DequantizeLinear" and producer.inputs[0] is not None:
                value = producer.inputs[0]
            found[value] = None
    return list(found)


def _part(model: ir.Model, inputs: Sequence[ir.Value], outputs: Sequence[ir.Value]) -> ir.Model:
    return ir.Model(extract(model.graph, list(inputs), list(outputs)), ir_version=model.ir_version)
