"""Inputs that are positions in a table, which no generator can shift: a changed position is another word."""

from __future__ import annotations

import onnx_ir as ir

from nfkit.errors import UnsupportedError
from nfkit.graph.operators.operands import standard_op

_UNTOUCHED = ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose")
_LOOK_UPS = ("Gather", "GatherElements", "GatherND")


def refuse_positions(model: ir.Model) -> None:
    """Refuses a model whose input a table is looked up by.

    Raises:
        UnsupportedError: With the input, the look-up, and the way out.
    """
    source = next((value for value in model.graph.inputs if not value.is_initializer()), None)
    table = None if source is None else _looked_up(source)
    if source is not None and table is not None:
        raise UnsupportedError(
            f"input '{source.name}' holds positions that '{table.name or table.op_type}' looks up, which no generator "
            "can shift: protect the part of the model that lies behind the table"
        )


def _looked_up(value: ir.Value) -> ir.Node | None:
    pending = [value]
    while pending:
        for node, index in pending.pop().uses():
            op = standard_op(node)
            if op in _LOOK_UPS and index == 1:
                return node
            if op in _UNTOUCHED and index == 0:
                pending += node.outputs
    return None
