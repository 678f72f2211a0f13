"""Types that a file states of values inside it, against those that its operators give.

Nothing has to be stated, and a tool may state more or less. But a runtime may believe what is stated, and plan its
memory by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx
from onnx.inliner import inline_local_functions

from nfkit.graph.fusion.fused import ROLE_ANSWER
from nfkit.graph.memory.sites import ROLE_KEY

Types = list[onnx.TypeProto]
Dimension = onnx.TensorShapeProto.Dimension


def contradicted_types(proto: onnx.ModelProto) -> Iterator[str]:
    """The values whose stated type is none that they can have, each in a sentence.

    Args:
        proto: The message; not changed.
    """
    proto = _in_one(proto)
    bare = onnx.ModelProto()
    bare.CopyFrom(proto)
    _forget(bare.graph)
    try:
        inferred = onnx.shape_inference.infer_shapes(bare)
    except Exception:  # a message beyond 2 GiB, or operators that contradict each other, which ONNX Runtime refuses
        return
    free = {d.dim_param for value in proto.graph.input for d in value.type.tensor_type.shape.dim if d.dim_param}
    yield from _contradicted(proto.graph, inferred.graph, None, free)


def _in_one(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The message with its functions where they are called, if they state types, which only a call can contradict."""
    if not any(function.value_info for function in proto.functions):
        return proto
    try:
        return inline_local_functions(proto)
    except Exception:  # functions of another version of the operators, which nothing but their text tells
        return proto


def _forget(graph: onnx.GraphProto) -> None:
    del graph.value_info[:]
    for node in graph.node:
        for body in bodies_of(node):
            for value in body.output:
                value.ClearField("type")
            _forget(body)


def bodies_of(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The bodies of a node, in its order."""
    return [body for a in node.attribute for body in (*([a.g] if a.HasField("g") else []), *a.graphs)]


def _contradicted(
    stated: onnx.GraphProto, inferred: onnx.GraphProto, ends: Sequence[Types] | None, free: set[str]
) -> Iterator[str]:
    """The same of one graph and its bodies; the graph was read twice, so nodes and bodies are in the same places.

    Args:
        stated: As the file has it.
        inferred: With the types that the operators give.
        ends: What else is known of its outputs, for a body; None for the main graph, whose outputs are its interface.
        free: Names of the axes that a host chooses.
    """
    found: dict[str, Types] = {}
    for value in (*inferred.value_info, *inferred.output):
        found.setdefault(value.name, []).append(value.type)
    for tensor in inferred.initializer:
        kind = onnx.helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
        found.setdefault(tensor.name, []).append(kind)
    for value, known in zip(stated.output, ends or (), strict=False):
        found.setdefault(value.name, []).extend(known)
    for node, same in zip(stated.node, inferred.node, strict=True):
        bodies = bodies_of(same)
        given = list(zip(*(body.output for body in bodies), strict=False)) if node.op_type == "If" else []
        # Either branch may be taken, so what the node gives must fit both.
        for name, values in zip(node.output, given, strict=False):
            found.setdefault(name, []).extend(value.type for value in values)
        # Those of an answer stage give the same; a base's need not, nor those of a generator that a mode leaves out.
        ours = any((entry.key, entry.value) == (ROLE_KEY, ROLE_ANSWER) for entry in node.metadata_props)
        both = [[*(value.type for value in values), *found.get(name, ())]
                 for name, values in zip(node.output, given, strict=False)]  # fmt: skip
        for body, inner in zip(bodies_of(node), bodies, strict=True):
            yield from _contradicted(body, inner, both if ours else (), free)
    for value in (*stated.value_info, *(() if ends is None else stated.output)):
        if any(_contradict(value.type, other, free) for other in found.get(value.name, ())):
            yield f"value '{value.name}' is stated to be what its operator does not give"


def _contradict(stated: onnx.TypeProto, found: onnx.TypeProto, free: set[str]) -> bool:
    """Whether a value that is found to be one thing cannot be what is stated."""
    kinds = {kind for kind in (stated.WhichOneof("value"), found.WhichOneof("value")) if kind is not None}
    if len(kinds) > 1:
        return True
    a, b = stated.tensor_type, found.tensor_type
    if a.elem_type and b.elem_type and a.elem_type != b.elem_type:
        return True
    if not a.HasField("shape") or not b.HasField("shape"):
        return False
    if len(a.shape.dim) != len(b.shape.dim):
        return True
    return any(_narrower(p, q, free) for p, q in zip(a.shape.dim, b.shape.dim, strict=True))


def _narrower(stated: Dimension, found: Dimension, free: set[str]) -> bool:
    if not stated.HasField("dim_value"):
        return False
    return stated.dim_value != found.dim_value if found.HasField("dim_value") else found.dim_param in free
