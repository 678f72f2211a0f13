"""What a model is, apart from how its file is written: one digest for each node, tensor, input and output.

Nothing here depends on the order of nodes, initializers or metadata, on doc strings, on the types that a file states of
values inside it, or on how a tensor is encoded. Names of values count: they are the edges of the graph. In ONNX each
name is given once, so equal items are equal graphs, and an item that differs says where two graphs do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from nfkit.graph.memory.sites import ROLE_KEY
from nfkit.rim.external import with_data


@dataclass(frozen=True)
class Identity:
    """The items of a model, or of a part of one.

    Attributes:
        items: Digest of each item by what messages call it.
    """

    items: Mapping[str, str]

    @property
    def digest(self) -> str:
        """One digest for all items, SHA-256."""
        return _digest(sorted(self.items.items()))

    def differences(self, other: Identity) -> list[str]:
        """Items that only one has, or that differ, each in a few words."""
        names = sorted(self.items.keys() | other.items.keys())
        return [
            f"{name} {'is missing' if name not in self.items else 'is new' if name not in other.items else 'differs'}"
            for name in names
            if self.items.get(name) != other.items.get(name)
        ]


def identify(model: ir.Model, counts: Callable[[str], bool] = lambda key: True) -> Identity:
    """The identity of a model.

    Args:
        model: The model; not changed.
        counts: Which metadata of the model is part of it.

    Raises:
        ModelError: When external data cannot be read.
    """
    model = with_data(model)
    scribe, graph = Scribe(), model.graph
    items = {
        **scribe.nodes(graph),
        **scribe.tensors(graph.initializers.values()),
        **scribe.ends(graph.inputs, graph.outputs),
        **header_items(model.ir_version, model.opset_imports),
        **scribe.functions(model),
        **metadata_items(model, counts),
        **annotation_items(model),
    }
    return Identity(items)


def header_items(ir_version: int, opsets: Mapping[str, int]) -> dict[str, str]:
    """Items of what stands before a graph."""
    stated = {f"operator set '{domain or 'ai.onnx'}'": str(version) for domain, version in opsets.items()}
    return {"IR version": str(ir_version), **stated}


def metadata_items(model: ir.Model, counts: Callable[[str], bool]) -> dict[str, str]:
    """Items of a model's metadata."""
    return {f"metadata '{key}'": _digest(value) for key, value in model.metadata_props.items() if counts(key)}


def annotation_items(model: ir.Model) -> dict[str, str]:
    """Items of quantisation annotations: which tensors hold the scale and zero point of which value."""
    noted = ((value.name, value.meta.get("quant_parameter_tensor_names")) for value in _values(model.graph))
    return _merged((f"annotation of '{name}'", _digest(sorted(tensors.items()))) for name, tensors in noted if tensors)


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from (*graph.inputs, *graph.initializers.values())
    for node in graph.all_nodes():
        yield from node.outputs


class Scribe:
    """Writes items.

    Args:
        rename: What a value is called in the items, by its name in the graph.
    """

    def __init__(self, rename: Callable[[str], str] = lambda name: name) -> None:
        self._rename = rename

    def nodes(self, nodes: Iterable[ir.Node]) -> dict[str, str]:
        """One item a node, called after what it gives."""
        return _merged((f"node '{self._called(node)}'", self._node(node)) for node in nodes)

    def tensors(self, values: Iterable[ir.Value]) -> dict[str, str]:
        """One item an initializer."""
        return _merged((f"tensor '{self._name(value)}'", self._tensor(value.const_value)) for value in values)

    def ends(self, inputs: Iterable[ir.Value], outputs: Iterable[ir.Value], *, typed: bool = True) -> dict[str, str]:
        """One item an input and output, with its place; with type and shape, which a body need not state."""
        return {
            f"{end} '{self._name(value)}'": _digest((place, _type(value) if typed else None))
            for end, values in (("input", inputs), ("output", outputs))
            for place, value in enumerate(values)
        }

    def functions(self, model: ir.Model) -> dict[str, str]:
        """One item a function of the model."""
        return {f"function '{_joined(*key)}'": self._function(f) for key, f in model.functions.items()}

    def graph(self, graph: ir.Graph) -> str:
        """Digest of a body."""
        items = {
            **self.nodes(graph),
            **self.tensors(graph.initializers.values()),
            **self.ends(graph.inputs, graph.outputs, typed=False),
        }
        return _digest(sorted(items.items()))

    def _called(self, node: ir.Node) -> str:
        """What a node is called: its first output that has a name, since one that is left out has none."""
        return next((self._name(value) for value in node.outputs if value.name), _label(node))

    def _name(self, value: ir.Value | None) -> str:
        return "" if value is None else self._rename(str(value.name))

    def _node(self, node: ir.Node) -> str:
        attributes = sorted((name, self._attribute(value)) for name, value in node.attributes.items())
        inputs, outputs = ([self._name(value) for value in values] for values in (node.inputs, node.outputs))
        # Whose a node is decides how nfkit reads the file.
        return _digest((_label(node), inputs, outputs, attributes, node.metadata_props.get(ROLE_KEY)))

    def _attribute(self, attribute: ir.Attr) -> str:
        kinds, value = ir.AttributeType, attribute.value
        if attribute.is_ref():
            return _digest(("ref", str(attribute.type), attribute.ref_attr_name))
        if attribute.type == kinds.GRAPH:
            value = self.graph(value)
        elif attribute.type == kinds.GRAPHS:
            value = [self.graph(body) for body in value]
        elif attribute.type == kinds.TENSOR:
            value = self._tensor(value)
        elif attribute.type == kinds.TENSORS:
            value = [self._tensor(tensor) for tensor in value]
        else:
            stated = ir.serde.serialize_attribute(attribute)
            stated.doc_string = ""
            value = stated.SerializeToString(deterministic=True)
        return _digest((str(attribute.type), value))

    def _tensor(self, tensor: ir.TensorProtocol | None) -> str:
        if tensor is None:
            return "none"
        if tensor.dtype == ir.DataType.STRING:
            content = repr([bytes(entry) for entry in tensor.numpy().ravel()]).encode()
        else:
            content = tensor.tobytes()
        shape = [int(extent) for extent in tensor.shape.numpy()]
        return _digest((str(tensor.dtype), shape, hashlib.sha256(content).hexdigest()))

    def _function(self, function: ir.Function) -> str:
        inputs, outputs = ([str(v.name) for v in values] for values in (function.inputs, function.outputs))
        stated = [(name, str(a.type), self._attribute(a)) for name, a in function.attributes.items()]
        opsets = sorted(function.opset_imports.items())
        return _digest((inputs, outputs, sorted(stated), opsets, sorted(self.nodes(function).items())))


def _label(node: ir.Node) -> str:
    return _joined(node.domain, node.op_type, node.overload)


def _joined(domain: str, name: str, overload: str) -> str:
    """Name of an operator or function in its domain; where a point stands in its parts, they are kept apart."""
    plain = "." not in name and not overload
    return ".".join(filter(None, (domain, name))) if plain else repr((domain, name, overload))


def _merged(entries: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Items by name. Names that branches share hide nothing: their item is the digest of all that bear it."""
    found: dict[str, list[str]] = {}
    for name, digest in entries:
        found.setdefault(name, []).append(digest)
    return {name: held[0] if len(held) == 1 else _digest(sorted(held)) for name, held in found.items()}


def _type(value: ir.Value) -> tuple[str, Any]:
    extents = None if value.shape is None else [d if isinstance(d, int) else str(d) for d in value.shape]
    return str(value.type), extents


def _digest(content: Any) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()
