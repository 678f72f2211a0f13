"""What becomes of a stored tensor: the operators that finally read it, through moves, calls and control flow.

A tensor of codes may be moved (Transpose, Reshape, ...), handed to a function, captured by a body, handed on by a body,
and dequantised: by DequantizeLinear, or by Cast and arithmetic with constants (Sub the zero point, Mul the scale).
What reads it behind all that decides what it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.graph.memory.storage import bodies, constant, every_node
from nfkit.graph.operators.operands import (
    DEQUANTIZE,
    Role,
    code_role,
    float_role,
    key_of,
    moves,
    operand,
    quantisation,
    standard_op,
)

Calls = tuple[ir.Node, ...]
"""The calls of functions, outermost first, that a value is looked at through."""


@dataclass(frozen=True)
class Reading:
    """One way in which a stored tensor of codes is read.

    Attributes:
        node: The node that takes the tensor itself.
        role: What it is read as.
        consumers: Names (or types) of the operators that finally use its values.
        scale: Quantisation scales, of the shape that the graph gives them; None where it does not say.
        zero_point: Zero points; None where the graph has none.
        axis: Axis of several scales, counted from the end if negative.
    """

    node: ir.Node
    role: Role
    consumers: tuple[str, ...]
    scale: npt.NDArray[np.generic] | None = None
    zero_point: npt.NDArray[np.generic] | None = None
    axis: int = 0


class Flow:
    """The ways that values take through a model.

    Args:
        model: The model; not changed, nor to be changed while this is used.
    """

    def __init__(self, model: ir.Model) -> None:
        self._functions = model.functions
        self._calls: dict[ir.OperatorIdentifier, list[ir.Node]] = {}
        self._returned: dict[int, list[tuple[ir.Node | ir.Function, int]]] = {}
        for node in every_node(model):
            if self._called(node) is not None:
                self._calls.setdefault(node.op_identifier(), []).append(node)
            for _, graph in bodies(node):
                for index, value in enumerate(graph.outputs):
                    # The first result of a Loop's body is its condition, which the node does not return.
                    self._returned.setdefault(id(value), []).append((node, index - (node.op_type == "Loop")))
        for function in model.functions.values():
            for index, value in enumerate(function.outputs):
                self._returned.setdefault(id(value), []).append((function, index))

    def uses(self, value: ir.Value, calls: Calls = ()) -> Iterator[tuple[ir.Node, int, Calls]]:
        """The operators that take a value, and at which operand: looked for inside what is called, and outside too."""
        for node, index in value.uses():
            function = self._called(node)
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

    def readings(self, value: ir.Value) -> Iterator[Reading]:
        """How a stored tensor of codes is read, as far as that makes it memory."""
        for node, index, calls in self.uses(value):
            for reading in self._coded(node, index, calls):
                yield replace(reading, node=node)

    def _coded(self, node: ir.Node, index: int, calls: Calls) -> Iterator[Reading]:
        """Readings of a raw code that a node takes at an operand."""
        role = code_role(node, index)
        if role is not None:
            scale, zero_point, axis = quantisation(node, index)
            yield Reading(node, role, (label(node),), self._number(scale, calls), self._number(zero_point, calls), axis)
        elif key_of(node) in DEQUANTIZE and index == 0:
            attribute = node.attributes.get("axis")
            axis = attribute.as_int() if attribute is not None else 1
            ends = list(self._valued(node.outputs[0], calls)) or [Reading(node, "constant", (label(node),))]
            numbers = [self._number(operand(node, i), calls) for i in (1, 2)]
            yield _joined(node, ends, numbers[0], numbers[1], axis)
        elif standard_op(node) == "Cast" and _to_float(node):
            # Integers that end anywhere but in a product or convolution are no quantised weights.
            yield from (r for r in self._valued(node.outputs[0], calls) if r.role != "constant")
        elif standard_op(node) == "Sub" and index == 1:
            yield Reading(node, "zero_point", (label(node),))
        elif moves(node, index) or standard_op(node) in ("Cast", "Sub") or (standard_op(node), index) == ("Gather", 0):
            for output in node.outputs:
                for user, position, within in self.uses(output, calls):
                    for reading in self._coded(user, position, within):
                        # Rows that are looked up before they are dequantised are a table's, whatever is done with them.
                        table = node.op_type == "Gather" and reading.role == "constant"
                        shift = reading.zero_point
                        if node.op_type == "Sub" and shift is None:
                            shift = self._number(node.inputs[1], calls)
                        yield replace(reading, role="weight" if table else reading.role, zero_point=shift)

    def _valued(self, value: ir.Value, calls: Calls) -> Iterator[Reading]:
        """Readings of values that were dequantised, or cast and are being scaled."""
        for node, index, within in self.uses(value, calls):
            op = standard_op(node)
            if op in ("Shape", "Size"):  # they read no values
                continue
            other = node.inputs[1 - index] if op in _ARITHMETIC and len(node.inputs) == 2 else None
            if moves(node, index) or op == "Cast":
                for output in node.outputs:
                    yield from self._valued(output, within)
            elif op == "Sub" and index == 1:  # what is taken off is no weight, but may be its zero point
                yield Reading(node, "zero_point", (label(node),))
            elif other is not None and self._is_constant(other, within):
                for reading in self._valued(node.outputs[0], within):
                    number = self._number(other, within)
                    if op == "Mul" and reading.scale is None:
                        yield replace(reading, scale=number, axis=_broadcast_axis(number))
                    elif op == "Sub" and reading.zero_point is None:
                        yield replace(reading, zero_point=number)
                    else:
                        yield reading
            else:
                yield Reading(node, float_role(node, index) or "constant", (label(node),))

    def _called(self, node: ir.Node) -> ir.Function | None:
        # nfkit's own fault functions pass weights on; what they do inside is bits, not values.
        return None if node.domain == "nfkit" else self._functions.get(node.op_identifier())

    def _outside(self, value: ir.Value, calls: Calls) -> tuple[ir.Value | None, Calls]:
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

    def _is_constant(self, value: ir.Value, calls: Calls) -> bool:
        """Whether a value depends on stored tensors alone."""
        pending, seen = [(value, calls)], set()
        while pending:  # not by recursion: an activation lies behind all the layers before it
            found, within = self._outside(*pending.pop())
            if found is None or (id(found), within) in seen or found.is_initializer():
                continue
            seen.add((id(found), within))
            node = found.producer()
            if node is None:
                return False
            pending.extend((v, within) for v in reversed(node.inputs) if v is not None)
        return True

    def _number(self, value: ir.Value | None, calls: Calls) -> npt.NDArray[np.generic] | None:
        """The numbers that a constant holds, looked for behind moves and casts."""
        found, calls = self._outside(value, calls) if value is not None else (None, ())
        if found is None:
            return None
        node = found.producer()
        if node is not None and standard_op(node) in ("Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape"):
            return self._number(node.inputs[0], calls)
        if node is None:  # an initializer, even one that may be overridden: the file's own number
            return None if found.const_value is None else np.asarray(found.const_value.numpy())
        return constant(found)


_ARITHMETIC = ("Mul", "Sub", "Add", "Div")


def label(node: ir.Node) -> str:
    """Name of a node, or its operator where it has none."""
    return node.name or node.op_type


def _joined(
    node: ir.Node,
    ends: list[Reading],
    scale: npt.NDArray[np.generic] | None,
    zero_point: npt.NDArray[np.generic] | None,
    axis: int,
) -> Reading:
    """One reading for all that happens behind a DequantizeLinear."""
    roles = {end.role for end in ends}
    role: Role = next((r for r in ("weight", "bias") if r in roles), "constant")
    consumers = tuple(name for end in ends for name in end.consumers)
    return Reading(node, role, consumers, scale, zero_point, axis)


def _to_float(node: ir.Node) -> bool:
    return "to" in node.attributes and ir.DataType(node.attributes["to"].as_int()).is_floating_point()


def _broadcast_axis(scale: npt.NDArray[np.generic] | None) -> int:
    """Where scales that a Mul broadcasts vary, counted from the last axis."""
    if scale is None:
        return 0
    return next((i - scale.ndim for i, extent in enumerate(scale.shape) if extent > 1), 0)
