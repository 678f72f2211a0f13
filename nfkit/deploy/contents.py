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

from nfkit.deploy.targets.changes import TARGET_KEY
from nfkit.graph.fusion import fused as keys
from nfkit.graph.fusion.seal import counts_for_base
from nfkit.graph.fusion.two_files import EARLY_KEY
from nfkit.graph.injection.record import describe_faults
from nfkit.graph.memory.bits import BITS_KEY
from nfkit.graph.memory.sites import ROLE_KEY
from nfkit.graph.memory.storage import bodies
from nfkit.model import is_large
from nfkit.reports.verification import Check
from nfkit.rim.external import locations

KNOWN_KEYS = {
    "nfkit.format", "nfkit.version", "nfkit.training", "nfkit.advice", "nfkit.data", BITS_KEY, EARLY_KEY,
    keys.BASE_DIGEST_KEY, keys.BASE_HEADER_KEY, keys.BASE_SOURCE_KEY, keys.BASE_ORIGINAL_KEY, keys.INPUT_KEY,
    keys.RESULTS_KEY, keys.GENERATOR_KEY, keys.GENERATOR_DIGEST_KEY, keys.ANSWER_KEY, keys.FITS_KEY, keys.SEAL_KEY,
    keys.MODES_KEY, keys.PLAN_KEY, TARGET_KEY,
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
        _check("metadata keys", _metadata(model), "all keys of nfkit are known"),
        _check("stated types", _types(proto), "agree with the operators"),
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
    for place, entries in (("model", proto.metadata_props), ("graph", proto.graph.metadata_props)):
        counted = Counter(entry.key for entry in entries)
        yield from (f"metadata '{key}' of the {place} is given {n} times" for key, n in counted.items() if n > 1)
    for graph in _graphs(proto):
        yield from (f"sparse tensor '{tensor.values.name}'" for tensor in graph.sparse_initializer)


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


def _metadata(model: ir.Model) -> Iterator[str]:
    unknown = [key for key in model.metadata_props if not counts_for_base(key) and key not in KNOWN_KEYS]
    yield from (f"'{key}'" for key in unknown)
    holds_base = any(ROLE_KEY not in node.metadata_props for node in model.graph)
    said = keys.BASE_HEADER_KEY in model.metadata_props or EARLY_KEY in model.metadata_props
    if holds_base and not said:
        yield f"'{keys.BASE_HEADER_KEY}' is missing"
    for node in model.graph.all_nodes():
        odd = [key for key in node.metadata_props if key.startswith("nfkit.") and key != ROLE_KEY]
        yield from (f"'{key}' of node '{node.name or node.op_type}'" for key in odd)


def _types(proto: onnx.ModelProto) -> Iterator[str]:
    """Types that the file states of values inside it, where they contradict what their operators give."""
    bare = onnx.ModelProto()
    bare.CopyFrom(proto)
    for graph in _graphs(bare):
        del graph.value_info[:]
    for value in _inside(bare):
        value.ClearField("type")
    try:
        inferred = onnx.shape_inference.infer_shapes(bare)
    except Exception:  # a message beyond 2 GiB, or operators that contradict each other, which ONNX Runtime refuses
        return
    found = {value.name: value.type.tensor_type for value in _inside(inferred)}
    for value in _inside(proto):
        if value.name in found and _contradict(value.type.tensor_type, found[value.name]):
            yield f"value '{value.name}' is stated to be what its operator does not give"


def _inside(proto: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Values inside a model of which it states types: what a body gives is one, and what the model gives is none."""
    main, *inner = _graphs(proto)
    return [*main.value_info, *(value for graph in inner for value in (*graph.value_info, *graph.output))]


def _contradict(stated: onnx.TypeProto.Tensor, found: onnx.TypeProto.Tensor) -> bool:
    if stated.elem_type and found.elem_type and stated.elem_type != found.elem_type:
        return True
    if not stated.HasField("shape") or not found.HasField("shape"):
        return False
    pairs = list(zip(stated.shape.dim, found.shape.dim, strict=False))
    if len(stated.shape.dim) != len(found.shape.dim):
        return True
    return any(a.HasField("dim_value") and b.HasField("dim_value") and a.dim_value != b.dim_value for a, b in pairs)


def _graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph and all bodies in it."""
    pending = [proto.graph]
    while pending:
        graph = pending.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                pending += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
