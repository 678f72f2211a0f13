"""Operators that no counting rule knows: which of them hold weights, and so are missing from a count."""

from __future__ import annotations

from collections.abc import Container

import onnx_ir as ir

from nfkit.energy.shapes import Shapes
from nfkit.graph.memory.operands import Memories
from nfkit.graph.operators.operands import facts_of, key_of

_WEIGHTS_IN_ATTRIBUTES = ("TreeEnsemble", "Linear", "SVM")


def why_uncounted(
    node: ir.Node, memories: Memories, shapes: Shapes, functions: Container[tuple[str, str]]
) -> str | None:
    """Why a node that no rule counts is missing from the sum; None where there is nothing to miss.

    1. Loops that run as often as data say, and functions that cannot be inlined (see `nfkit.energy.unrolled`).
    2. Classical learners, which keep what they learned in attributes.
    3. Tables that are looked up: what is read depends on the data. Integers of more than 16 bits are shapes and axes.
    4. Operators of the standard domain that multiply by weights in ways of their own.
    5. Operators of other domains with a stored operand of rank 2 or more, but for ONNX Runtime's elementwise ones.

    Args:
        node: A node without a rule.
        memories: The memory behind every stored operand.
        shapes: Shapes of values by name.
        functions: (domain, name) of the model's own functions.
    """
    facts, (domain, op) = facts_of(node), key_of(node)
    if any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values()):
        return "how often its body runs depends on data"
    if (domain, op) in functions and domain != "nfkit":
        return "its function cannot be inlined"
    if domain == "ai.onnx.ml" and op.startswith(_WEIGHTS_IN_ATTRIBUTES):
        return "it keeps its weights in attributes"
    if facts.passes == "moves" and 0 in facts.values and (memory := memories.at(node, 0)) is not None:
        return "the reads of a table depend on what is looked up" if memory.is_float or memory.bits <= 16 else None
    reads_weights = "weight" in (*facts.values.values(), *(coded.role for coded in facts.codes.values()))
    if not domain:
        return "there is no rule for this operator" if reads_weights and facts.passes is None else None
    stored = [value for i, value in enumerate(node.inputs) if value is not None and memories.at(node, i) is not None]
    elementwise = bool(facts.codes) and not reads_weights
    if not elementwise and any(len(shapes.get(str(value.name), ())) >= 2 for value in stored):
        return f"there is no rule for this operator of domain '{domain}'"
    return None
