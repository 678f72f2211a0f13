"""One way in which a stored tensor is read: as what, by which operators, with which scale and zero point.

`nfkit.graph.memory.flow` finds them, from the operator that ends a way back to the tensor: each operator between the
two may change what is said of the reading.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.graph.memory.spelt_scales import broadcast_axis, product

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


def ending(node: ir.Node, index: int, role: ReadAs) -> Reading:
    """The reading of a node that finally uses the values."""
    return Reading(node, role, (End(node, index, role),))


def dequantised(
    node: ir.Node,
    behind: list[Reading],
    scale: npt.NDArray[Any] | None,
    zero_point: npt.NDArray[Any] | None,
    axis: int,
) -> Reading:
    """One reading for all that happens behind a DequantizeLinear."""
    roles = {reading.role for reading in behind}
    role: ReadAs = next((r for r in ("weight", "bias") if r in roles), "constant")
    ends = tuple(end for reading in behind for end in reading.ends)
    return Reading(node, role, ends, scale, zero_point, axis, max(reading.quantised for reading in behind))


def shifted(reading: Reading, op: str, index: int, number: npt.NDArray[Any] | None) -> Reading:
    """A reading behind arithmetic with one constant, which may be the scale or the zero point.

    Args:
        reading: What is read behind it.
        op: The operator: Mul, Div, Add or Sub.
        index: The operand that the tensor is.
        number: The constant; None where its numbers are not known.
    """
    if op == "Div" and index == 1:  # the inverse of a weight has no scale
        return reading
    if op in ("Mul", "Div"):
        scale = product(number, reading.scale, inverse=op == "Div")
        # What is taken off behind a scale is no code.
        return replace(reading, scale=scale, zero_point=None, axis=broadcast_axis(scale))
    if reading.zero_point is not None or number is None or not np.all(number == np.rint(number)):
        return reading
    turned = op == "Sub" and index == 1  # z - w: the same zero point, and a negative scale
    scale = -reading.scale if turned and reading.scale is not None else reading.scale
    return replace(reading, zero_point=np.negative(number) if op == "Add" else number, scale=scale)


def label(node: ir.Node) -> str:
    """Name of a node, or its operator where it has none."""
    return node.name or node.op_type
