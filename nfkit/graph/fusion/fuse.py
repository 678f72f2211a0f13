"""Splices a generator in front of a frozen graph; `nfkit.graph.fusion.split` undoes it.

    x ----------------------------> base          becomes
    x -> [to [-1, 1] NCHW] -> F(x) -> [back] -> base

The fused model keeps the base's own input: name, type, layout and batch symbol. The base's half stays as it was, node
by node and byte by byte; only the edge that was its input is now the output of the prefix. Every node of the prefix
carries `nfkit.role = generator`, and everything it names starts with `nfkit/`, so that nothing can clash.

With an answer stage the generator's evidence joins the base's scores at the output, whose name, type and shape stay:

    x -> evidence ------------------------> answer stage -> output
    x -> [F(x), where there is one] -> base ----^
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import CheckerPass

from nfkit.errors import ModelError, UnsupportedError
from nfkit.graph.fusion.answer import Answer, AnswerStage
from nfkit.graph.fusion.early import run_if_needed
from nfkit.graph.fusion.fused import (
    ANSWER_KEY,
    BASE_DIGEST_KEY,
    BASE_HEADER_KEY,
    BASE_ORIGINAL_KEY,
    BASE_OUTPUT,
    EVIDENCE,
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
from nfkit.graph.fusion.opset import at_opset
from nfkit.graph.fusion.seal import seal
from nfkit.graph.fusion.split import evidence_of, split
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.input.affine import input_to_levels, levels_to_input
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.original import outline
from nfkit.graph.memory.sites import ROLE_KEY
from nfkit.model import sha256
from nfkit.rim.external import with_data

Prefix = tuple[list[ir.Node], "ir.Value | None"]
"""Nodes of a prefix, and its last value in the base's input space; None where the base reads its input itself."""


def fuse(
    generator: ir.Model, base: ir.Model, spec: InputSpec, metadata: dict[str, str], answer: Answer | None = None
) -> ir.Model:
    """Puts a generator in front of a base.

    Args:
        generator: Graph from one float input [N, C, H, W] in [-1, 1] to the clipped F(x) of the same shape, with
            initializers instead of Constant nodes, at the base's opset. A value of the name `EVIDENCE` in it holds
            class scores [N, classes]; where that is its output, the base reads its input itself.
        base: The frozen model.
        spec: The base's input.
        metadata: `nfkit.*` entries to record; added to those of the base.
        answer: How base and evidence answer together; without it the base answers.

    Returns:
        The fused model; both arguments stay as they are.

    Raises:
        ModelError: When the base is fused already, an answer needs evidence that the generator does not give, or the
            result is no valid model.
        UnsupportedError: When generator and base import different versions of an operator set, or an early answer
            would leave out further outputs of the base.
    """
    looks_only = generator.graph.outputs[0].name == EVIDENCE

    def prefix(image: ir.Value, graph: ir.Graph) -> Prefix:
        nodes: list[ir.Node] = []
        levels = write(input_to_levels(spec), image, nodes, graph)
        protected = adopt(generator.clone(), levels, nodes, graph)
        return nodes, None if looks_only else write(levels_to_input(spec), protected, nodes, graph)

    return _join(generator.opset_imports, prefix, base, spec, metadata, answer)


def transfer(
    fused: ir.Model, base: ir.Model, spec: InputSpec, answer: Answer | None = None, *, patterns: bool = True
) -> ir.Model:
    """Puts the generator of a fused model in front of another base: one trained on a surrogate, say.

    It is brought to the other base's version of the operators.

    Args:
        fused: The fused model that has the generator.
        base: Another frozen model that takes the same input.
        spec: The base's input.
        answer: How evidence and the other base answer together, where they shall.
        patterns: Whether the generator changes the other base's input, too; what drives one base misleads another.

    Returns:
        The base behind the generator; both arguments stay as they are. What the fused model recorded of its own
        results is left behind.

    Raises:
        ModelError: When `fused` has no generator, the base has one already, the generator changes nothing at the
            input and no answer is given, or the result is no valid model.
        UnsupportedError: When the two take different inputs, or the generator cannot be said at the other base's
            version of the operators.
    """
    taken, _ = split(fused)
    if not patterns:
        looked = evidence_of(taken)
        if looked is None:
            raise ModelError("the generator has no evidence of its own, so without its patterns nothing is left of it")
        taken = looked
    taken = at_opset(taken, base.opset_imports.get("", taken.opset_imports[""]))
    known = read_input(fused)
    for name in ("dtype", "layout", "shape", "low", "high"):
        theirs, ours = getattr(known, name), getattr(spec, name)
        if theirs != ours:
            raise UnsupportedError(
                f"the generator was made for an input of {name} {theirs}, the base takes {ours}: give a base of the "
                "same input, or say with --input-layout, --range or --mean and --std that it is"
            )

    def prefix(image: ir.Value, graph: ir.Graph) -> Prefix:
        theirs = taken.graph
        source, result = theirs.inputs[0], next((v for v in theirs.outputs if v.name == JOINT), None)
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
    return _join(taken.opset_imports, prefix, base, spec, metadata, answer)


