"""A generator's graph at another version of the operators, so that it can stand in front of another base.

What generators use (convolutions, pooling, resizing, arithmetic, Q/DQ) has hardly changed since opset 13, in either
direction: attributes came that have defaults, and the axes of reductions became an input. Nothing else is assumed: an
operator that cannot be said at the other version is refused by name.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from nfkit.errors import UnsupportedError
from nfkit.graph.memory.storage import constant

_LOWEST = 13  # Softmax, Squeeze and ReduceSum, and quantisation per axis, mean since then what they mean now


def at_opset(generator: ir.Model, opset: int) -> ir.Model:
    """A generator at another version of the standard operators; the model itself where that is its own.

    Args:
        generator: A graph of standard operators; not changed.
        opset: The version.

    Raises:
        UnsupportedError: When an operator cannot be said at that version.
    """
    written = generator.opset_imports.get("", opset)
    if written == opset:
        return generator
    if min(written, opset) < _LOWEST:
        raise UnsupportedError(
            f"a generator at opset {written} has no form at opset {opset}, the least is {_LOWEST}: lift the base with "
            "onnx.version_converter, and check that its accuracy stays"
        )
    moved = generator.clone()
    for node in list(moved.graph):
        if not node.domain:
            _move(node, moved.graph, written, opset)
    moved.opset_imports[""] = opset
    lowest = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    moved.ir_version = max(moved.ir_version, lowest)
    return moved


def _move(node: ir.Node, graph: ir.Graph, written: int, opset: int) -> None:
    try:
        ours, theirs = (onnx.defs.get_schema(node.op_type, version, "") for version in (written, opset))
    except onnx.defs.SchemaError as error:
        raise _refusal(node, f"does not exist at opset {opset}") from error
    if node.op_type.startswith("Reduce") and len(ours.inputs) != len(theirs.inputs):
        _move_axes(node, graph, becomes_input=len(theirs.inputs) > len(ours.inputs))
    if len(node.inputs) > len(theirs.inputs) and theirs.max_input == len(theirs.inputs):
        raise _refusal(node, f"takes {len(theirs.inputs)} inputs at opset {opset}")
    for name in [name for name in node.attributes if name not in theirs.attributes]:
        default = ours.attributes[name].default_value if name in ours.attributes else None
        stated = node.attributes[name].value
        value = None if default is None else onnx.helper.get_attribute_value(default)
        value = value.decode() if isinstance(value, bytes) else value
        if stated != value and not _is_idle(node, name):
            raise _refusal(node, f"has no attribute {name} = {stated} at opset {opset}")
        del node.attributes[name]


def _move_axes(node: ir.Node, graph: ir.Graph, *, becomes_input: bool) -> None:
    if becomes_input:
        if "axes" not in node.attributes:
            return
        tensor = ir.tensor(np.array(node.attributes["axes"].as_ints(), np.int64), name=f"{node.outputs[0].name}_axes")
        kind, shape = ir.TensorType(tensor.dtype), ir.Shape([tensor.size])
        axes = ir.Value(name=tensor.name, shape=shape, type=kind, const_value=tensor)
        graph.register_initializer(axes)
        node.resize_inputs(2)
        node.replace_input_with(1, axes)
        del node.attributes["axes"]
        return
    stated = node.inputs[1] if len(node.inputs) > 1 else None
    if stated is not None:
        values = constant(stated)
        if values is None:
            raise _refusal(node, "computes the axes that it reduces")
        node.attributes["axes"] = ir.AttrInt64s("axes", [int(v) for v in values.ravel()])
    node.resize_inputs(1)


def _is_idle(node: ir.Node, attribute: str) -> bool:
    """Whether an attribute makes no difference: what Reshape does with zeros, where its shape has none."""
    if (node.op_type, attribute) != ("Reshape", "allowzero") or node.inputs[1] is None:
        return False
    shape = constant(node.inputs[1])
    return shape is not None and bool(shape.all())


def _refusal(node: ir.Node, why: str) -> UnsupportedError:
    return UnsupportedError(
        f"node '{node.name or node.op_type}' of the generator ({node.op_type}) {why}: protect the other base anew, or "
        "lift it with onnx.version_converter"
    )
