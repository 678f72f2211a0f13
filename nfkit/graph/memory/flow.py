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
from dataclasses import replace
from functools import cached_property

import onnx_ir as ir

from nfkit.graph.memory.palettes import palette_of
from nfkit.graph.memory.paths import Calls, Paths
from nfkit.graph.memory.ranks import CODES, is_product, rank
from nfkit.graph.memory.readings import Reading, dequantised, ending, shifted
from nfkit.graph.memory.storage import bodies
from nfkit.graph.operators.operands import (
    code_role,
    code_type,
    facts_of,
    is_scale,
    operand,
    passed_on,
    quantisation,
    standard_op,
    value_role,
)
from nfkit.graph.operators.vendors import is_vendors


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
            yield ending(node, index, "scale")
            return
        role = code_role(node, index)
        if role is not None:
            scale, zero_point, axis = quantisation(node, index)
            number, zero = self._paths.number(scale, calls), self._paths.number(zero_point, calls)
            yield replace(ending(node, index, role), scale=number, zero_point=zero, axis=axis)
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
                yield ending(node, index, role)
            return
        if facts.passes is not None or node.domain == "nfkit":
            yield from self._passed(node, index, calls, coded)
        elif not _has_bodies(node) and self._alone(node, index, calls):
            yield from self._computed(node, index, calls, coded)
        elif standard_op(node) == "Sub" and index == 1:  # what is taken off is no weight, but may be its zero point
            yield ending(node, index, "zero_point")
        elif not coded:
            yield ending(node, index, "constant")

    def _quantiser(self, node: ir.Node, index: int, calls: Calls, coded: bool) -> Iterator[Reading]:
        if index != 0:
            return
        kind = facts_of(node).quantiser
        if kind == "dequantises":
            axis = self._paths.integer(node, "axis", calls, 1)
            ends = list(self._behind(node, calls, False)) or [ending(node, index, "constant")]
            scale, zero_point = (self._paths.number(operand(node, i), calls) for i in (1, 2))
            yield dequantised(node, ends, scale, zero_point, axis)
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
                yield ending(node, index, "constant")
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
                yield ending(node, index, "constant")
            return
        if facts_of(node).passes == "masks" and not self._prevails(others, calls):
            return
        yield from self._behind(node, calls, coded)

    def _computed(self, node: ir.Node, index: int, calls: Calls, coded: bool) -> Iterator[Reading]:
        """What a node makes of constants alone."""
        op = standard_op(node)
        others = [v for i, v in enumerate(node.inputs) if i != index and v is not None]
        role = value_role(node, index)
        prevails = self._prevails(others, calls) or is_product(self._paths, node.inputs[index], calls)
        if op == "Sub" and index == 1 and prevails and not self._prevails(others, calls, strictly=True):
            prevails = False  # of two alike the one that is taken off is the zero point
        if role != "weight" and not prevails:
            if op in ("Add", "Sub"):
                yield ending(node, index, "zero_point")
            elif not coded:
                yield ending(node, index, "scale" if self._start.dtype not in CODES else "constant")
            return
        if coded and is_vendors(node):  # what that makes of codes only its maker knows
            return
        target = ir.DataType(self._paths.integer(node, "to", calls, 0))
        becomes_float = op == "Cast" and target.is_floating_point()
        for reading in self._behind(node, calls, coded and not becomes_float):
            if coded and becomes_float and reading.role in ("constant", "scale"):
                continue  # integers that end anywhere but in a layer are no quantised weights
            spelt = op in ("Mul", "Div", "Add", "Sub") and len(others) == 1  # a scale or a zero point, perhaps
            yield shifted(reading, op, index, self._paths.number(others[0], calls)) if spelt else reading

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

    @cached_property
    def _own_rank(self) -> tuple[int, int]:
        return rank(self._start)


def _has_bodies(node: ir.Node) -> bool:
    """Whether a node runs graphs of its own."""
    return any(True for _ in bodies(node))
