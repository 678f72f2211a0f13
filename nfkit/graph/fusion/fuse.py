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
from nfkit.graph.fusion.interface import write
from nfkit.graph.fusion.metadata import read_input
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.input.affine import input_to_levels, levels_to_input
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
        levels = write(input_to_levels(spec), image, nodes, graph)
        protected = _adopt(generator.clone(), levels, nodes, graph)
        return nodes, write(levels_to_input(spec), protected, nodes, graph)

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
    known = read_input(fused)
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
    refuse_faults(base)
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


def _opsets(model: ir.Model) -> list[onnx.OperatorSetIdProto]:
    return [onnx.helper.make_opsetid(domain, version) for domain, version in model.opset_imports.items()]


def _header(model: ir.Model) -> dict[str, Any]:
    """What fusing changes outside the graph, and splitting restores."""
    return {"ir_version": model.ir_version, "opset_imports": dict(model.opset_imports)}
