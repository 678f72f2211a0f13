"""The front alone: what ships where the base is no file, but a device or a service.

    image ──> [F(x)] ──────────────> nfkit/protected: what the base is asked, where the front changes the image
          └─> evidence ────────────> nfkit/generator/evidence, and nfkit/sure: whose evidence answers alone
    nfkit/base_scores, evidence ───> nfkit/answered: the answer of both

One file with two inputs. The second, the base's scores, has zeros as its default, so that the first outputs can be had
before the base is asked. Inputs are the base's own; scores are float32 [N, classes], of the kind that the base gives:
where that is integer codes, their numbers, which the front knows the scale of. It answers in floats.
`nfkit.access.guarded` runs it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import CheckerPass, RemoveUnusedNodesPass

from nfkit.errors import ModelError
from nfkit.graph.fusion.answer import Answer, AnswerStage
from nfkit.graph.fusion.fuse import adopt
from nfkit.graph.fusion.fused import ANSWER_KEY, EVIDENCE, GENERATOR_PREFIX, INPUT_KEY, JOINT, PREFIX
from nfkit.graph.fusion.interface import write
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.seal import seal
from nfkit.graph.fusion.split import split
from nfkit.graph.fusion.two_files import SURE
from nfkit.graph.input.affine import input_to_levels, levels_to_input
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import ROLE_KEY

SCORES = PREFIX + "base_scores"
"""The front's second input: what the base gave, float32 [N, classes]."""
ANSWERED = PREFIX + "answered"
"""The front's last output: the answer of base and evidence."""
SEEN = GENERATOR_PREFIX + EVIDENCE
"""The front's own class scores, [N, classes]."""


def build_front(
    generator: ir.Model,
    spec: InputSpec,
    metadata: Mapping[str, str],
    answer: Answer | None = None,
    *,
    transform: bool = True,
) -> ir.Model:
    """Makes a front of a generator, for a base that is no file.

    Args:
        generator: As `nfkit.graph.fusion.fuse.fuse` takes it; not changed.
        spec: The base's input.
        metadata: `nfkit.*` entries to record.
        answer: How evidence and the base's scores, float32 [N, classes], answer together; without it the base answers.
        transform: Whether the base is asked F(x) rather than x.

    Raises:
        ModelError: When nothing would be left of the generator, or the result is no valid model.
    """
    opset = generator.opset_imports[""]
    image = ir.Value(
        name=spec.name,
        shape=ir.Shape([spec.batch, *spec.shape]),
        type=ir.TensorType(ir.DataType.from_numpy(np.dtype(spec.dtype))),
    )
    graph, nodes = ir.Graph([image], [], nodes=[], opset_imports={"": opset}, name="front"), list[ir.Node]()
    looks_only = generator.graph.outputs[0].name == EVIDENCE
    result = adopt(generator.clone(), write(input_to_levels(spec), image, nodes, graph), nodes, graph)
    if not looks_only:
        result = write(levels_to_input(spec), result, nodes, graph)
        result.name, result.type, result.shape = JOINT, image.type, image.shape
    graph.extend(nodes)
    for node in nodes:
        node.metadata_props[ROLE_KEY] = "generator"
    return _close(graph, None if looks_only else result, spec, metadata, answer, transform=transform)


def front_of(fused: ir.Model, spec: InputSpec, answer: Answer | None = None, *, transform: bool = True) -> ir.Model:
    """The front of a fused model, for its base, or one of the same input, where that is no file.

    Args:
        fused: The fused model; not changed.
        spec: The input of the base that the front is for.
        answer: How evidence and that base's scores answer together; as in the fused model by default.
        transform: Whether the base is asked F(x) rather than x.

    Raises:
        ModelError: When the model is not fused, or was changed since, or nothing would be left of the generator.
    """
    answer, (prefix, _) = answer or read_answer(fused), split(fused)
    graph = prefix.graph
    image = graph.inputs[0]
    image.name, image.shape = spec.name, ir.Shape([spec.batch, *spec.shape])
    protected = next((v for v in graph.outputs if v.name == JOINT), None)
    graph.outputs.clear()
    metadata = {key: value for key, value in prefix.metadata_props.items() if key.startswith("nfkit.")}
    return _close(graph.clone(), protected, spec, metadata, answer, transform=transform)


def _close(
    graph: ir.Graph,
    protected: ir.Value | None,
    spec: InputSpec,
    metadata: Mapping[str, str],
    answer: Answer | None,
    *,
    transform: bool,
) -> ir.Model:
    """Adds outputs and answer stage to a graph that holds a prefix."""
    opset = graph.opset_imports[""]
    made = {value.name: value for node in graph for value in node.outputs}
    protected, evidence = made.get(JOINT) if protected is not None and transform else None, made.get(SEEN)
    if protected is None and (evidence is None or answer is None):
        raise ModelError("nothing is left of the generator: it neither changes the image nor joins the answer")
    outputs = [] if protected is None else [protected]
    if answer is not None:
        answer = _as_floats(answer)
        if evidence is None:
            raise ModelError("the generator has no evidence of its own and no part in the answer: use --answer base")
        evidence.type = ir.TensorType(ir.DataType.FLOAT)
        evidence.shape = ir.Shape([spec.batch, answer.form.classes])
        outputs += [evidence, *_answer(graph, opset, spec, evidence, answer)]
    graph.outputs.extend(outputs)
    needed = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    front = ir.Model(graph, ir_version=needed)
    front.metadata_props.update(metadata)
    front.metadata_props[INPUT_KEY] = json.dumps(spec.to_dict(), sort_keys=True)
    if answer is not None:
        front.metadata_props[ANSWER_KEY] = json.dumps(answer.to_dict(), sort_keys=True)
    RemoveUnusedNodesPass()(front)
    try:
        CheckerPass(full_check=False)(front.clone())
    except Exception as error:
        raise ModelError(f"the front is invalid ({error}): please report this generator") from error
    seal(front)
    return front


def _as_floats(answer: Answer) -> Answer:
    """The answer for scores that come as float32 [N, classes], as those of bases that are no files do."""
    return replace(answer, form=replace(answer.form, dtype="float32", shape=(answer.form.classes,)))


def _answer(graph: ir.Graph, opset: int, spec: InputSpec, evidence: ir.Value, answer: Answer) -> list[ir.Value]:
    """Writes the answer stage; its outputs."""
    classes = answer.form.classes
    default = ir.tensor(np.zeros((1, classes), np.float32), name=SCORES)
    # Not the image's batch: the default has one row, which stands for all.
    rows = ir.Shape(["scored", classes])
    scores = ir.Value(name=SCORES, shape=rows, type=ir.TensorType(ir.DataType.FLOAT), const_value=default)
    graph.register_initializer(scores)
    graph.inputs.append(scores)
    stage = AnswerStage(graph, opset, answer)
    shares, sure, outputs = stage.shares(evidence), None, []
    if answer.threshold is not None:
        sure = stage.sure(shares)
        flat = stage.builder.node("Reshape", sure, stage.builder.constant("all", [-1], np.int64))
        flat.name, flat.type, flat.shape = SURE, ir.TensorType(ir.DataType.BOOL), ir.Shape([spec.batch])
        outputs.append(flat)
    stated = stage.output(scores, shares, sure)
    stated.name, stated.type = ANSWERED, ir.TensorType(ir.DataType.FLOAT)
    stated.shape = ir.Shape(["answered", classes])
    graph.extend(stage.nodes)
    return [*outputs, stated]
