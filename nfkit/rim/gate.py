"""What a model must be to come in: checked once, on the message as read, before anything is built from it.

A file is refused where the code behind this gate would have to guess: names that nothing computes, tensors that hold
less than they declare, operands and attributes that contradict the operator's schema, sizes beyond the limits below.
What is unusual but means one thing (nodes out of order, unknown operators, symbolic axes) passes. All checks take time
linear in the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import onnx
from onnx import AttributeProto, TensorProto

from nfkit.errors import ModelError
from nfkit.rim.calls import check_calls

MAX_RANK = 64
"""Axes of a tensor, as NumPy has them."""
MAX_INPUT = 2**31 - 1
"""Elements of one input at the batch that the model fixes."""
MAX_TENSOR = 2**40
"""Elements of one stored tensor."""

_SCALED = {"QuantizeLinear", "DequantizeLinear"}
_TENSORS = (AttributeProto.TENSOR, AttributeProto.TENSORS)
_KNOWN_TYPES = set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
_COMPLEX = (TensorProto.COMPLEX64, TensorProto.COMPLEX128)
_NARROW = {
    getattr(TensorProto, name): bits
    for name, bits in {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}.items()
    if hasattr(TensorProto, name)
}
_BYTES = {
    getattr(TensorProto, name): size
    for size, names in {
        1: ("INT8", "UINT8", "BOOL", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0"),
        2: ("INT16", "UINT16", "FLOAT16", "BFLOAT16"),
        4: ("INT32", "UINT32", "FLOAT"),
        8: ("INT64", "UINT64", "DOUBLE", "COMPLEX64"),
        16: ("COMPLEX128",),
    }.items()
    for name in names
    if hasattr(TensorProto, name)
}


Names = tuple[set[str], ...]


@dataclass(frozen=True)
class _Scope:
    """The names that a graph knows: its own, and those of the graphs around it."""

    own: set[str]
    stored: dict[str, TensorProto]
    outside: Names

    def knows(self, name: str) -> bool:
        return name in self.own or any(name in names for names in self.outside)


def check_model(proto: onnx.ModelProto, name: str) -> None:
    """Refuses a model that cannot be treated as it is.

    Args:
        proto: The model as read.
        name: How to call it in a message.

    Raises:
        ModelError: With the first defect, where it is, and what to do.
    """
    Gate(proto, name).check()


class Gate:
    """The checks of one model.

    Args:
        proto: The model as read.
        name: How to call it in a message.
    """

    def __init__(self, proto: onnx.ModelProto, name: str) -> None:
        self.proto, self.name = proto, name
        self._functions = {(f.domain, f.name, f.overload) for f in proto.functions}
        self._opsets = {_domain(entry.domain): entry.version for entry in proto.opset_import}

    def check(self) -> None:
        """Refuses what cannot be treated.

        Raises:
            ModelError: With the first defect.
        """
        graph = self.proto.graph
        if not graph.node:
            raise ModelError(f"{self.name} holds no operators: export it again, or check the download")
        for value in graph.input:
            self._check_input(value)
        self._check_graph(graph, (), within="the graph")
        for function in self.proto.functions:
            self._check_function(function)
        check_calls(self.proto, self.name)

    def _refuse(self, defect: str, remedy: str = "export it again, or check the download") -> ModelError:
        return ModelError(f"{self.name} is no valid model: {defect}; {remedy}")

    def _check_input(self, value: onnx.ValueInfoProto) -> None:
        if value.type.WhichOneof("value") != "tensor_type":
            return
        tensor = value.type.tensor_type
        if tensor.elem_type not in _KNOWN_TYPES:
            raise self._refuse(f"input '{value.name}' has element type {tensor.elem_type}, which is none")
        extents = [d.dim_value for d in tensor.shape.dim if d.WhichOneof("value") == "dim_value"]
        if len(tensor.shape.dim) > MAX_RANK:
            raise self._refuse(f"input '{value.name}' has {len(tensor.shape.dim)} axes, more than {MAX_RANK}")
        if any(extent < 0 for extent in extents):
            raise self._refuse(f"input '{value.name}' has extents {extents}", "export it with names for free axes")
        if math.prod(extents) > MAX_INPUT:
            raise self._refuse(f"input '{value.name}' of extents {extents} has more than {MAX_INPUT:,} elements")

    def _check_function(self, function: onnx.FunctionProto) -> None:
        within = f"function '{function.name}'"
        names = self._names(function.input, within)
        self._check_nodes(function.node, _Scope(names, {}, ()), within, inside=True, results=function.output)

    def _check_graph(self, graph: onnx.GraphProto, outside: Names, within: str) -> None:
        stored: dict[str, TensorProto] = {}
        for tensor in graph.initializer:
            self._check_tensor(tensor, f"initializer '{tensor.name}'")
            if tensor.name in stored:
                raise self._refuse(f"{within} stores '{tensor.name}' twice")
            stored[tensor.name] = tensor
        for sparse in graph.sparse_initializer:
            self._check_tensor(sparse.values, f"sparse initializer '{sparse.values.name}'")
            self._check_tensor(sparse.indices, f"the indices of sparse initializer '{sparse.values.name}'")
        names = self._names((value.name for value in graph.input), within)
        names |= stored.keys() | {sparse.values.name for sparse in graph.sparse_initializer}
        if not graph.output:
            raise self._refuse(f"{within} returns nothing")
        results = [value.name for value in graph.output]
        self._check_nodes(graph.node, _Scope(names, stored, outside), within, inside=False, results=results)

    def _names(self, names: Iterable[str], within: str) -> set[str]:
        found: set[str] = set()
        for name in names:
            if not name or name in found:
                raise self._refuse(f"{within} has {'two inputs ' + repr(name) if name else 'an input without a name'}")
            found.add(name)
        return found

    def _check_nodes(
        self, nodes: Sequence[onnx.NodeProto], scope: _Scope, within: str, *, inside: bool, results: Iterable[str]
    ) -> None:
        for node in nodes:
            outputs = [output for output in node.output if output]
            if not node.op_type or not outputs:
                raise self._refuse(f"{_label(node)} in {within} has no {'outputs' if node.op_type else 'operator'}")
            for output in outputs:
                if output in scope.own:
                    raise self._refuse(f"'{output}' in {within} is computed or stored twice")
                scope.own.add(output)
        for node in nodes:
            for value in node.input:
                if value and not scope.knows(value):
                    raise self._refuse(f"{_label(node)} in {within} reads '{value}', which nothing computes")
            self._check_schema(node, within, scope.stored)
            for attribute in node.attribute:
                self._check_attribute(attribute, node, within, inside, (scope.own, *scope.outside))
        for name in results:
            if not scope.knows(name):
                raise self._refuse(f"{within} returns '{name}', which nothing computes")

    def _check_attribute(
        self, attribute: AttributeProto, node: onnx.NodeProto, within: str, inside: bool, scope: Names
    ) -> None:
        where = f"attribute '{attribute.name}' of {_label(node)} in {within}"
        if attribute.ref_attr_name:
            if not inside:
                raise self._refuse(f"{where} stands for one of a function, which this is not")
            return
        if attribute.type in _TENSORS:
            for tensor in (*((attribute.t,) if attribute.type == AttributeProto.TENSOR else ()), *attribute.tensors):
                self._check_tensor(tensor, where)
        for graph in (*((attribute.g,) if attribute.type == AttributeProto.GRAPH else ()), *attribute.graphs):
            self._check_graph(graph, scope, where)

    def _check_schema(self, node: onnx.NodeProto, within: str, stored: dict[str, TensorProto]) -> None:
        """Compares operands and attributes with what the operator's schema says, where there is one."""
        domain = _domain(node.domain)
        where = f"{_label(node)} in {within}"
        scale = stored.get(node.input[1]) if node.op_type in _SCALED and len(node.input) > 1 else None
        if scale is not None and 0 in scale.dims:
            raise self._refuse(f"{where} has an empty scale '{scale.name}'")
        schema = None
        if (node.domain, node.op_type, node.overload) not in self._functions:
            schema = _schema(node.op_type, self._opsets.get(domain, 0), domain)
        if schema is None:
            return
        if not schema.min_input <= len(node.input) <= schema.max_input:
            raise self._refuse(f"{where} has {len(node.input)} inputs, which {node.op_type} does not take")
        if len(node.output) > schema.max_output:
            raise self._refuse(f"{where} has {len(node.output)} outputs, more than {node.op_type} gives")
        given = {attribute.name: attribute for attribute in node.attribute}
        for name, known in schema.attributes.items():
            if known.required and name not in given:
                raise self._refuse(f"{where} lacks the attribute '{name}'")
            if name in given and int(given[name].type) != _number(known.type):
                kind = _number(given[name].type)
                shown = (
                    AttributeProto.AttributeType.Name(kind) if kind in AttributeProto.AttributeType.values() else kind
                )
                raise self._refuse(f"{where} has an attribute '{name}' of type {shown}")
        for index, value in enumerate(node.input):
            formal = schema.inputs[min(index, len(schema.inputs) - 1)] if schema.inputs else None
            if formal is None:
                continue
            if not value:
                required = onnx.defs.OpSchema.FormalParameterOption.Single
                if formal.option == required and index < schema.min_input:
                    raise self._refuse(f"{where} lacks its input {index} ('{formal.name}')")
                continue
            text = value in stored and stored[value].data_type == TensorProto.STRING
            if text and "tensor(string)" not in formal.types:
                raise self._refuse(f"{where} takes '{value}', which holds text, as its {formal.name}")

    def _check_tensor(self, tensor: TensorProto, where: str) -> None:
        dims = list(tensor.dims)
        if tensor.data_type not in _KNOWN_TYPES:
            raise self._refuse(f"{where} has element type {tensor.data_type}, which is none")
        if len(dims) > MAX_RANK:
            raise self._refuse(f"{where} has {len(dims)} axes, more than {MAX_RANK}")
        if any(extent < 0 for extent in dims):
            raise self._refuse(f"{where} has extents {dims}")
        size = math.prod(dims)
        if size > MAX_TENSOR:
            raise self._refuse(f"{where} of extents {dims} has more than {MAX_TENSOR:,} elements")
        if tensor.data_location == TensorProto.EXTERNAL:
            self._check_location(tensor, where)
            return
        held, needed = _held(tensor, size)
        if held != needed:
            unit = "bytes" if tensor.HasField("raw_data") else "entries"
            raise self._refuse(f"{where} of extents {dims} needs {needed} {unit} and holds {held}")

    def _check_location(self, tensor: TensorProto, where: str) -> None:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if not entries.get("location"):
            raise self._refuse(f"{where} does not say in which file its data lies")
        for key in ("offset", "length"):
            if key in entries and not (entries[key].isascii() and entries[key].isdigit()):
                raise self._refuse(f"{where} has the {key} {entries[key]!r} in its data file")
        if tensor.data_type == TensorProto.STRING:
            raise self._refuse(f"{where} keeps text in a data file, which ONNX does not allow")


def _held(tensor: TensorProto, size: int) -> tuple[int, int]:
    """What a tensor holds and what it needs, in bytes or in entries."""
    kind = tensor.data_type
    if kind == TensorProto.STRING:
        return len(tensor.string_data), size
    if tensor.HasField("raw_data"):
        held = len(tensor.raw_data)
        if kind in _NARROW:
            return held, -(-size * _NARROW[kind] // 8)
        return held, size * _BYTES[kind] if kind in _BYTES else held
    if kind in (TensorProto.FLOAT, TensorProto.COMPLEX64):
        held = len(tensor.float_data)
    elif kind in (TensorProto.DOUBLE, TensorProto.COMPLEX128):
        held = len(tensor.double_data)
    elif kind == TensorProto.INT64:
        held = len(tensor.int64_data)
    elif kind in (TensorProto.UINT32, TensorProto.UINT64):
        held = len(tensor.uint64_data)
    else:
        held = len(tensor.int32_data)
    if kind in _NARROW:
        return held, -(-size * _NARROW[kind] // 8)
    return held, 2 * size if kind in _COMPLEX else size


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


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _label(node: onnx.NodeProto) -> str:
    return f"node '{node.name}' ({node.op_type})" if node.name else f"a node {node.op_type}".rstrip()