def _join(
    opsets: Mapping[str, int],
    prefix: Callable[[ir.Value, ir.Graph], Prefix],
    base: ir.Model,
    spec: InputSpec,
    metadata: Mapping[str, str],
    answer: Answer | None,
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
    digest, header, original = sha256(base), _header(base), outline(base)
    base = base.clone()
    graph = base.graph
    image = next(v for v in graph.inputs if v.name == spec.name)
    uses, own = list(image.uses()), list(graph)

    nodes, protected = prefix(image, graph)
    for node in nodes:
        node.metadata_props[ROLE_KEY] = "generator"
    if len(graph):
        graph.insert_before(graph[0], nodes)
    if protected is not None:
        protected.name = JOINT
        protected.type, protected.shape = image.type, image.shape
        for consumer, index in uses:
            consumer.replace_input_with(index, protected)
    elif answer is None:
        raise ModelError("the generator changes nothing at the base's input, so it can only join the answer: give one")
    if answer is not None:
        evidence = next((v for n in nodes for v in n.outputs if v.name == GENERATOR_PREFIX + EVIDENCE), None)
        if evidence is None:
            raise ModelError("the generator has no evidence of its own and no part in the answer: use --answer base")
        add_answer(graph, base.opset_imports[""], own, evidence, answer)
        base.metadata_props[ANSWER_KEY] = json.dumps(answer.to_dict(), sort_keys=True)
    for domain, version in opsets.items():
        base.opset_imports.setdefault(domain, version)
    base.ir_version = max(base.ir_version, onnx.helper.find_min_ir_version_for(_opsets(base), ignore_unknown=True))
    base.metadata_props.update(metadata)
    base.metadata_props[BASE_DIGEST_KEY] = digest
    base.metadata_props[BASE_HEADER_KEY] = json.dumps(header, sort_keys=True)
    if original is not None:
        base.metadata_props[BASE_ORIGINAL_KEY] = original
    base.metadata_props[INPUT_KEY] = json.dumps(spec.to_dict(), sort_keys=True)
    try:
        CheckerPass(full_check=False)(with_data(base.clone()))  # the pass reorders large initializers
    except Exception as error:
        raise ModelError(f"the fused model is invalid ({error}): please report this model") from error
    seal(base)
    return base


def add_answer(graph: ir.Graph, opset: int, base: list[ir.Node], evidence: ir.Value, answer: Answer) -> None:
    """Puts an answer stage behind a base, in place.

    Args:
        graph: The graph, in which `evidence` is known before the base begins.
        opset: Version of the standard operators.
        base: The nodes of the base, in order.
        evidence: Class scores [N, classes].
        answer: What the stage computes.

    Raises:
        UnsupportedError: When an early answer would leave out further outputs of the base.
    """
    further = list(graph.outputs[1:])
    scores, name = graph.outputs[0], graph.outputs[0].name
    graph.outputs.clear()  # a value is output of one graph at a time
    stage = AnswerStage(graph, opset, answer)
    shares, sure, given = stage.shares(evidence), None, scores
    if answer.threshold is not None:
        sure = stage.sure(shares)
        given = run_if_needed(base, scores, further, stage, shares, sure)
    stated = stage.output(given, shares, sure)
    stated.type, stated.shape = scores.type, scores.shape
    graph.extend(stage.nodes)
    scores.name, stated.name = BASE_OUTPUT, name
    graph.outputs.extend([stated, *further])


def adopt(generator: ir.Model, levels: ir.Value, nodes: list[ir.Node], graph: ir.Graph) -> ir.Value:
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
