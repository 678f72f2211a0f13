"""What the operands of a node are, by the table of operators and the node's own attributes."""

from __future__ import annotations

import onnx_ir as ir

from nfkit.graph.operators.facts import Key, Operator
from nfkit.graph.operators.facts import Role as Role
from nfkit.graph.operators.table import OPERATORS as OPERATORS
from nfkit.graph.operators.table import ORT as ORT
from nfkit.graph.operators.table import UNKNOWN

DEFAULT_DOMAIN = "ai.onnx"
"""The long name of the standard domain, whose usual name is empty."""

DEQUANTIZE: frozenset[Key] = frozenset(k for k, facts in OPERATORS.items() if facts.quantiser == "dequantises")
QUANTIZE: frozenset[Key] = frozenset(k for k, facts in OPERATORS.items() if facts.quantiser == "quantises")


def key_of(node: ir.Node) -> Key:
    """Domain and operator of a node; `ai.onnx` is the empty domain."""
    return ("" if node.domain == DEFAULT_DOMAIN else node.domain, node.op_type)


def facts_of(node: ir.Node) -> Operator:
    """What is known of a node's operator."""
    return OPERATORS.get(key_of(node), UNKNOWN)


def standard_op(node: ir.Node) -> str:
    """Operator of a node of the standard domain; empty for any other domain."""
    domain, op = key_of(node)
    return "" if domain else op


def value_role(node: ir.Node, index: int) -> Role | None:
    """What an operand that holds values is read as; None where the operator gives it no role."""
    return facts_of(node).values.get(index)


def code_role(node: ir.Node, index: int) -> Role | None:
    """What an operand that holds raw codes is read as; None where the operator takes none there."""
    coded = facts_of(node).codes.get(index)
    return None if coded is None else coded.role


def quantisation(node: ir.Node, index: int) -> tuple[ir.Value | None, ir.Value | None, int]:
    """Scale, zero point and axis of an operand that holds raw codes, as far as the operator names them."""
    coded = facts_of(node).codes.get(index)
    if coded is None:
        return None, None, 0
    axis = 0 if is_transposed(node) else coded.axis
    return _at(node, coded.scale), _at(node, coded.zero_point), axis


def packed_in(node: ir.Node, index: int) -> int:
    """How many codes one stored integer of an operand packs: 1 unless the operator reads a blob."""
    coded, value = facts_of(node).codes.get(index), operand(node, index)
    if coded is None or not coded.packed or value is None or value.dtype is None:
        return 1
    return max(1, value.dtype.bitwidth // integer(node, coded.packed, 4))


def code_type(node: ir.Node) -> ir.DataType:
    """Type of the codes that a QuantizeLinear makes."""
    zero_point, stated = operand(node, 2), integer(node, "output_dtype", 0)
    if zero_point is not None and zero_point.dtype is not None:
        return zero_point.dtype
    if stated:
        return ir.DataType(stated)
    return node.outputs[0].dtype or ir.DataType.UINT8


def is_scale(node: ir.Node, index: int) -> bool:
    """Whether an operand holds quantisation scales."""
    facts = facts_of(node)
    return index in facts.scales or any(index == coded.scale for coded in facts.codes.values())


def is_transposed(node: ir.Node) -> bool:
    """Whether the node says that its weight operand is transposed."""
    name = facts_of(node).transposed
    return bool(name) and bool(integer(node, name, 0))


def passed_on(node: ir.Node) -> tuple[int, ...]:
    """The operands whose values a node passes on, unchanged but for their place, or faulted by nfkit."""
    if node.domain == "nfkit":
        return (0,)
    facts = facts_of(node)
    if facts.passes is None:
        return ()
    return tuple(range(len(node.inputs))) if facts.passed is None else facts.passed


def integer(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute; the default where the node has none, or stands in a function whose callers give it."""
    attribute = node.attributes.get(name)
    return default if attribute is None or attribute.is_ref() else attribute.as_int()


def operand(node: ir.Node, index: int) -> ir.Value | None:
    """An operand, or None where the node has none there."""
    return node.inputs[index] if index < len(node.inputs) else None


def _at(node: ir.Node, index: int | None) -> ir.Value | None:
    return None if index is None else operand(node, index)
