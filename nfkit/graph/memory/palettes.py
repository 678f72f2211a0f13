"""Palettes: weights that are looked up, each by a stored code, in a few stored numbers.

    codes (uint8[4, 3]) -> Cast -> Gather (palette of 16 numbers, codes) -> weights

What a device stores for each weight is the code, in as many bits as the palette needs; the palette itself is as small
as the scales and sits in registers as they do. Faults turn codes into codes, and each has to stand for a number. So
codes of b bits need a palette of 2^b numbers, or, where they are signed and ONNX counts them from the palette's end,
of 2^(b-1) at least.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from nfkit.graph.memory.paths import Calls, Paths
from nfkit.graph.operators.operands import integer, operand, passed_on, standard_op

_TYPES = (
    ir.DataType.INT2, ir.DataType.UINT2, ir.DataType.INT4, ir.DataType.UINT4,
    ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16,
)  # fmt: skip
"""Types of codes; integers of 32 and more bits are positions."""


@dataclass(frozen=True)
class Palette:
    """A look-up of weights.

    Attributes:
        codes: The stored tensor of codes.
        numbers: How many numbers there are to choose from.
        bits: Bits of a code in memory: as many as the palette needs, or as their type has where it needs more.
        is_float: Whether the numbers are floats, else codes that are dequantised behind the look-up.
    """

    codes: ir.Value
    numbers: int
    bits: int
    is_float: bool

    @property
    def obstacle(self) -> str | None:
        """Why not every code of so many bits stands for a number, and the way out; None where each does."""
        dtype = _dtype(self.codes)
        if dtype.is_signed():
            if 2 ** (self.bits - 1) <= self.numbers:
                return None
            return (
                f"{dtype.name.lower()} codes of a palette of {self.numbers} numbers, which a wrong bit leaves: store "
                "them unsigned"
            )
        if 2**self.bits <= self.numbers:
            return None
        return (
            f"codes of a palette of {self.numbers} numbers, which a wrong bit leaves: pad the palette to {2**self.bits}"
        )


def palette_of(paths: Paths, node: ir.Node, calls: Calls = ()) -> Palette | None:
    """What a node looks up; None where it is no look-up of weights by codes in a palette.

    The palette is a constant of rank 1, maybe with a DequantizeLinear behind it, and has fewer numbers than there are
    codes. Codes are cast and moved at most.
    """
    if standard_op(node) != "Gather" or integer(node, "axis", 0) != 0:
        return None
    table, index = operand(node, 0), operand(node, 1)
    codes = _codes(paths, index, calls) if index is not None else None
    if table is None or codes is None:
        return None
    numbers, is_float = paths.number(table, calls), None
    producer = table.producer()
    if numbers is None and producer is not None and standard_op(producer) == "DequantizeLinear":
        numbers, is_float = paths.number(operand(producer, 0), calls), True
    if numbers is None or numbers.ndim != 1 or numbers.size < 2 or numbers.size >= _size(codes):
        return None
    dtype = _dtype(codes)
    needed = dtype.bitwidth if dtype.is_signed() else math.ceil(math.log2(numbers.size))
    return Palette(codes, numbers.size, min(dtype.bitwidth, needed), is_float or numbers.dtype.kind not in "iu")


def _codes(paths: Paths, value: ir.Value, calls: Calls) -> ir.Value | None:
    """The stored tensor of integers that positions are cast and moved from."""
    found, calls = paths.outside(value, calls)
    while found is not None and (node := found.producer()) is not None and standard_op(node) != "Constant":
        chosen = (0,) if standard_op(node) == "Cast" else passed_on(node)
        before = operand(node, chosen[0]) if len(chosen) == 1 else None
        found, calls = paths.outside(before, calls) if before is not None else (None, calls)
    return found if found is not None and _size(found) and _dtype(found) in _TYPES else None


def _size(value: ir.Value) -> int:
    tensor = _tensor(value)
    return 0 if tensor is None else tensor.size


def _dtype(value: ir.Value) -> ir.DataType:
    tensor = _tensor(value)
    return ir.DataType.UNDEFINED if tensor is None else tensor.dtype


def _tensor(value: ir.Value) -> ir.TensorProtocol | None:
    node = value.producer()
    if node is None:
        return value.const_value
    attribute = node.attributes.get("value")
    return None if attribute is None or attribute.is_ref() else attribute.as_tensor()
