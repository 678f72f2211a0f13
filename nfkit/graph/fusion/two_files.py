"""Early answers in two files, for runtimes without control flow: a front that always runs, and a back where needed.

    front: image -> the evidence's answer, who is sure [N], the evidence [N, C]
    back:  image, evidence -> the answer of base and evidence, in the base's own form

Where an image is sure the front's answer stands; else the back's does. Both files say so in their metadata
(`nfkit.early`), and together they answer as the one file with an If does.
"""

from __future__ import annotations

import json

import onnx_ir as ir

from nfkit.errors import ModelError
from nfkit.graph.fusion.answer import AnswerStage
from nfkit.graph.fusion.fuse import add_answer
from nfkit.graph.fusion.fused import ANSWER_KEY, EVIDENCE, GENERATOR_PREFIX, JOINT
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.seal import seal
from nfkit.graph.fusion.split import split

SURE = "nfkit/sure"
"""Name of the front's output that says whose answer stands, bool [N]."""
EARLY_KEY = "nfkit.early"
"""Metadata of the two files: the rule by which they work together (JSON)."""
_EVIDENCE = GENERATOR_PREFIX + EVIDENCE


def front_and_back(fused: ir.Model) -> tuple[ir.Model, ir.Model]:
    """Takes a fused model with early answers apart into two models that run without control flow.

    Args:
        fused: The model; not changed.

    Returns:
        (front, back). The front's outputs are the answer, `SURE`, the evidence and, where the generator changes the
        image, the image that the back wants; the back's inputs are the image and the evidence.

    Raises:
        ModelError: When the model has no early answers, or was changed after fusing.
    """
    answer = read_answer(fused)
    if answer is None or answer.threshold is None:
        raise ModelError("the model has no early answers: protect it with --early to have a front and a back")
    front, back = split(fused)
    output = back.graph.outputs[0]
    opset = back.opset_imports[""]

    graph = front.graph
    evidence = next(v for v in graph.outputs if v.name == _EVIDENCE)
    changed = [v for v in graph.outputs if v.name == JOINT]
    stage = AnswerStage(graph, opset, answer)
    shares = stage.shares(evidence)
    rows = stage.builder.constant("all", [-1], "int64")
    sure = stage.builder.node("Reshape", stage.sure(shares), rows)
    early = stage.early(shares)
    graph.extend(stage.nodes)
    early.name, early.type, early.shape = output.name, output.type, output.shape
    sure.name, sure.type = SURE, ir.TensorType(ir.DataType.BOOL)
    batch = output.shape[0] if output.shape is not None else None
    sure.shape = ir.Shape([batch])
    evidence.type, evidence.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([batch, answer.form.classes])
    graph.outputs.clear()
    graph.outputs.extend([early, sure, evidence, *changed])

    given = ir.Value(name=_EVIDENCE, type=evidence.type, shape=evidence.shape)
    own = list(back.graph)
    back.graph.inputs.append(given)
    add_answer(back.graph, opset, own, given, answer.always())
    rule = {
        "rule": f"where '{SURE}' is true the front's answer stands; for the other images feed the back "
        f"'{JOINT if changed else 'the image'}' and '{_EVIDENCE}', and take its answer",
        "threshold": answer.threshold,
    }
    for model, part, said in ((front, "front", answer), (back, "back", answer.always())):
        model.metadata_props[EARLY_KEY] = json.dumps({"part": part, **rule}, sort_keys=True)
        model.metadata_props[ANSWER_KEY] = json.dumps(said.to_dict(), sort_keys=True)
        seal(model)
    return front, back
