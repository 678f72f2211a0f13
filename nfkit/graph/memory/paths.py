"""The ways that values take through a model: who reads them, and whether the model's inputs have a part in them.

Ways lead into functions that are called and bodies that are run, and out of them again. Nodes that no output depends on
are on no way: a runtime drops them, and a device never reads what they read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.graph.memory.storage import bodies, constant, every_node
from nfkit.graph.operators.operands import facts_of, operand, passed_on, standard_op
from nfkit.model import check_loaded

Calls = tuple[ir.Node, ...]
"""The calls of functions, outermost first, that a value is looked at through."""

_Key = tuple[int, Calls]
_Sources = tuple[_Key, list[tuple[ir.Value, Calls]] | None]

_RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")


class Paths:
    """The ways that values take through a model.

    Args:
        model: The model; not changed, nor to be changed while this is used.
    """

    def __init__(self, model: ir.Model) -> None:
        check_loaded(model)
        self._functions = model.functions
        self._calls: dict[ir.OperatorIdentifier, list[ir.Node]] = {}
        self._returned: dict[int, list[tuple[ir.Node | ir.Function, int]]] = {}
        self._constant: dict[_Key, bool] = {}
        self._origins: dict[_Key, _Sources] = {}
        self._live = _live_nodes(model.graph)
        self._main = model.graph
        for node in every_node(model):
            if self.called(node) is not None:
                self._calls.setdefault(node.op_identifier(), []).append(node)
            for _, graph in bodies(node):
                for index, value in enumerate(graph.outputs):
                    # The first result of a Loop's body is its condition, which the node does not return.
                    self._returned.setdefault(id(value), []).append((node, index - (node.op_type == "Loop")))
        for function in model.functions.values():
            for index, value in enumerate(function.outputs):
                self._returned.setdefault(id(value), []).append((function, index))

    def is_live(self, node: ir.Node) -> bool:
        """Whether a node of the main graph has a part in an output; nodes of bodies and functions count as live."""
        return node.graph is not self._main or node in self._live

    def called(self, node: ir.Node) -> ir.Function | None:
        """The function of the model that a node calls, if it calls one."""
        # nfkit's own fault functions pass weights on; what they do inside is bits, not values.
        return None if node.domain == "nfkit" else self._functions.get(node.op_identifier())

    def uses(self, value: ir.Value, calls: Calls = ()) -> Iterator[tuple[ir.Node, int, Calls]]:
        """The operators that take a value, and at which operand: looked for inside what is called, and outside too."""
        for node, index in value.uses():
            if not self.is_live(node):
                continue
            function = self.called(node)
            if function is not None:
                yield from self.uses(function.inputs[index], (*calls, node))
                continue
            entered = False
            for _, graph in bodies(node):
                if node.op_type in ("Loop", "Scan") and index < len(graph.inputs):
                    entered = True
                    yield from self.uses(graph.inputs[index], calls)
            if not entered:
                yield node, index, calls
        for owner, index in self._returned.get(id(value), ()):
            if index < 0:
                continue
            if isinstance(owner, ir.Node):
                yield from self.uses(owner.outputs[index], calls)
            elif calls:
                yield from self.uses(calls[-1].outputs[index], calls[:-1])
            else:  # a constant of the function itself: every call returns it
                for call in self._calls.get(owner.identifier(), ()):
                    yield from self.uses(call.outputs[index])

    def is_constant(self, value: ir.Value, calls: Calls = ()) -> bool:
        """Whether no input of the model has a part in a value."""
        pending = [(value, calls)]
        while pending:  # not by recursion: an activation lies behind all the layers before it
            key, sources = self._sources(*pending[-1])
            missing = [s for s in sources or () if self._sources(*s)[0] not in self._constant]
            if key not in self._constant and missing:
                pending.extend(missing)
                continue
            pending.pop()
            self._constant[key] = sources is not None and all(self._constant[self._sources(*s)[0]] for s in sources)
        return self._constant[self._sources(value, calls)[0]]

    def roots(self, value: ir.Value, calls: Calls = ()) -> list[ir.Value]:
        """The stored tensors whose values a constant is made of, without those that only say where or how many."""
        pending, seen, found = [(value, calls)], set(), []
        while pending:
            within_value, within = self.outside(*pending.pop())
            if within_value is None or (id(within_value), within) in seen:
                continue
            seen.add((id(within_value), within))
            node = within_value.producer()
            if node is None or not node.inputs:
                found.append(within_value)
                continue
            chosen = passed_on(node) or ((0,) if facts_of(node).quantiser else range(len(node.inputs)))
            pending.extend((v, within) for v in (operand(node, i) for i in chosen) if v is not None)
        return found

    def outside(self, value: ir.Value, calls: Calls) -> tuple[ir.Value | None, Calls]:
        """The value that a caller gave for a function's input."""
        while calls:
            function = self._functions[calls[-1].op_identifier()]
            index = next((i for i, given in enumerate(function.inputs) if given is value), None)
            if index is None:
                break
            given = operand(calls[-1], index)
            if given is None:
                return None, calls
            value, calls = given, calls[:-1]
        return value, calls

    def number(self, value: ir.Value | None, calls: Calls = ()) -> npt.NDArray[Any] | None:
        """The numbers that a constant holds, looked for behind moves and casts."""
        found, calls = self.outside(value, calls) if value is not None else (None, ())
        if found is None:
            return None
        node = found.producer()
        if node is not None and standard_op(node) in ("Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape"):
            return self.number(node.inputs[0], calls)
        if node is None:  # an initializer, even one that may be overridden: the file's own number
            return None if found.const_value is None else np.asarray(found.const_value.numpy())
        return constant(found)

    def integer(self, node: ir.Node, name: str, calls: Calls, default: int) -> int:
        """An integer attribute of a node, which inside a function may stand for one that its caller gives."""
        attribute = node.attributes.get(name)
        while attribute is not None and attribute.is_ref() and calls:
            wanted, call = str(attribute.ref_attr_name), calls[-1]
            stated = self._functions[call.op_identifier()].attributes.get(wanted)
            attribute, calls = call.attributes.get(wanted, stated), calls[:-1]
        return default if attribute is None or attribute.is_ref() or attribute.value is None else attribute.as_int()

    def _sources(self, value: ir.Value, calls: Calls) -> _Sources:
        """What a value is computed from, and the key that answers about it are kept by; None for a model's input."""
        asked = (id(value), calls)
        if asked not in self._origins:
            self._origins[asked] = self._look_up(value, calls)
        return self._origins[asked]

    def _look_up(self, value: ir.Value, calls: Calls) -> _Sources:
        found, within = self.outside(value, calls)
        if found is None:
            return (0, within), []
        key = (id(found), within)
        if found.is_initializer():
            return key, []
        node = found.producer()
        if node is None or node.op_type in _RANDOM:
            return key, None
        # A function's result depends on what it is given; what else it computes from is stored inside it.
        captured = [v for _, graph in bodies(node) for v in _captured(graph)]
        # The masks of injected faults may be inputs; what they hit stays a weight.
        given = node.inputs[:1] if node.domain == "nfkit" else node.inputs
        return key, [(v, within) for v in (*given, *captured) if v is not None]


def _live_nodes(graph: ir.Graph) -> set[ir.Node]:
    """The nodes of a graph that have a part in its outputs."""
    pending = list(graph.outputs)
    live: set[ir.Node] = set()
    while pending:
        node = pending.pop().producer()
        if node is None or node in live:
            continue
        live.add(node)
        pending.extend(v for v in node.inputs if v is not None)
        for _, body in bodies(node):
            pending.extend(_captured(body))
    return live


def _captured(graph: ir.Graph) -> list[ir.Value]:
    """What the nodes and outputs of a body take from outside it."""
    inner = {id(v) for v in graph.inputs} | {id(v) for v in graph.initializers.values()}
    read: list[ir.Value] = list(graph.outputs)
    for node in graph.all_nodes():
        inner.update(id(v) for v in node.outputs)
        read.extend(v for v in node.inputs if v is not None)
        for _, body in bodies(node):
            inner.update(id(v) for v in (*body.inputs, *body.initializers.values()))
            read.extend(body.outputs)
    return [v for v in read if id(v) not in inner]
