"""Values that a graph computes from constants alone, exactly as a runtime would.

Exporters put a Transpose or a product of scales between a stored tensor and its quantiser. Only operators that move
numbers, or whose single rounding IEEE 754 fixes, are computed here; every runtime gets the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from nfkit.graph.memory.storage import constant
from nfkit.graph.operators.operands import standard_op

_EXACT = frozenset(
    {
        "Abs", "Add", "Cast", "Clip", "Concat", "Div", "Expand", "Flatten", "Identity", "Max", "Min", "Mul", "Neg",
        "Reshape", "Slice", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip


def known(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """The content of a constant, or of what exact operators make of constants; None for anything else."""
    if value is None:
        return None
    stored = constant(value)
    if stored is not None:
        return stored
    node = value.producer()
    if node is None or standard_op(node) not in _EXACT or len(node.outputs) != 1 or node.graph is None:
        return None
    operands = [known(operand) for operand in node.inputs]
    if any(content is None and operand is not None for content, operand in zip(operands, node.inputs, strict=True)):
        return None
    return _evaluate(node, operands)


def origin(value: ir.Value) -> ir.Value:
    """The stored tensor that a known value comes from: the largest that its computation reads."""
    node = value.producer()
    if node is None or node.op_type == "Constant" or not any(node.inputs):
        return value
    roots = [origin(operand) for operand in node.inputs if operand is not None]

    def size(root: ir.Value) -> int:
        content = constant(root)
        return 0 if content is None else content.size

    return max(roots, key=size)


def drop(value: ir.Value) -> None:
    """Removes a constant, or what computed it, as far as nothing else reads it."""
    if value.uses() or value.is_graph_output() or value.is_graph_input():
        return
    node = value.producer()
    if node is None:
        if isinstance(value.graph, ir.Graph):
            value.graph.initializers.pop(str(value.name), None)
        return
    if any(output.uses() or output.is_graph_output() for output in node.outputs) or node.graph is None:
        return
    operands = [operand for operand in node.inputs if operand is not None]
    node.graph.remove(node, safe=True)
    for operand in operands:
        drop(operand)


def _evaluate(node: ir.Node, operands: list[npt.NDArray[Any] | None]) -> npt.NDArray[Any] | None:
    from onnx.reference import ReferenceEvaluator

    opset = node.graph.opset_imports.get("") if node.graph is not None else None
    if opset is None:  # in a body, which leaves that to the model
        return None
    names = [f"i{index}" if content is not None else "" for index, content in enumerate(operands)]
    proto = ir.to_proto(node)
    proto.input[:], proto.output[:] = names, ["o"]
    inputs = [onnx.ValueInfoProto(name=name) for name in names if name]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([proto], "one", inputs, [onnx.ValueInfoProto(name="o")]),
        opset_imports=[onnx.helper.make_opsetid("", opset)],
    )
    given = {name: content for name, content in zip(names, operands, strict=True) if name}
    try:
        (result,) = ReferenceEvaluator(model).run(None, given)
    except Exception:  # operators at old opsets that the evaluator lacks: the value stays unknown
        return None
    return np.asarray(result)
