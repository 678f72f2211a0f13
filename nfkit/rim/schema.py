"""Nodes against the schemas of their operators: operands, attributes, and the types of constants.

What contradicts its schema is refused by every runtime, and would be guessed at by everything behind the gate.
Operators without a schema, of other domains or of a newer onnx, pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import onnx
from onnx import AttributeProto, TensorProto

from nfkit.rim.defect import DefectError

Stored = Mapping[str, TensorProto]

_SCALED = ("QuantizeLinear", "DequantizeLinear")
_WINDOWED = ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "MaxPool", "AveragePool", "LpPool", "FusedConv")
_KERNELS = {"Conv": 1, "ConvTranspose": 1, "ConvInteger": 1, "QLinearConv": 3, "FusedConv": 1}  # operand
_VARIADIC = onnx.defs.OpSchema.FormalParameterOption.Variadic
_TYPES = ("to", "dtype", "output_dtype")
_TYPE_NUMBERS = set(TensorProto.DataType.values())
_SINGLE = onnx.defs.OpSchema.FormalParameterOption.Single


def check_node(node: onnx.NodeProto, opset: int, stored: Stored, *, known: bool) -> None:
    """Refuses a node that its operator does not allow.

    Args:
        node: The node.
        opset: Version of the operator set that it is of.
        stored: Initializers of its graph, by name.
        known: Whether its operator may be the standard's; a function of the model itself may bear any name.

    Raises:
        DefectError: With what is wrong.
    """
    domain = standard_domain(node.domain)
    schema = _schema(node.op_type, opset, domain) if known else None
    if schema is not None:
        _check_operands(node, schema, stored, typed=domain == "" and opset <= onnx.defs.onnx_opset_version())
        _check_attributes(node, schema)
    if node.op_type in _SCALED:
        _check_scales(node, opset if domain == "" else 13, stored)
    if node.op_type in _WINDOWED:
        _check_window(node, stored)


def _check_operands(node: onnx.NodeProto, schema: Any, stored: Stored, *, typed: bool) -> None:
    if not schema.min_input <= len(node.input) <= schema.max_input:
        raise DefectError(f"it has {len(node.input)} inputs, which {node.op_type} does not take")
    if len(node.output) > schema.max_output:
        raise DefectError(f"it has {len(node.output)} outputs, more than {node.op_type} gives")
    kinds: dict[str, str] = {}  # of the schema's type variables
    for index, value in enumerate(node.input):
        if not schema.inputs:
            break
        formal = schema.inputs[min(index, len(schema.inputs) - 1)]
        if not value and formal.option == _SINGLE and index < schema.min_input:
            raise DefectError(f"it lacks its input {index} ('{formal.name}')")
        if value in stored and typed:
            kind = TensorProto.DataType.Name(stored[value].data_type).lower()
            if formal.types and f"tensor({kind})" not in formal.types:
                raise DefectError(f"it takes '{value}' of type {kind} as its {formal.name}")
            variadic = formal.option == _VARIADIC and not formal.is_homogeneous
            if not variadic and (other := kinds.setdefault(formal.type_str, kind)) != kind:
                raise DefectError(f"it takes '{value}' of type {kind} beside one of type {other}")


def _check_attributes(node: onnx.NodeProto, schema: Any) -> None:
    given = {attribute.name: attribute for attribute in node.attribute}
    if len(given) < len(node.attribute):
        raise DefectError("it has two attributes of one name")
    for name, known in schema.attributes.items():
        if known.required and name not in given:
            raise DefectError(f"it lacks the attribute '{name}'")
        if name in given and given[name].type != _number(known.type):
            kinds = AttributeProto.AttributeType
            kind = given[name].type
            raise DefectError(
                f"its attribute '{name}' is of type {kinds.Name(kind) if kind in kinds.values() else kind}"
            )
        if name in _TYPES and name in given and not given[name].ref_attr_name and given[name].i not in _TYPE_NUMBERS:
            raise DefectError(f"its attribute '{name}' is {given[name].i}, which is no element type")


def _check_scales(node: onnx.NodeProto, opset: int, stored: Stored) -> None:
    """Scales that do not fit the tensor that they scale."""
    tensor, scale = (stored.get(node.input[i]) if len(node.input) > i else None for i in (0, 1))
    if scale is None:
        return
    if 0 in scale.dims:
        raise DefectError(f"its scale '{scale.name}' is empty")
    blocks = _integer(node, "block_size", 0)
    if blocks < 0:
        raise DefectError(f"its blocks have {blocks} elements")
    if tensor is None or blocks or list(scale.dims) in ([], [1]) or opset < 13:
        return
    axis, rank = _integer(node, "axis", 1), len(tensor.dims)
    if not -rank <= axis < rank or list(scale.dims) != [tensor.dims[axis]]:
        extents = list(scale.dims)
        raise DefectError(f"its scales '{scale.name}' of extents {extents} do not fit axis {axis} of '{tensor.name}'")


def _check_window(node: onnx.NodeProto, stored: Stored) -> None:
    """Extents of a window that contradict each other, or its kernel."""
    lists = {a.name: list(a.ints) for a in node.attribute if a.name in ("kernel_shape", "strides", "dilations", "pads")}
    ranks = {len(entries) // 2 if name == "pads" else len(entries) for name, entries in lists.items()}
    index = _KERNELS.get(node.op_type, -1)
    kernel = stored.get(node.input[index]) if 0 <= index < len(node.input) else None
    if kernel is not None:
        ranks.add(len(kernel.dims) - 2)
        if lists.get("kernel_shape", list(kernel.dims[2:])) != list(kernel.dims[2:]):
            raise DefectError(
                f"its kernel '{kernel.name}' has extents {list(kernel.dims)}, not {lists['kernel_shape']}"
            )
    if len(ranks) > 1 or len(lists.get("pads", ())) % 2:
        raise DefectError(f"its window has different numbers of axes ({lists})")
    if any(extent < 1 for name, entries in lists.items() if name != "pads" for extent in entries):
        raise DefectError(f"its window has extents below 1 ({lists})")
    if _integer(node, "group", 1) < 1:
        raise DefectError("it has no groups")


def _integer(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name and not a.ref_attr_name), default)


@lru_cache(maxsize=4096)
def _schema(op: str, version: int, domain: str) -> Any:
    if not 0 < version < 2**31 or not onnx.defs.has(op, domain):
        return None
    try:
        return onnx.defs.get_schema(op, version, domain)
    except onnx.defs.SchemaError:
        return None


def _number(kind: Any) -> int:
    return int(getattr(kind, "value", kind))


def standard_domain(domain: str) -> str:
    """The domain of the standard operators is spelled in two ways."""
    return "" if domain == "ai.onnx" else domain
