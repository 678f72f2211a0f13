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

import onnx
from onnx import AttributeProto, TensorProto

from nfkit.errors import ModelError
from nfkit.rim.calls import check_calls
from nfkit.rim.defect import DefectError
from nfkit.rim.schema import check_node, standard_domain
from nfkit.rim.tensors import KNOWN_TYPES, MAX_RANK, check_tensor

MAX_INPUT = 2**28
"""Elements of one input, at the batch that the model fixes: an image of 16,384 x 16,384."""

_SCAN_SINCE = 9  # that of opset 8 takes the lengths of its sequences besides
_TENSORS = (AttributeProto.TENSOR, AttributeProto.TENSORS)
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
    if not proto.graph.node:
        raise ModelError(f"{name} holds no operators: export it again, or check the download")
    try:
        _Gate(proto).check()
    except DefectError as defect:
        raise ModelError(f"{name} is no valid model: {defect.what}; {defect.remedy}") from None
    check_calls(proto, name)


class _Gate:
    def __init__(self, proto: onnx.ModelProto) -> None:
        self.proto = proto
        self._functions = {(f.domain, f.name, f.overload): f for f in proto.functions}
        self._opsets = {standard_domain(entry.domain): entry.version for entry in proto.opset_import}

    def check(self) -> None:
        for value in self.proto.graph.input:
            self._check_input(value)
        self._check_graph(self.proto.graph, (), within="the graph")
        for function in self.proto.functions:
            self._check_function(function)

    def _check_input(self, value: onnx.ValueInfoProto) -> None:
        if value.type.WhichOneof("value") != "tensor_type":
            return
        tensor = value.type.tensor_type
        if tensor.elem_type not in KNOWN_TYPES:
            raise DefectError(f"input '{value.name}' has element type {tensor.elem_type}, which is none")
        extents = [d.dim_value for d in tensor.shape.dim if d.WhichOneof("value") == "dim_value"]
        if len(tensor.shape.dim) > MAX_RANK:
            raise DefectError(f"input '{value.name}' has {len(tensor.shape.dim)} axes, more than {MAX_RANK}")
        if any(extent < -1 for extent in extents):  # -1 is how some exporters, and ONNX Runtime, write a free axis
            raise DefectError(f"input '{value.name}' has extents {extents}", "export it with names for free axes")
        if math.prod(map(abs, extents)) > MAX_INPUT:
            raise DefectError(f"input '{value.name}' of extents {extents} has more than {MAX_INPUT:,} elements")

    def _check_function(self, function: onnx.FunctionProto) -> None:
        within = f"function '{function.name}'"
        _check_text((function.name, function.domain, *function.output), "the model")
        names = self._names(function.input, within)
        self._check_nodes(function.node, _Scope(names, {}, ()), within, inside=True, results=function.output)

    def _check_graph(self, graph: onnx.GraphProto, outside: Names, within: str) -> None:
        stored: dict[str, TensorProto] = {}
        for tensor in graph.initializer:
            _check_text((tensor.name,), within)
            check_tensor(tensor, f"initializer '{tensor.name}'")
            if tensor.name in stored:
                raise DefectError(f"{within} stores '{tensor.name}' twice")
            stored[tensor.name] = tensor
        for value in (*graph.input, *graph.value_info):
            declared = value.type.tensor_type.elem_type
            if value.name in stored and declared not in (0, stored[value.name].data_type):
                kind = TensorProto.DataType.Name(stored[value.name].data_type).lower()
                raise DefectError(f"'{value.name}' in {within} is declared as another type than its own, {kind}")
        for sparse in graph.sparse_initializer:
            check_tensor(sparse.values, f"sparse initializer '{sparse.values.name}'")
            check_tensor(sparse.indices, f"the indices of sparse initializer '{sparse.values.name}'")
        names = self._names((value.name for value in graph.input), within)
        names |= stored.keys() | {sparse.values.name for sparse in graph.sparse_initializer}
        if not graph.output:
            raise DefectError(f"{within} returns nothing")
        results = [value.name for value in graph.output]
        self._check_nodes(graph.node, _Scope(names, stored, outside), within, inside=False, results=results)

    def _names(self, names: Iterable[str], within: str) -> set[str]:
        found: set[str] = set()
        names = list(names)
        _check_text(names, within)
        for name in names:
            if not name or name in found:
                raise DefectError(f"{within} has {'two inputs ' + repr(name) if name else 'an input without a name'}")
            found.add(name)
        return found

    def _check_nodes(
        self, nodes: Sequence[onnx.NodeProto], scope: _Scope, within: str, *, inside: bool, results: Iterable[str]
    ) -> None:
        for node in nodes:
            names = (node.name, node.op_type, node.domain, *node.input, *node.output, *(a.name for a in node.attribute))
            _check_text(names, within)
            outputs = [output for output in node.output if output]
            if not node.op_type or not outputs:
                raise DefectError(f"{_label(node)} in {within} has no {'outputs' if node.op_type else 'operator'}")
            for output in outputs:
                if output in scope.own:
                    raise DefectError(f"'{output}' in {within} is computed or stored twice")
                scope.own.add(output)
        for node in nodes:
            for value in node.input:
                if value and not scope.knows(value):
                    raise DefectError(f"{_label(node)} in {within} reads '{value}', which nothing computes")
            self._check_schema(node, within, scope.stored)
            self._check_bodies(node, within)
            for attribute in node.attribute:
                self._check_attribute(attribute, node, within, inside, (scope.own, *scope.outside))
        for name in results:
            if not scope.knows(name):
                raise DefectError(f"{within} returns '{name}', which nothing computes")

    def _check_attribute(
        self, attribute: AttributeProto, node: onnx.NodeProto, within: str, inside: bool, scope: Names
    ) -> None:
        where = f"attribute '{attribute.name}' of {_label(node)} in {within}"
        if attribute.ref_attr_name:
            if not inside:
                raise DefectError(f"{where} stands for one of a function, which this is not")
            return
        if not attribute.name or not attribute.type:
            raise DefectError(f"{where} has no {'type' if attribute.name else 'name'}")
        if attribute.type in _TENSORS:
            for tensor in (*((attribute.t,) if attribute.type == AttributeProto.TENSOR else ()), *attribute.tensors):
                check_tensor(tensor, where)
        for graph in (*((attribute.g,) if attribute.type == AttributeProto.GRAPH else ()), *attribute.graphs):
            self._check_graph(graph, scope, where)

    def _check_bodies(self, node: onnx.NodeProto, within: str) -> None:
        """What control flow gives to its bodies, and calls to functions, must be what those take and return."""
        bodies = [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]
        given = {"If": (0, 0), "Loop": (len(node.input), 1), "Scan": (len(node.input), 0)}.get(node.op_type)
        old = node.op_type == "Scan" and self._opsets.get("", 0) < _SCAN_SINCE
        if given is not None and standard_domain(node.domain) == "" and not old:
            for body in bodies:
                if (len(body.input), len(body.output)) != (given[0], len(node.output) + given[1]):
                    raise DefectError(f"{_label(node)} in {within} and its body differ in what they take or return")
        function = self._functions.get((node.domain, node.op_type, node.overload))
        if function is not None and (len(node.input) > len(function.input) or len(node.output) > len(function.output)):
            raise DefectError(f"{_label(node)} in {within} gives or takes more than function '{function.name}' has")

    def _check_schema(self, node: onnx.NodeProto, within: str, stored: dict[str, TensorProto]) -> None:
        own = (node.domain, node.op_type, node.overload) in self._functions
        try:
            check_node(node, self._opsets.get(standard_domain(node.domain), 0), stored, known=not own)
        except DefectError as defect:
            raise DefectError(f"{_label(node)} in {within}: {defect.what}", defect.remedy) from None


def _check_text(names: Iterable[object], within: str) -> None:
    """Refuses names that are no UTF-8, which protobuf hands out as bytes."""
    for name in names:
        if not isinstance(name, str):
            raise DefectError(f"{within} holds the name {name!r}, which is no text")


def _label(node: onnx.NodeProto) -> str:
    return f"node '{node.name}' ({node.op_type})" if node.name else f"a node {node.op_type}".rstrip()
