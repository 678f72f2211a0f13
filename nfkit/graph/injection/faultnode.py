"""Fault nodes: where they stand, what they read, and how they are taken out.

A fault node stands in the graph, body or function that stores the weight, and everything that read the weight reads the
node instead:

    w -> Conv          becomes          w -> nfkit.StuckAt(w, and_mask, or_mask) -> Conv

Masks are initializers of the main graph, which bodies see too and where they may be inputs; in a function, which sees
neither, they are Constant nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import ModelError, UnsupportedError
from nfkit.graph.memory.sites import ROLE_KEY
from nfkit.graph.memory.storage import Stored, bodies, every_node

DOMAIN = "nfkit"
MIN_OPSET = 18
"""BitwiseAnd, BitwiseOr and BitwiseXor, which the fault functions need, exist from this opset on."""


def check_reach(entry: Stored, mode: Literal["node", "input"]) -> None:
    """Refuses a tensor that the bitwise operators, or the masks, cannot reach.

    Raises:
        UnsupportedError: With the mode that does reach it.
    """
    if entry.dtype.bitwidth < 8:
        raise UnsupportedError(
            f"mode '{mode}' needs bitwise operators, which ONNX does not have for {entry.dtype.name.lower()} "
            f"('{entry.name}'): use --mode baked"
        )
    if not isinstance(entry.holder, ir.Function):
        return
    if mode == "input":
        raise UnsupportedError(
            f"'{entry.name}' is stored in a function, which sees no inputs of the model: use --mode node or baked, or "
            "inline the functions first (onnx.inliner)"
        )
    opset = entry.holder.opset_imports.get("", MIN_OPSET)
    if opset < MIN_OPSET:
        raise UnsupportedError(
            f"mode '{mode}' needs the bitwise operators of opset {MIN_OPSET}, the function that stores '{entry.name}' "
            f"has opset {opset}: use --mode baked"
        )


def insert(
    model: ir.Model,
    entry: Stored,
    function: str,
    masks: Mapping[str, npt.NDArray[Any]],
    attributes: Sequence[ir.Attr] = (),
    *,
    prefix: str,
    overridable: bool,
) -> None:
    """Puts a fault node between a stored tensor and everything that reads it, in place.

    Args:
        model: The model.
        entry: The tensor.
        function: Name of the fault function.
        masks: Its mask operands by suffix, in order.
        attributes: Its attributes.
        prefix: What the names of all added values start with.
        overridable: Whether the masks are inputs of the model.

    Raises:
        ModelError: When a name is taken.
    """
    holder, weight = entry.holder, entry.value
    inner = isinstance(holder, ir.Function)
    operands = [
        _constant_mask(f"{prefix}{suffix}", array, entry) if inner else _mask(model, f"{prefix}{suffix}", array, entry)
        for suffix, array in masks.items()
    ]
    if overridable:
        model.graph.inputs.extend(operands)
    node = ir.Node(
        DOMAIN,
        function,
        [weight, *operands],
        attributes,
        name=f"{prefix}faults",
        metadata_props={ROLE_KEY: "faults"},
    )
    faulty = node.outputs[0]
    faulty.name = f"{prefix}faulty"
    faulty.type, faulty.shape = ir.TensorType(entry.dtype), ir.Shape(entry.shape)
    for reader, index in [use for use in weight.uses() if use.node is not node]:
        reader.replace_input_with(index, faulty)
    if holder is not model.graph:  # what a body returns goes by its place; outputs of the model go by their names
        for index, value in enumerate(holder.outputs):
            if value is weight:
                holder.outputs[index] = faulty
    added = [*(operand.producer() for operand in operands if inner), node]
    if entry.node is not None:
        holder.insert_after(entry.node, [n for n in added if n is not None])
    elif len(holder):
        holder.insert_before(holder[0], node)
    else:  # a body that does nothing but return what it stores
        holder.append(node)
    if inner:
        holder.opset_imports[DOMAIN] = 1


def take_out(model: ir.Model) -> None:
    """Removes all fault nodes from a model, with their masks and functions, in place."""
    inside: list[ir.Graph | ir.Function] = [graph for node in every_node(model) for _, graph in bodies(node)]
    for holder in (model.graph, *inside, *model.functions.values()):
        ours = [node for node in holder if node.metadata_props.get(ROLE_KEY) == "faults"]
        for node in [n for n in ours if n.domain == DOMAIN]:
            _bypass(model, holder, node)
        holder.remove([n for n in ours if n.domain != DOMAIN], safe=True)
        if ours and isinstance(holder, ir.Function):
            holder.opset_imports.pop(DOMAIN, None)
    for identifier in [identifier for identifier in model.functions if identifier[0] == DOMAIN]:
        del model.functions[identifier]
    model.opset_imports.pop(DOMAIN, None)


def _bypass(model: ir.Model, holder: ir.Graph | ir.Function, node: ir.Node) -> None:
    weight, *masks = (v for v in node.inputs if v is not None)
    node.outputs[0].replace_all_uses_with(weight, replace_graph_outputs=True)
    holder.remove(node, safe=True)
    for mask in masks:
        if mask in model.graph.inputs:
            model.graph.inputs.remove(mask)
        if mask.is_initializer():
            del model.graph.initializers[str(mask.name)]


def _mask(model: ir.Model, name: str, array: npt.NDArray[Any], entry: Stored) -> ir.Value:
    if name in model.graph.initializers:
        raise ModelError(f"the model holds a value named '{name}', which nfkit needs for its masks: rename it")
    mask = ir.Value(
        name=name,
        shape=ir.Shape(entry.shape),
        type=ir.TensorType(entry.dtype),
        const_value=ir.tensor(array, dtype=entry.dtype, name=name),
    )
    model.graph.register_initializer(mask)
    return mask


def _constant_mask(name: str, array: npt.NDArray[Any], entry: Stored) -> ir.Value:
    content = ir.tensor(array, dtype=entry.dtype, name=name)
    mask = ir.node("Constant", [], {"value": content}, metadata_props={ROLE_KEY: "faults"}).outputs[0]
    mask.name = name
    return mask
