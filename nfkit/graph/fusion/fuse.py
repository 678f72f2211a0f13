"""Splices a generator in front of a frozen graph; `nfkit.graph.fusion.split` undoes it.

    x ----------------------------> base          becomes
    x -> [to [-1, 1] NCHW] -> F(x) -> [back] -> base

The fused model keeps the base's own input: name, type, layout and batch symbol. The base's half stays as it was, node
by node and byte by byte; only the edge that was its input is now the output of the prefix. Every node of the prefix
carries `nfkit.role = generator`, and everything it names starts with `nfkit/`, so that nothing can clash.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import CheckerPass

from nfkit.errors import ModelError, UnsupportedError
from nfkit.graph.fusion.fused import (
    BASE_DIGEST_KEY,
    BASE_HEADER_KEY,
    GENERATOR_DIGEST_KEY,
    GENERATOR_KEY,
    GENERATOR_PREFIX,
    INPUT_KEY,
    JOINT,
    PREFIX,
    is_fused,
)
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import FAULTS_KEY
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import ROLE_KEY
from nfkit.model import sha256


def fuse(generator: ir.Model, base: ir.Model, spec: InputSpec, metadata: dict[str, str]) -> ir.Model:
    """Puts a generator in front of a base.

    Args:
        generator: Graph from one float input [N, C, H, W] in [-1, 1] to the clipped F(x) of the same shape, with
            initializers instead of Constant nodes, at the base's opset.
        base: The frozen model.
        spec: The base's input.
        metadata: `nfkit.*` entries to record; added to those of the base.

    Returns:
        The fused model; both arguments stay as they are.

    Raises:
        ModelError: When the base is fused already, or the result is no valid model.
        UnsupportedError: When generator and base import different versions of an operator set.
    """

    def prefix(image: ir.Value, graph: ir.Graph) -> tuple[list[ir.Node], ir.Value]:
        nodes: list[ir.Node] = []
        levels = _to_levels(image, spec, nodes, graph)
        protected = _adopt(generator.clone(), levels, nodes, graph)
        return nodes, _from_levels(protected, spec, nodes, graph)

    return _join(generator.opset_imports, prefix, base, spec, metadata)


def transfer(fused: ir.Model, base: ir.Model, spec: InputSpec) -> ir.Model:
    """Puts the generator of a fused model in front of another base: one trained on a surrogate, say.

    Args:
        fused: The fused model that has the generator.
        base: Another frozen model that takes the same input.
        spec: The base's input.

    Returns:
        The base behind the generator; both arguments stay as they are. What the fused model recorded of its own
        results is left behind.

    Raises:
        ModelError: When `fused` has no generator, the base has one already, or the result is no valid model.
        UnsupportedError: When the two take different inputs, or import different versions of an operator set.
    """
    taken, _ = split(fused)
    known = InputSpec.from_dict(json.loads(fused.metadata_props[INPUT_KEY]))
    for name in ("dtype", "layout", "shape", "low", "high"):
        theirs, ours = getattr(known, name), getattr(spec, name)
        if theirs != ours:
            raise UnsupportedError(
                f"the generator was made for an input of {name} {theirs}, the base takes {ours}: give a base of the "
                "same input, or say with --layout, --range or --mean and --std that it is"
            )

    def prefix(image: ir.Value, graph: ir.Graph) -> tuple[list[ir.Node], ir.Value]:
        theirs = taken.graph
        source, result = theirs.inputs[0], theirs.outputs[0]
        theirs.outputs.clear()
        for value in list(theirs.initializers.values()):
            del theirs.initializers[str(value.name)]
            graph.register_initializer(value)
        source.replace_all_uses_with(image)
        nodes = list(theirs)
        theirs.remove(nodes)
        return nodes, result

    kept = (GENERATOR_KEY, GENERATOR_DIGEST_KEY, "nfkit.format", "nfkit.version")
    metadata = {key: fused.metadata_props[key] for key in kept if key in fused.metadata_props}
    return _join(taken.opset_imports, prefix, base, spec, metadata)


def _join(
    opsets: Mapping[str, int],
    prefix: Callable[[ir.Value, ir.Graph], tuple[list[ir.Node], ir.Value]],
    base: ir.Model,
    spec: InputSpec,
    metadata: Mapping[str, str],
) -> ir.Model:
    """Puts what `prefix` makes of the input (its nodes, and its last value) between a base and its input."""
    if is_fused(base):
        raise ModelError("the model already has a generator in front: split it first (nfkit split)")
    for domain, version in opsets.items():
        if base.opset_imports.get(domain, version) != version:
            raise UnsupportedError(
                f"generator and base import versions {version} and {base.opset_imports[domain]} of operator set "
                f"'{domain or 'ai.onnx'}': export the generator at the base's version"
            )
    if FAULTS_KEY in base.metadata_props:
        raise ModelError("the model holds injected faults: remove them first (nfkit inject --remove)")
    taken = [*base.graph.initializers, *(str(value.name) for node in base.graph for value in node.outputs)]
    if reserved := [name for name in taken if name.startswith(PREFIX)]:
        raise ModelError(f"the base holds a value named '{reserved[0]}', a name that nfkit keeps for itself: rename it")
    digest, header = sha256(base), _header(base)
    base = base.clone()
    graph = base.graph
    image = next(v for v in graph.inputs if v.name == spec.name)
    uses = list(image.uses())

    nodes, protected = prefix(image, graph)
    protected.name = JOINT
    protected.type, protected.shape = image.type, image.shape

    for node in nodes:
        node.metadata_props[ROLE_KEY] = "generator"
    if len(graph):
        graph.insert_before(graph[0], nodes)
    for consumer, index in uses:
        consumer.replace_input_with(index, protected)
    for domain, version in opsets.items():
        base.opset_imports.setdefault(domain, version)
    base.ir_version = max(base.ir_version, onnx.helper.find_min_ir_version_for(_opsets(base), ignore_unknown=True))
    base.metadata_props.update(metadata)
    base.metadata_props[BASE_DIGEST_KEY] = digest
    base.metadata_props[BASE_HEADER_KEY] = json.dumps(header, sort_keys=True)
    base.metadata_props[INPUT_KEY] = json.dumps(spec.to_dict(), sort_keys=True)
    try:
        CheckerPass(full_check=False)(base.clone())  # the pass reorders large initializers
    except Exception as error:
        raise ModelError(f"the fused model is invalid ({error}): please report this model") from error
    return base


def _adopt(generator: ir.Model, levels: ir.Value, nodes: list[ir.Node], graph: ir.Graph) -> ir.Value:
    """Moves the generator's nodes and initializers over, under names of our own; returns its output."""
    theirs = generator.graph
    source, result = theirs.inputs[0], theirs.outputs[0]
    theirs.outputs.clear()
    for value in list(theirs.initializers.values()):
        name = GENERATOR_PREFIX + str(value.name)
        del theirs.initializers[str(value.name)]
        value.name = name
        graph.register_initializer(value)
    source.replace_all_uses_with(levels)
    for node in list(theirs):
        theirs.remove(node)
        node.name = GENERATOR_PREFIX + (node.name or node.op_type)
        for output in node.outputs:
            output.name = GENERATOR_PREFIX + str(output.name)
        nodes.append(node)
    return result


