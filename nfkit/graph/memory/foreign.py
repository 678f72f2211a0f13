"""Weights that quantisers of other makers keep from sight: they are refused, never left out of the faults."""

from __future__ import annotations

import onnx_ir as ir

from nfkit.errors import UnsupportedError
from nfkit.graph.memory.storage import every_node, stored_tensors
from nfkit.graph.operators.operands import passed_on
from nfkit.graph.operators.vendors import VendorOperator, explain, is_vendors, kinds

_LEAST = 2
"""Elements from which on a constant may be a weight: scales, zero points and bit widths are often single numbers."""


def vendor_operators(model: ir.Model) -> list[VendorOperator]:
    """All operators of other makers, but those that the model itself defines as functions."""
    return kinds(node for node in every_node(model) if is_vendors(node) and node.op_identifier() not in model.functions)


def refuse_hidden_weights(model: ir.Model) -> None:
    """Refuses a model in which a quantiser of another maker reads stored numbers that may be weights.

    Raises:
        UnsupportedError: With the operators, their nodes, and the way out.
    """
    if not vendor_operators(model):
        return
    readers: dict[int, ir.Node] = {}
    for entry in stored_tensors(model).values():
        if (entry.node is None and entry.value.const_value is None) or entry.tensor.size < _LEAST:
            continue
        for node in _first_readers(entry.value):
            if is_vendors(node) and "quant" in node.op_type.lower() and node.op_identifier() not in model.functions:
                readers[id(node)] = node
    if readers:
        raise UnsupportedError(f"the model's weights are read by {explain(kinds(readers.values()))}")


def _first_readers(value: ir.Value) -> list[ir.Node]:
    """The nodes that read a value, looked for behind what only moves it."""
    found = []
    for node, index in value.uses():
        found += [r for output in node.outputs for r in _first_readers(output)] if index in passed_on(node) else [node]
    return found
