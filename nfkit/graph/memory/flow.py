"""What becomes of a stored tensor: the operators that finally read it, through whatever is done with it on the way.

A stored tensor is followed as long as everything that has a part in the result is constant, so that the result is
still the weight and no activation:

1. moved, joined to others or masked (see `nfkit.graph.operators.table`), before it is dequantised or after;
2. dequantised, by DequantizeLinear, or by Cast and arithmetic: Sub the zero point, Mul the scale;
3. looked up: codes in a palette of a few numbers (see `nfkit.graph.memory.palettes`);
4. computed with in any other way (Neg, Abs, a product of two stored tensors), but for codes that an operator of another
   maker reads;
5. handed to a function, captured by a body, handed on by a body.

What reads it behind all that decides what it is. Of several stored tensors that meet in arithmetic or under a mask, the
one with the most elements is the weight, codes before floats before 0 and 1; the others say how it is read: scales,
zero points, masks, fillers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.graph.memory.palettes import palette_of
from nfkit.graph.memory.paths import Calls, Paths
from nfkit.graph.memory.ranks import CODES, rank
from nfkit.graph.memory.spelt_scales import broadcast_axis, product
from nfkit.graph.memory.storage import bodies
from nfkit.graph.operators.operands import (
    code_role,
    facts_of,
    integer,
    is_scale,
    operand,
    passed_on,
    quantisation,
    standard_op,
    value_role,
)
from nfkit.graph.operators.vendors import is_vendors

ReadAs = Literal["weight", "bias", "constant", "zero_point", "scale"]
"""What a tensor is read as, in the order in which a tensor that is several counts."""


@dataclass(frozen=True)
class End:
    """A node that finally uses the values of a tensor, and at which operand."""

    node: ir.Node
    index: int
    role: ReadAs


@dataclass(frozen=True)
class Reading:
    """One way in which a stored tensor is read.

    Attributes:
        node: The node that takes the tensor itself.
        role: What it is read as.
        ends: What finally uses its values.
        scale: Quantisation scales, of the shape that the graph gives them; None where it does not say.
        zero_point: Zero points; None where the graph has none.
        axis: Axis of several scales, counted from the end if negative.
        quantised: Bits of the codes that a quantiser in the graph makes of the values on the way; 0 where none does.
        looked_up: Bits that a code of a palette has in memory; 0 for what is no such code.
    """

    node: ir.Node
    role: ReadAs
    ends: tuple[End, ...]
    scale: npt.NDArray[Any] | None = None
    zero_point: npt.NDArray[Any] | None = None
    axis: int = 0
    quantised: int = 0
    looked_up: int = 0

    @property
    def consumers(self) -> tuple[str, ...]:
        """Names (or types) of the operators that finally use the values."""
        return tuple(label(end.node) for end in self.ends)


class Flow:
    """What becomes of the stored tensors of a model.

    Args:
        model: The model; not changed, nor to be changed while this is used.
    """

    def __init__(self, model: ir.Model) -> None:
        self.paths = Paths(model)

    def readings(self, value: ir.Value) -> list[Reading]:
        """How a stored tensor is read."""
        return list(_Walk(self.paths, value).readings())


class _Walk:
    """One tensor's way through the model."""

    def __init__(self, paths: Paths, start: ir.Value) -> None:
        self._paths, self._start = paths, start
        self._seen: set[tuple[int, Calls]] = set()

    def readings(self) -> Iterator[Reading]:
        dtype = self._start.dtype
        coded = dtype is None or not dtype.is_floating_point()
        for node, index, calls in self._paths.uses(self._start):
            for reading in self._at(node, index, calls, coded):
                yield replace(reading, node=node)

    def _behind(self, node: ir.Node, calls: Calls, coded: bool) -> Iterator[Reading]:
        """Readings of what a node makes of the tensor."""
        for output in node.outputs:
            key = (id(output), calls)
            if key in self._seen:  # both operands of a node, say
                continue
            self._seen.add(key)
            for user, index, within in self._paths.uses(output, calls):
                yield from self._at(user, index, within, coded)

    def _at(self, node: ir.Node, index: int, calls: Calls, coded: bool) -> Iterator[Reading]:
        """Readings of a node that takes the tensor, or what was made of it, at an operand: as codes, or as values."""
        facts = facts_of(node)
        if facts.blind:
            return
        if is_scale(node, index):
            yield _end(node, index, "scale")
            return
        role = code_role(node, index)
        if role is not None:
            scale, zero_point, axis = quantisation(node, index)
            number, zero = self._paths.number(scale, calls), self._paths.number(zero_point, calls)
            yield replace(_end(node, index, role), scale=number, zero_point=zero, axis=axis)
            return
        if facts.quantiser is not None:
            yield from self._quantiser(node, index, calls, coded)
            return
        looked_up = facts.passes == "moves" and 0 in facts.values and not self._is_constant(node, 1, calls)
        role = value_role(node, index)
        if role is not None and (looked_up or facts.passes is None) and not self._alone(node, index, calls):
            if looked_up and coded:
                yield from self._table(node, calls)
            else:
                yield _end(node, index, role)
            return
        if facts.passes is not None or node.domain == "nfkit":
            yield from self._passed(node, index, calls, coded)
        elif not bodies_of(node) and self._alone(node, index, calls):
            yield from self._computed(node, index, calls, coded)
        elif standard_op(node) == "Sub" and index == 1:  # what is taken off is no weight, but may be its zero point
            yield _end(node, index, "zero_point")
        elif not coded:
            yield _end(node, index, "constant")

    def _quantiser(self, node: ir.Node, index: int, calls: Calls, coded: bool) -> Iterator[Reading]:
        if index != 0:
            return
        kind = facts_of(node).quantiser
        if kind == "dequantises":
            axis = self._paths.integer(node, "axis", calls, 1)
            ends = list(self._behind(node, calls, False)) or [_end(node, index, "constant")]
            scale, zero_point = (self._paths.number(operand(node, i), calls) for i in (1, 2))
            yield _joined(node, ends, scale, zero_point, axis)
            return
        bits = self._code_bits(node, calls)
        for reading in self._behind(node, calls, kind == "quantises"):
            yield replace(reading, quantised=bits)

    def _code_bits(self, node: ir.Node, calls: Calls) -> int:
        """Bits of the codes that a quantiser makes."""
        if facts_of(node).quantiser == "imitates":
            width = self._paths.number(operand(node, 3), calls)
            return 1 if width is None or not width.size else max(1, math.ceil(float(width.max())))
        return code_type(node).bitwidth

    def _table(self, node: ir.Node, calls: Calls) -> Iterator[Reading]:
        """Rows that are looked up before they are dequantised are a table's, whatever is done with them."""
        for reading in self._behind(node, calls, True):
            yield replace(reading, role="weight") if reading.role == "constant" else reading

    def _passed(self, node: ir.Node, index: int, calls: Calls, coded: bool) -> Iterator[Reading]:
        """What a node that leaves values as they are makes of them."""
        palette = palette_of(self._paths, node, calls)
        if palette is not None and palette.obstacle is None:
            if index == 0:  # no weight, since what says which number it is stands for it
                yield _end(node, index, "constant")
                return
            for reading in self._behind(node, calls, not palette.is_float):
                if reading.role == "weight":  # the numbers' scale is none of the codes'
                    yield replace(reading, scale=None, zero_point=None, axis=0, quantised=0, looked_up=palette.bits)
            return
        chosen = passed_on(node)
        if index not in chosen:  # positions, shapes, masks, fillers
            return
        others = [v for i in chosen if i != index and (v := operand(node, i)) is not None]
        if not all(self._paths.is_constant(v, calls) for v in others):
            if not coded:  # joined to activations
                yield _end(node, index, "constant")
            return
        if facts_of(node).passes == "masks" and not self._prevails(others, calls):
            return
        yield from self._behind(node, calls, coded)

    def _computed(self, node: ir.Node, index: int, calls: Calls, coded: bool) -> Iterator[Reading]:
        """What a node makes of constants alone."""
        op = standard_op(node)
        others = [v for i, v in enumerate(node.inputs) if i != index and v is not None]
        role = value_role(node, index)
        prevails = self._prevails(others, calls) or self._isproduct(node.inputs[index], calls)
        if op == "Sub" and index == 1 and prevails and not self._prevails(others, calls, strictly=True):
            prevails = False  # of two alike the one that is taken off is the zero point
        if role != "weight" and not prevails:
            if op in ("Add", "Sub"):
                yield _end(node, index, "zero_point")
            elif not coded:
                yield _end(node, index, "scale" if self._start.dtype not in CODES else "constant")
            return
        if coded and is_vendors(node):  # what that makes of codes only its maker knows
            return
        target = ir.DataType(self._paths.integer(node, "to", calls, 0))
        becomes_float = op == "Cast" and target.is_floating_point()
        for reading in self._behind(node, calls, coded and not becomes_float):
            if coded and becomes_float and reading.role in ("constant", "scale"):
                continue  # integers that end anywhere but in a layer are no quantised weights
            yield self._shifted(op, index, others, calls, reading)

    def _shifted(self, op: str, index: int, others: list[ir.Value], calls: Calls, reading: Reading) -> Reading:
        """A reading behind arithmetic with constants, which may be the scale and the zero point."""
        if op not in ("Mul", "Div", "Add", "Sub") or len(others) != 1 or (op == "Div" and index == 1):
            return reading
        number = self._paths.number(others[0], calls)
        if op in ("Mul", "Div"):
            scale = product(number, reading.scale, inverse=op == "Div")
            # What is taken off behind a scale is no code.
            return replace(reading, scale=scale, zero_point=None, axis=broadcast_axis(scale))
        if reading.zero_point is not None or number is None or not np.all(number == np.rint(number)):
            return reading
        turned = op == "Sub" and index == 1  # z - w: the same zero point, and a negative scale
        scale = -reading.scale if turned and reading.scale is not None else reading.scale
        return replace(reading, zero_point=np.negative(number) if op == "Add" else number, scale=scale)

    def _is_constant(self, node: ir.Node, index: int, calls: Calls) -> bool:
        value = operand(node, index)
        return value is None or self._paths.is_constant(value, calls)

    def _alone(self, node: ir.Node, index: int, calls: Calls) -> bool:
        """Whether all the other operands of a node are constants."""
        return all(i == index or v is None or self._paths.is_constant(v, calls) for i, v in enumerate(node.inputs))

    def _prevails(self, others: list[ir.Value], calls: Calls, *, strictly: bool = False) -> bool:
        """Whether this tensor is the weight where it meets other constants, which then say how it is read."""
        ranks = [rank(root) for other in others for root in self._paths.roots(other, calls) if root is not self._start]
        if not ranks:
            return True
        return self._own_rank > max(ranks) if strictly else self._own_rank >= max(ranks)

    def _isproduct(self, value: ir.Value | None, calls: Calls) -> bool:
        """Whether a constant is a product of stored matrices: weights of low rank, however few elements these have."""
        pending, seen = [(value, calls)], set()
        while pending:
            found, within = pending.pop()
            found, within = self._paths.outside(found, within) if found is not None else (None, within)
            node = found.producer() if found is not None else None
            if node is None or (id(node), within) in seen:
                continue
            seen.add((id(node), within))
            if facts_of(node).passes is None and "weight" in facts_of(node).values.values():
                return True
            pending.extend((v, within) for v in node.inputs)
        return False

    @cached_property
    def _own_rank(self) -> tuple[int, int]:
        return rank(self._start)


