"""One flat graph to count: functions where they are called, the bodies of If, Loop and Scan where they are run.

Of every node it is known how often an inference runs it, and in which branches it stands:

1. an If of a constant condition is the branch that it takes;
2. of any other If both branches are there, and their results meet in a Where, so that shapes behind them are known;
3. a Loop whose number of trips the graph states, and which nothing ends earlier, and a Scan along an axis of known
   length, are their bodies, run as often. Values that a trip hands to the next have the shape that they begin with.

What else is a body stays where it is: how often it runs depends on data. So does a function that cannot be inlined.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.energy.layers import Branch
from nfkit.energy.shapes import infer_shapes
from nfkit.errors import ModelError
from nfkit.graph.canonical.inlining import MemoryNames, inlined, lift_constants, splice
from nfkit.graph.memory.storage import bodies, constant, own_name
from nfkit.graph.operators.operands import integer, operand, standard_op


@dataclass(frozen=True)
class Runs:
    """When a node is run.

    Attributes:
        trips: How often an inference runs it, where it takes its branches.
        branches: The branches that it stands in, outermost first.
    """

    trips: int = 1
    branches: tuple[Branch, ...] = ()


@dataclass
class Unrolled:
    """A flat model, and when its nodes are run.

    Attributes:
        model: The flat model, or the model itself where there is nothing to unroll.
        runs: Of nodes that were in bodies.
    """

    model: ir.Model
    runs: dict[ir.Node, Runs] = field(default_factory=dict)

    def of(self, node: ir.Node) -> Runs:
        """When a node is run."""
        return self.runs.get(node, Runs())


def unroll(model: ir.Model) -> Unrolled:
    """Makes one flat graph of a model, which stays as it is.

    Raises:
        ModelError: When the model's constant tensors cannot be read.
    """
    if not any(_is_counted(f) for f in model.functions.values()) and not any(_bodied(node) for node in model.graph):
        return Unrolled(model)
    try:
        view, names = inlined(model, _is_counted)
    except ModelError:  # versions of operators that differ, say: the calls stay, and are named
        view = model.clone()
        names = MemoryNames(view)
    unrolled = Unrolled(view)
    _Opening(unrolled, names).open_all()
    lift_constants(view.graph, names)
    return unrolled


def _is_counted(function: ir.Function) -> bool:
    return function.domain != "nfkit"  # those are faults, which weights pass


def _bodied(node: ir.Node) -> bool:
    return any(True for _ in bodies(node))


class _Opening:
    """Puts bodies in the place of their nodes, from the outside in."""

    def __init__(self, unrolled: Unrolled, names: MemoryNames) -> None:
        self._unrolled, self._names = unrolled, names
        self._graph = unrolled.model.graph
        self._labels: dict[ir.Node, str] = {}
        self._closed: list[ir.Node] = []

    def open_all(self) -> None:
        self._closed = [node for node in self._graph if _bodied(node)]
        while self._closed:
            node = self._closed.pop()
            opened = {"If": self._if, "Loop": self._loop, "Scan": self._scan}.get(standard_op(node))
            results = opened(node) if opened is not None else None
            if results is None:
                continue
            for old, new in zip(node.outputs, results, strict=True):
                old.replace_all_uses_with(new, replace_graph_outputs=True)
            self._graph.remove(node, safe=True)

    def _if(self, node: ir.Node) -> list[ir.Value] | None:
        condition = operand(node, 0)
        if condition is None:
            return None
        known = constant(condition)
        label, runs = self._label(node), self._unrolled.of(node)
        if known is not None:
            return self._splice(node, "then_branch" if known.item() else "else_branch", runs)
        both = [
            self._splice(node, branch, Runs(runs.trips, (*runs.branches, (label, branch))))
            for branch in ("then_branch", "else_branch")
        ]
        return [self._add(node, "Where", condition, then, other) for then, other in zip(*both, strict=True)]

    def _loop(self, node: ir.Node) -> list[ir.Value] | None:
        body = node.attributes["body"].as_graph()
        limit, begins = (_number_of(operand(node, index)) for index in (0, 1))
        if limit is None or limit.size != 1 or limit.item() < 0 or None in node.inputs[2:]:
            return None
        if operand(node, 1) is not None and (begins is None or not begins.all()):
            return None
        again = body.outputs[0]
        while (producer := again.producer()) is not None and standard_op(producer) == "Identity":
            again = producer.inputs[0] or again
        if again is not body.inputs[1] and ((stays := constant(again)) is None or not stays.all()):
            return None  # it may end earlier
        trips = int(limit.item())
        given = [self._number(node, np.array(0)), self._number(node, np.array(True)), *node.inputs[2:]]
        for inner, outer in zip(body.inputs, given, strict=True):
            assert outer is not None
            inner.replace_all_uses_with(outer, replace_graph_outputs=True)
        results = self._splice(node, "body", self._repeated(node, trips))[1:]
        carried = len(body.inputs) - 2
        return [*results[:carried], *(self._stacked(node, value, 0, trips) for value in results[carried:])]

    def _scan(self, node: ir.Node) -> list[ir.Value] | None:
        body, scanned = node.attributes["body"].as_graph(), integer(node, "num_scan_inputs", 0)
        states = len(body.inputs) - scanned
        if None in node.inputs or len(node.inputs) != len(body.inputs) or not scanned:
            return None
        axes = _axes(node, "scan_input_axes", scanned)
        first = node.inputs[states]
        shape = self._shape_of(first) if first is not None else None
        if shape is None or not -len(shape) <= axes[0] < len(shape):
            return None
        trips = shape[axes[0]]
        given = [
            *node.inputs[:states],
            *(
                self._add(node, "Gather", value, self._number(node, np.array(0)), axis=axis)
                for value, axis in zip(node.inputs[states:], axes, strict=True)
            ),
        ]
        for inner, outer in zip(body.inputs, given, strict=True):
            assert outer is not None
            inner.replace_all_uses_with(outer, replace_graph_outputs=True)
        results = self._splice(node, "body", self._repeated(node, trips))
        along = _axes(node, "scan_output_axes", len(results) - states)
        stacked = zip(results[states:], along, strict=True)
        return [*results[:states], *(self._stacked(node, value, axis, trips) for value, axis in stacked)]

    def _repeated(self, node: ir.Node, trips: int) -> Runs:
        runs = self._unrolled.of(node)
        return Runs(runs.trips * trips, runs.branches)

    def _splice(self, node: ir.Node, body: str, runs: Runs) -> list[ir.Value]:
        graph, prefix = node.attributes[body].as_graph(), f"{self._label(node)}.{body}/"
        self._unrolled.runs.update(dict.fromkeys(graph, runs))
        self._closed += [inner for inner in graph if _bodied(inner)]
        return splice(self._graph, node, graph, prefix, self._names)

    def _label(self, node: ir.Node) -> str:
        """A name that no other node with bodies has."""
        if node not in self._labels:
            name, number = node.name or own_name(node.outputs[0], self._graph), 1
            label = name
            while label in self._labels.values():
                number += 1
                label = f"{name}#{number}"
            self._labels[node] = label
        return self._labels[node]

    def _shape_of(self, value: ir.Value) -> tuple[int, ...] | None:
        if value.shape is not None and all(isinstance(extent, int) for extent in value.shape):
            return tuple(int(extent) for extent in value.shape.numpy())
        return infer_shapes(self._unrolled.model).get(str(value.name))

    def _number(self, node: ir.Node, number: npt.NDArray[Any]) -> ir.Value:
        return self._add(node, "Constant", value=ir.tensor(number))

    def _stacked(self, node: ir.Node, value: ir.Value, axis: int, trips: int) -> ir.Value:
        """The results of all trips along a new axis."""
        if self._unrolled.model.opset_imports.get("", 13) < 13:
            one = self._add(node, "Unsqueeze", value, axes=[axis])
        else:
            one = self._add(node, "Unsqueeze", value, self._number(node, np.array([axis])))
        return self._add(node, "Gather", one, self._number(node, np.zeros(trips, np.int64)), axis=axis)

    def _add(self, before: ir.Node, op: str, *inputs: ir.Value | None, **attributes: object) -> ir.Value:
        node = ir.node(op, inputs, attributes)  # type: ignore[arg-type]
        self._graph.insert_before(before, node)
        node.outputs[0].name = f"{before.outputs[0].name}.unrolled.{op}.{len(self._unrolled.runs)}"
        self._unrolled.runs[node] = self._unrolled.of(before)
        return node.outputs[0]


def _number_of(value: ir.Value | None) -> npt.NDArray[Any] | None:
    return None if value is None else constant(value)


def _axes(node: ir.Node, name: str, count: int) -> list[int]:
    return list(node.attributes[name].as_ints()) if name in node.attributes else [0] * count