def _to_levels(image: ir.Value, spec: InputSpec, nodes: list[ir.Node], graph: ir.Graph) -> ir.Value:
    """The base's own input -> float [N, C, H, W] in [-1, 1]."""
    value = image
    if spec.dtype != "float32":
        value = _node("Cast", [value], nodes, to=int(ir.DataType.FLOAT))
    if spec.layout == "NHWC":
        value = _node("Transpose", [value], nodes, perm=[0, 3, 1, 2])
    elif spec.layout != "NCHW":
        shape = _constant("image_shape", np.array([0, *spec.image_shape], np.int64), graph)
        value = _node("Reshape", [value, shape], nodes)
    centre, half_width = spec.bounds()
    if np.any(centre != 0):
        value = _node("Sub", [value, _constant("centre", centre, graph)], nodes)
    if np.any(half_width != 1):
        value = _node("Div", [value, _constant("half_width", half_width, graph)], nodes)
    return value


def _from_levels(value: ir.Value, spec: InputSpec, nodes: list[ir.Node], graph: ir.Graph) -> ir.Value:
    """Float [N, C, H, W] in [-1, 1] -> the base's own input."""
    centre, half_width = spec.bounds()
    if np.any(half_width != 1):
        value = _node("Mul", [value, _constant("half_width", half_width, graph)], nodes)
    if np.any(centre != 0):
        value = _node("Add", [value, _constant("centre", centre, graph)], nodes)
    if spec.layout == "NHWC":
        value = _node("Transpose", [value], nodes, perm=[0, 2, 3, 1])
    elif spec.layout != "NCHW":
        shape = _constant("sample_shape", np.array([0, *spec.shape], np.int64), graph)
        value = _node("Reshape", [value, shape], nodes)
    if np.issubdtype(np.dtype(spec.dtype), np.integer):
        # QuantizeLinear of scale 1 is "round half to even, then saturate", which Cast alone is not.
        one = _constant("one", np.array(1, np.float32), graph)
        zero = _constant("zero", np.array(0, spec.dtype), graph)
        return _node("QuantizeLinear", [value, one, zero], nodes)
    if spec.dtype != "float32":
        return _node("Cast", [value], nodes, to=int(ir.DataType.from_numpy(np.dtype(spec.dtype))))
    return value


def _node(op: str, inputs: list[ir.Value], nodes: list[ir.Node], **attributes: Any) -> ir.Value:
    node = ir.node(op, inputs, attributes, name=f"{PREFIX}interface_{len(nodes)}_{op}")
    node.outputs[0].name = f"{node.name}_output"
    nodes.append(node)
    return node.outputs[0]


def _constant(name: str, array: np.ndarray[Any, Any], graph: ir.Graph) -> ir.Value:
    name = f"{PREFIX}interface_{name}"
    if name not in graph.initializers:
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        graph.register_initializer(value)
    return graph.initializers[name]


def _opsets(model: ir.Model) -> list[onnx.OperatorSetIdProto]:
    return [onnx.helper.make_opsetid(domain, version) for domain, version in model.opset_imports.items()]


def _header(model: ir.Model) -> dict[str, Any]:
    """What fusing changes outside the graph, and splitting restores."""
    return {"ir_version": model.ir_version, "opset_imports": dict(model.opset_imports)}