def label(node: ir.Node) -> str:
    """Name of a node, or its operator where it has none."""
    return node.name or node.op_type


def code_type(node: ir.Node) -> ir.DataType:
    """Type of the codes that a QuantizeLinear makes."""
    zero_point, stated = operand(node, 2), integer(node, "output_dtype", 0)
    if zero_point is not None and zero_point.dtype is not None:
        return zero_point.dtype
    if stated:
        return ir.DataType(stated)
    return node.outputs[0].dtype or ir.DataType.UINT8


def bodies_of(node: ir.Node) -> bool:
    """Whether a node runs graphs of its own."""
    return any(True for _ in bodies(node))


def _end(node: ir.Node, index: int, role: ReadAs) -> Reading:
    return Reading(node, role, (End(node, index, role),))


def _joined(
    node: ir.Node,
    found: list[Reading],
    scale: npt.NDArray[Any] | None,
    zero_point: npt.NDArray[Any] | None,
    axis: int,
) -> Reading:
    """One reading for all that happens behind a DequantizeLinear."""
    roles = {reading.role for reading in found}
    role: ReadAs = next((r for r in ("weight", "bias") if r in roles), "constant")
    ends = tuple(end for reading in found for end in reading.ends)
    return Reading(node, role, ends, scale, zero_point, axis, max(reading.quantised for reading in found))
