"""Takes a fused model apart: into the prefix, the base as it was before fusing, and the answer stage if it has one."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from nfkit.errors import ModelError
from nfkit.graph.fusion.early import condition, unwrap
from nfkit.graph.fusion.fused import (
    ANSWER_KEY,
    ANSWER_PREFIX,
    BASE_DIGEST_KEY,
    BASE_ORIGINAL_KEY,
    BASE_OUTPUT,
    EVIDENCE,
    GENERATOR_PREFIX,
    JOINT,
    PREFIX,
    ROLE_ANSWER,
    SEAL_KEY,
    has_answer,
    is_fused,
)
from nfkit.graph.fusion.metadata import Header, read_digest, read_header, read_input
from nfkit.graph.fusion.modes.taking import plain
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.memory.bits import BITS_KEY
from nfkit.graph.memory.sites import ROLE_KEY
from nfkit.graph.memory.storage import bodies
from nfkit.model import sha256
from nfkit.rim.failures import model_errors


def split(fused: ir.Model) -> tuple[ir.Model, ir.Model]:
    """Takes a fused model apart.

    Returns:
        (prefix, base): the prefix, from the model's input to the protected input of the same type, to the evidence,
        or to both, as far as the model uses them; and the base, equal to the model that was fused.

    Raises:
        ModelError: When the model is not fused, or its base is no longer what was fused.
    """
    if not is_fused(fused):
        raise ModelError("the model has no generator in front: nothing to split")
    refuse_faults(fused)
    fused = plain(fused)
    entry, digest = read_input(fused).name, read_digest(fused)
    with model_errors("the file cannot be taken apart", "it was changed after nfkit wrote it; take the original"):
        base, prefix = _without_prefix(fused.clone(), entry), _without_base(fused.clone(), entry)
    if sha256(base) != digest:
        raise ModelError("the base in this file differs from the one that was fused: the file was changed since")
    return prefix, base


def answer_stage(fused: ir.Model) -> ir.Model | None:
    """The answer stage of a fused model by itself, from base output and evidence; None where it has none.

    Where the fused model answers early, this is what it computes behind a base that ran.

    Raises:
        ModelError: When the model is not fused, or was changed since.
    """
    split(fused)
    if not has_answer(fused):
        return None
    model = plain(fused).clone()
    if condition(model) is not None:
        unwrap(model)
    graph = model.graph
    ours = [n for n in graph if n.metadata_props.get(ROLE_KEY) == ROLE_ANSWER]
    made = {value for node in ours for value in node.outputs}
    read = dict.fromkeys(v for n in ours for v in n.inputs if v is not None and v not in made and v.producer())
    stated = graph.outputs[0]
    constants = [v for name, v in graph.initializers.items() if name.startswith(ANSWER_PREFIX)]
    inputs = []
    for value in sorted(read, key=lambda v: v.name != BASE_OUTPUT):
        given = ir.Value(name=value.name, type=value.type, shape=value.shape)
        for node in ours:
            for index in (i for i, v in enumerate(node.inputs) if v is value):
                node.replace_input_with(index, given)
        inputs.append(given)
    graph.outputs.clear()
    graph.remove(ours)
    for value in constants:
        del graph.initializers[str(value.name)]
    alone = ir.Graph(
        inputs, [stated], nodes=ours, initializers=constants, opset_imports={"": model.opset_imports[""]}, name="answer"
    )
    RemoveUnusedNodesPass()(result := ir.Model(alone, ir_version=model.ir_version))
    result.metadata_props[ANSWER_KEY] = model.metadata_props[ANSWER_KEY]
    return result


def evidence_model(fused: ir.Model) -> ir.Model | None:
    """The part of a fused model that gives the generator's own class scores [N, classes]; None where it has none.

    Raises:
        ModelError: When the model is not fused, or was changed since.
    """
    return evidence_of(split(fused)[0])


def evidence_of(prefix: ir.Model) -> ir.Model | None:
    """Reduces the prefix of a fused model, as `split` gives it, to the generator's own class scores, in place.

    Returns:
        The same model; None where the generator has no scores of its own.
    """
    graph = prefix.graph
    scores = next((v for n in graph for v in n.outputs if v.name == GENERATOR_PREFIX + EVIDENCE), None)
    if scores is None:
        return None
    graph.outputs.clear()
    graph.outputs.append(scores)
    RemoveUnusedNodesPass()(prefix)
    return prefix


def _without_prefix(model: ir.Model, entry: str) -> ir.Model:
    """Takes the prefix, and whatever else fusing added, out of a fused model whose input is named `entry`."""
    graph = model.graph
    image = next(v for v in graph.inputs if v.name == entry)
    joint = _joint(graph, needed=not has_answer(model))
    if joint is not None:
        joint.replace_all_uses_with(image)
    if has_answer(model):
        take_off_answer(model)
    ours = [n for n in graph if n.metadata_props.get(ROLE_KEY) == "generator"]
    graph.remove(ours, safe=True)
    for name in [n for n in graph.initializers if n.startswith(PREFIX)]:
        del graph.initializers[name]
    header = read_header(model)
    for key in [k for k in model.metadata_props if k.startswith("nfkit.") and k != BITS_KEY]:
        del model.metadata_props[key]
    _restore_header(model, header)
    return model


def _without_base(model: ir.Model, entry: str) -> ir.Model:
    """Takes the base out of a fused model whose input is named `entry`, so that the prefix remains."""
    graph = model.graph
    joint = _joint(graph, needed=not has_answer(model))
    results = [] if joint is None else [joint]
    if has_answer(model):
        results += [v for n in graph for v in n.outputs if v.name == GENERATOR_PREFIX + EVIDENCE]
        take_off_answer(model)
    graph.outputs.clear()
    graph.outputs.extend(results)
    _discard(graph, [n for n in graph if n.metadata_props.get(ROLE_KEY) != "generator"])
    for name in [n for n in graph.initializers if not n.startswith(PREFIX) or n.startswith(ANSWER_PREFIX)]:
        del graph.initializers[name]
    model.functions.clear()
    for key in [k for k in model.metadata_props if not k.startswith("nfkit.")]:
        del model.metadata_props[key]
    for key in (BASE_DIGEST_KEY, ANSWER_KEY, BASE_ORIGINAL_KEY, BITS_KEY, SEAL_KEY):
        model.metadata_props.pop(key, None)
    for value in [v for v in graph.inputs if v.name != entry]:
        graph.inputs.remove(value)
    used = {n.domain for n in graph}
    for domain in [d for d in model.opset_imports if d not in used]:
        del model.opset_imports[domain]
    return model


def _discard(graph: ir.Graph, nodes: list[ir.Node]) -> None:
    """Removes nodes that read each other, also from inside their bodies, and that nothing else reads."""
    for node in nodes:
        inner = [within for _, body in bodies(node) for within in body.all_nodes()]
        for each in (node, *inner):
            for index in range(len(each.inputs)):
                each.replace_input_with(index, None)
    graph.remove(nodes)


def take_off_answer(model: ir.Model) -> None:
    """Gives the base its first output back, and removes the answer stage."""
    graph = model.graph
    if condition(model) is not None:
        unwrap(model)
    scores = next((v for n in graph for v in n.outputs if v.name == BASE_OUTPUT), None)
    if scores is None:
        raise ModelError(f"the model says it has an answer stage, but no value '{BASE_OUTPUT}': it was changed since")
    stated = graph.outputs[0]
    scores.name, stated.name = stated.name, BASE_OUTPUT
    graph.outputs[0] = scores
    graph.remove([n for n in reversed(list(graph)) if n.metadata_props.get(ROLE_KEY) == ROLE_ANSWER], safe=True)


def _joint(graph: ir.Graph, *, needed: bool) -> ir.Value | None:
    joint = next((n.outputs[0] for n in graph if n.outputs[0].name == JOINT), None)
    if joint is None and needed:
        raise ModelError(f"the model says it is fused, but has no value '{JOINT}': it was changed after fusing")
    return joint


def _restore_header(model: ir.Model, header: Header) -> None:
    model.ir_version = header.ir_version
    for domain in [d for d in model.opset_imports if d not in header.opset_imports]:
        del model.opset_imports[domain]
