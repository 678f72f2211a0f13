"""What no protected file holds: looked for in the message as it was read, so that nothing is overlooked.

nfkit writes standard operators, one file, and metadata of known keys. Whatever else a file brings came in later, or
with its base; what came with the base is for the proof of the base.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

from nfkit.deploy.stated_types import bodies_of, contradicted_types
from nfkit.graph.fusion import fused as keys
from nfkit.graph.fusion.early import is_condition
from nfkit.graph.fusion.front import ANSWERED, SCORES
from nfkit.graph.fusion.seal import counts_for_base
from nfkit.graph.fusion.two_files import EARLY_KEY
from nfkit.graph.injection.record import describe_faults
from nfkit.graph.memory.bits import BITS_KEY
from nfkit.graph.memory.sites import ROLE_KEY
from nfkit.graph.memory.storage import bodies
from nfkit.model import is_large
from nfkit.reports.verification import Check
from nfkit.rim.external import locations
from nfkit.rim.schema import standard_domain

KNOWN_KEYS = {
    "nfkit.format", "nfkit.version", "nfkit.training", "nfkit.advice", "nfkit.data", BITS_KEY, EARLY_KEY,
    keys.BASE_DIGEST_KEY, keys.BASE_HEADER_KEY, keys.BASE_SOURCE_KEY, keys.BASE_ORIGINAL_KEY, keys.INPUT_KEY,
    keys.RESULTS_KEY, keys.GENERATOR_KEY, keys.GENERATOR_DIGEST_KEY, keys.ANSWER_KEY, keys.FITS_KEY, keys.SEAL_KEY,
    keys.MODES_KEY, keys.PLAN_KEY, keys.DEVICE_KEY,
}  # fmt: skip
"""Metadata keys that nfkit writes into a finished file."""
_ROLES = ("generator", keys.ROLE_ANSWER)
_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
_MOST = 3  # names in a finding


def check_contents(proto: onnx.ModelProto, model: ir.Model, path: Path) -> list[Check]:
    """Looks for what should not be there.

    Args:
        proto: The message as read.
        model: The same as a model.
        path: The file.
    """
    return [
        _check("format", _hidden(proto), "one message of known fields"),
        _check("external data", _beside(proto, model, path), "the file needs no other"),
        _check("operators", _operators(model), "generator and answer are standard operators, without bodies of others"),
        _check("inputs", _inputs(model), "those of the base, and the number of a mode where the file has modes"),
        _check("metadata keys", _metadata(model), "all keys of nfkit are known"),
        _check("stated types", contradicted_types(proto), "agree with the operators"),
    ]


def _check(name: str, found: Iterator[str], otherwise: str) -> Check:
    listed = list(dict.fromkeys(found))
    if not listed:
        return Check(name, "proven", otherwise)
    more = f" and {len(listed) - _MOST} more" if len(listed) > _MOST else ""
    return Check(name, "wrong", "; ".join(listed[:_MOST]) + more)


def _hidden(proto: onnx.ModelProto) -> Iterator[str]:
    """What a reader may pass over: another reader may not."""
    known = onnx.ModelProto()
    known.CopyFrom(proto)
    known.DiscardUnknownFields()
    if known.ByteSize() != proto.ByteSize():
        yield f"{proto.ByteSize() - known.ByteSize()} bytes of fields that ONNX does not have"
    if proto.training_info:
        yield "instructions for training"
    if "configuration" in proto.DESCRIPTOR.fields_by_name and proto.configuration:
        yield "instructions for several devices"
    yield from _twice("model", proto)
    yield from _twice("graph", proto.graph)
    calls = Counter((function.domain, function.name, function.overload) for function in proto.functions)
    yield from (f"function '{key[1]}' is given {n} times" for key, n in calls.items() if n > 1)
    for function in proto.functions:
        yield from _twice(f"function '{function.name}'", function)
        names = Counter((*function.attribute, *(stated.name for stated in function.attribute_proto)))
        yield from (f"attribute '{key}' of function '{function.name}' is given {n} times"
                    for key, n in names.items() if n > 1)  # fmt: skip
        yield from (f"{what} of function '{function.name}'" for stated in function.attribute_proto
                    for what in _beyond(stated))  # fmt: skip
        for node in function.node:
            yield from _hidden_in_node(node)
    for graph in _graphs(proto):
        yield from (f"sparse tensor '{tensor.values.name}'" for tensor in graph.sparse_initializer)
        for tensor in graph.initializer:
            yield from _hidden_in_tensor(tensor, f"tensor '{tensor.name}'")
        for node in graph.node:
            yield from _hidden_in_node(node)


def _twice(
    where: str, holder: onnx.ModelProto | onnx.GraphProto | onnx.FunctionProto | onnx.NodeProto
) -> Iterator[str]:
    """What is given more than once, of which readers may take either."""
    counted = Counter(entry.key for entry in holder.metadata_props)
    yield from (f"metadata '{key}' of the {where} is given {n} times" for key, n in counted.items() if n > 1)
    if isinstance(holder, onnx.ModelProto | onnx.FunctionProto):
        domains = Counter(standard_domain(entry.domain) for entry in holder.opset_import)
        yield from (f"operator set '{key or 'ai.onnx'}' of the {where} is given {n} times"
                    for key, n in domains.items() if n > 1)  # fmt: skip


def _hidden_in_node(node: onnx.NodeProto) -> Iterator[str]:
    name = f"node '{node.name or node.op_type}'"
    yield from _twice(name, node)
    if "device_configurations" in node.DESCRIPTOR.fields_by_name and node.device_configurations:
        yield f"instructions for several devices at {name}"
    held = Counter(attribute.name for attribute in node.attribute)
    yield from (f"attribute '{key}' of {name} is given {n} times" for key, n in held.items() if n > 1)
    for attribute in node.attribute:
        yield from (f"{what} of {name}" for what in _beyond(attribute))
        for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
            yield from _hidden_in_tensor(tensor, f"attribute '{attribute.name}' of {name}")


def _hidden_in_tensor(tensor: onnx.TensorProto, name: str) -> Iterator[str]:
    if tensor.HasField("segment"):
        yield f"{name} states to be a segment of another"
    if tensor.external_data and tensor.data_location != onnx.TensorProto.EXTERNAL:
        yield f"{name} names a file besides its data"


_HELD = {
    "FLOAT": "f", "INT": "i", "STRING": "s", "TENSOR": "t", "GRAPH": "g", "SPARSE_TENSOR": "sparse_tensor",
    "TYPE_PROTO": "tp", "FLOATS": "floats", "INTS": "ints", "STRINGS": "strings", "TENSORS": "tensors",
    "GRAPHS": "graphs", "SPARSE_TENSORS": "sparse_tensors", "TYPE_PROTOS": "type_protos",
}  # fmt: skip
"""Field of an attribute that holds what it is, by its type."""


def _beyond(attribute: onnx.AttributeProto) -> Iterator[str]:
    """Values of an attribute besides the one of its type, which another reader may take."""
    stated = None if attribute.ref_attr_name else _HELD.get(onnx.AttributeProto.AttributeType.Name(attribute.type))
    held = {field.name for field, _ in attribute.ListFields()} & set(_HELD.values())
    if held - {stated}:
        yield f"values besides its own in attribute '{attribute.name}'"


def _beside(proto: onnx.ModelProto, model: ir.Model, path: Path) -> Iterator[str]:
    expected = {f"{path.name}.data"} if is_large(model) else set()
    yield from (f"tensors are read from '{place}'" for place in locations(proto) if place not in expected)


def _operators(model: ir.Model) -> Iterator[str]:
    faults = describe_faults(model)
    if faults is not None:
        yield f"the file holds {faults}"
    for node in model.graph:
        role = node.metadata_props.get(ROLE_KEY)
        if role is None:
            continue
        name = f"node '{node.name or node.op_type}'"
        if role not in _ROLES:
            yield f"{name} has the role {role!r}"
        if node.domain or node.op_type in _RANDOM or not onnx.defs.has(node.op_type):
            yield f"{name} is {node.domain or 'ai.onnx'}.{node.op_type}"
        if next(bodies(node), None) is not None and node.op_type != "If":
            yield f"{name} has a body"
    used = {node.domain for node in model.graph.all_nodes()} | {""}
    used |= {node.domain for function in model.functions.values() for node in function.all_nodes()}
    stated = model.metadata_props.get(keys.BASE_HEADER_KEY, "")
    for domain in model.opset_imports:
        if domain not in used and f'"{domain}"' not in stated:
            yield f"operator set '{domain}', of which no node is"


def _inputs(model: ir.Model) -> Iterator[str]:
    """Inputs by which a host, or whoever else feeds the file, could change what nfkit put there."""
    if keys.BASE_HEADER_KEY not in model.metadata_props:  # the second of two files takes what the first gives
        return
    own = {keys.MODE} if keys.has_modes(model) else set[str]()
    if any(value.name == ANSWERED for value in model.graph.outputs):  # a front, which is given what the base said
        own.add(SCORES)
    for value in model.graph.inputs:
        if str(value.name).startswith(keys.PREFIX) and value.name not in own:
            yield f"'{value.name}', which nfkit does not write"


def _metadata(model: ir.Model) -> Iterator[str]:
    unknown = [key for key in model.metadata_props if not counts_for_base(key) and key not in KNOWN_KEYS]
    yield from (f"'{key}'" for key in unknown)
    gates = [body for node in model.graph if is_condition(node) for _, body in bodies(node)]
    holds_base = any(ROLE_KEY not in node.metadata_props for nodes in (model.graph, *gates) for node in nodes)
    said = keys.BASE_HEADER_KEY in model.metadata_props or EARLY_KEY in model.metadata_props
    if holds_base and not said:
        yield f"'{keys.BASE_HEADER_KEY}' is missing"
    for node in model.graph.all_nodes():
        odd = [key for key in node.metadata_props if key.startswith("nfkit.") and key != ROLE_KEY]
        yield from (f"'{key}' of node '{node.name or node.op_type}'" for key in odd)


def _graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph, and all bodies in it and in the functions."""
    called = [node for function in proto.functions for node in function.node]
    pending = [proto.graph, *(body for node in called for body in bodies_of(node))]
    while pending:
        graph = pending.pop()
        yield graph
        pending += [body for node in graph.node for body in bodies_of(node)]
