"""Operators that no counting rule knows: which of them hold weights, and so are missing from a count."""

from __future__ import annotations

from collections.abc import Container, Mapping

import onnx_ir as ir

from nfkit.energy.shapes import Shapes
from nfkit.energy.storage import Storage

_LOOK_UPS = {"Gather", "GatherElements", "GatherND"}
_UNRULED = {"Einsum", "DeformConv", "Attention"}
_WEIGHTS_IN_ATTRIBUTES = ("TreeEnsemble", "Linear", "SVM")


def why_uncounted(
    node: ir.Node, storage: Mapping[ir.Value, Storage], shapes: Shapes, functions: Container[tuple[str, str]]
) -> str | None:
    """Why a node that no rule counts is missing from the sum; None where there is nothing to miss.

    1. Branches and loops, and functions: their bodies are not looked into.
    2. Classical learners, which keep what they learned in attributes.
    3. Tables that are looked up: what is read depends on the data. Integers of more than 16 bits are shapes and axes.
    4. Operators of the standard domain that multiply by weights in ways of their own.
    5. Operators of other domains with a stored operand of rank 2 or more, but for ONNX Runtime's elementwise ones.

    Args:
        node: A node without a rule.
        storage: The memory behind every stored value.
        shapes: Shapes of values by name.
        functions: (domain, name) of the model's own functions.
    """
    stored = [value for value in node.inputs if value is not None and value in storage]
    if any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values()):
        return "its branches are not counted"
    if (node.domain, node.op_type) in functions and node.domain != "nfkit":
        return "the bodies of functions are not counted; inline them first"
    if node.domain == "ai.onnx.ml" and node.op_type.startswith(_WEIGHTS_IN_ATTRIBUTES):
        return "it keeps its weights in attributes"
    if not node.domain and node.op_type in _LOOK_UPS and stored and stored[0] is node.inputs[0]:
        memory = storage[stored[0]]
        return "the reads of a table depend on what is looked up" if memory.is_float or memory.bits <= 16 else None
    if not node.domain:
        return "there is no rule for this operator" if node.op_type in _UNRULED else None
    elementwise = (
        node.domain == "com.microsoft" and node.op_type.startswith("QLinear") and node.op_type != "QLinearConv"
    )
    if not elementwise and any(len(shapes.get(str(value.name), ())) >= 2 for value in stored):
        return f"there is no rule for this operator of domain '{node.domain}'"
    return None
