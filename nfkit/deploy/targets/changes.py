"""A model made into what a runtime takes: it computes the same, by the operators and shapes that the runtime has."""

from __future__ import annotations

import json

import onnx_ir as ir

from nfkit.deploy.targets.findings import findings, wanted_opset
from nfkit.deploy.targets.target import Target
from nfkit.errors import UnsupportedError
from nfkit.graph.fusion.build import spell_out_softmax
from nfkit.graph.fusion.early import condition
from nfkit.graph.fusion.fused import INPUT_KEY, SEAL_KEY, has_modes
from nfkit.graph.fusion.opset import at_opset
from nfkit.graph.fusion.padding import spell_out_padding
from nfkit.graph.fusion.two_files import front_and_back
from nfkit.graph.memory.storage import every_node
from nfkit.reports.shipping import Finding

TARGET_KEY = "nfkit.target"
"""Metadata of an exported file: what it was made for, and what was changed (JSON)."""


def adapt(
    model: ir.Model, target: Target, *, opset: int | None = None, two_files: bool = False
) -> tuple[dict[str, ir.Model], tuple[Finding, ...]]:
    """Makes of a model what a runtime takes.

    Args:
        model: The model; not changed.
        target: The runtime.
        opset: Version of the standard operators; by default the nearest that the runtime takes.
        two_files: Whether early answers shall be two files though the runtime takes If.

    Returns:
        The files, by what goes between name and suffix (one under "", or `front` and `back`), and what was changed.

    Raises:
        UnsupportedError: When the runtime does not take the model, naming the node and a way out.
    """
    found = findings(model, target, opset)
    for finding in found:
        if finding.refused:
            raise UnsupportedError(f"{target.name} does not take the model: {finding}")
    if has_modes(model) and not target.branches:
        raise UnsupportedError(
            f"{target.name} takes no branches, in which the modes of this file stand: choose one with nfkit tune "
            "--mode, and take them out with nfkit modes --remove"
        )
    branched = condition(model) is not None
    if not target.branches and not branched and any(node.op_type == "If" for node in every_node(model)):
        finding = next(f for f in found if f.kind == "branch")
        raise UnsupportedError(
            f"{target.name} takes no branches, and {finding.where} is none that nfkit put there: "
            "export the model without control flow"
        )
    parts = {"": model}
    if branched and (two_files or not target.branches):
        parts = dict(zip(("front", "back"), front_and_back(model), strict=True))
        if not any(finding.kind == "branch" for finding in found):
            what = Finding("branch", "the If around the base", "early answers", "written as two files, as asked for")
            found = (*found, what)
    return {name: _adapted(part, target, opset, found) for name, part in parts.items()}, found


def _adapted(part: ir.Model, target: Target, opset: int | None, found: tuple[Finding, ...]) -> ir.Model:
    made = part.clone()
    if "" in part.opset_imports:
        made = at_opset(made, wanted_opset(part, target, opset))
    if target.spelt_softmax:
        spell_out_softmax(made)
    if target.spelt_padding:
        spell_out_padding(made)
    if target.one_sample:
        _fix_batch(made)
    said = {"name": target.name, "changes": [str(finding) for finding in found]}
    # It is another file now; whoever wants proof has the one that it was made from.
    made.metadata_props.pop(SEAL_KEY, None)
    made.metadata_props[TARGET_KEY] = json.dumps(said, sort_keys=True)
    return made


def _fix_batch(model: ir.Model) -> None:
    """Fixes the first axis of inputs and outputs to 1, and forgets what was inferred for another."""
    if INPUT_KEY in model.metadata_props:
        stated = json.loads(model.metadata_props[INPUT_KEY])
        model.metadata_props[INPUT_KEY] = json.dumps({**stated, "batch": 1}, sort_keys=True)
    for value in (*model.graph.inputs, *model.graph.outputs):
        if value.shape is not None and len(value.shape) and not isinstance(value.shape[0], int):
            value.shape = ir.Shape([1, *value.shape[1:]])
    kept = {*model.graph.inputs, *model.graph.outputs}
    for node in every_node(model):
        for value in node.outputs:
            if value not in kept:
                value.shape = None
