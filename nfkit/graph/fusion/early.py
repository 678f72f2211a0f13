"""Early answers: the base in the else branch of an If, so that it runs only where the evidence is not sure.

    evidence ──> sure? ──┬── all of the batch: nothing runs
                         └── else: the base, as it was ──> its output ──> answer stage

One condition stands for a whole batch. Where one image needs the base, the base runs for all; those that were sure get
the evidence's answer all the same, so that no answer depends on what else is in the batch. The base's initializers go
into the branch with its nodes, since ONNX Runtime makes integer kernels of constants of the same graph only; its
memories keep their names (see `nfkit.graph.memory.storage`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from nfkit.errors import ModelError, UnsupportedError
from nfkit.graph.fusion.answer import AnswerStage
from nfkit.graph.fusion.build import Builder
from nfkit.graph.fusion.fused import BASE_IF_NEEDED, PREFIX, ROLE_ANSWER
from nfkit.graph.memory.sites import ROLE_KEY
from nfkit.graph.memory.storage import bodies


def run_if_needed(
    base: list[ir.Node],
    scores: ir.Value,
    further: list[ir.Value],
    stage: AnswerStage,
    shares: ir.Value,
    sure: ir.Value,
) -> ir.Value:
    """Moves the nodes of a base into the else branch of an If, in place.

    Args:
        base: The nodes of the base, in order.
        scores: The base's first output.
        further: Its other outputs.
        stage: Where what is added is written to, the If last.
        shares: Log shares of the evidence, [N, C].
        sure: Whose evidence is sure, [N, 1].

    Returns:
        What the If gives: the base's output where it ran.

    Raises:
        UnsupportedError: When the base has other outputs, which would be missing, or initializers that callers may
            override, which a branch cannot hold.
    """
    build, graph = stage.builder, stage.builder.graph
    own = [value for name, value in graph.initializers.items() if not name.startswith(PREFIX)]
    check_branch(further, own)
    skipped, form = Builder(graph, build.opset, f"{build.prefix}skipped/"), stage.answer.form
    # Something of the right type and shape, which nobody looks at.
    empty = skipped.node("Reshape", shares, skipped.constant("output_shape", [-1, *form.shape], np.int64))
    empty = skipped.node("Cast", empty, to=int(ir.DataType.from_numpy(np.dtype(form.dtype))))
    empty.type, empty.shape = scores.type, scores.shape
    graph.remove(base)
    for value in own:
        del graph.initializers[str(value.name)]
    branches: dict[str, Any] = {
        "then_branch": ir.Graph([], [empty], nodes=_marked(skipped.nodes), name=f"{build.prefix}skipped"),
        "else_branch": ir.Graph([], [scores], nodes=base, initializers=own, name=f"{build.prefix}needed"),
    }
    number = build.node("Cast", sure, to=int(ir.DataType.FLOAT))
    lowest = build.node("ReduceMin", number, keepdims=0)
    everyone = build.node("Cast", lowest, to=int(ir.DataType.BOOL))
    result = build.node("If", everyone, **branches)
    node = result.producer()
    assert node is not None
    node.name = BASE_IF_NEEDED
    result.type, result.shape = scores.type, scores.shape
    return result


def check_branch(further: list[ir.Value], initializers: list[ir.Value]) -> None:
    """Refuses a base that cannot stand in a branch.

    Args:
        further: Its outputs but the first.
        initializers: Its initializers.

    Raises:
        UnsupportedError: As `run_if_needed`.
    """
    if further:
        names = ", ".join(str(value.name) for value in further)
        raise UnsupportedError(
            f"the base has further outputs ({names}), which an early answer would leave out: protect it without --early"
        )
    if overridable := [str(value.name) for value in initializers if value.is_graph_input()]:
        raise UnsupportedError(
            f"initializer '{overridable[0]}' is listed as an input of the model, so that callers may override it, and "
            "cannot go into a branch: take it off the inputs, or protect the model without --early"
        )


def _marked(nodes: list[ir.Node]) -> list[ir.Node]:
    for node in nodes:
        node.metadata_props[ROLE_KEY] = ROLE_ANSWER
    return nodes


def condition(model: ir.Model | ir.Graph) -> ir.Node | None:
    """The If around the base; None where it always runs."""
    graph = model.graph if isinstance(model, ir.Model) else model
    return next((node for node in graph if is_condition(node)), None)


def is_condition(node: ir.Node) -> bool:
    """Whether a node is the If around a base."""
    if node.op_type != "If" or node.metadata_props.get(ROLE_KEY) != ROLE_ANSWER:
        return False
    return any(ROLE_KEY not in inner.metadata_props for _, body in bodies(node) for inner in body)


def unwrap(model: ir.Model) -> None:
    """Moves the base from the If around it back into the main graph, in place.

    Raises:
        ModelError: When the model has no such If.
    """
    node = condition(model)
    if node is None:
        raise ModelError("the model has no early answers: its base always runs")
    branches, graph = dict(bodies(node)), model.graph
    branch, skipped = branches["else_branch"], branches["then_branch"]
    base, scores = list(branch), branch.outputs[0]
    for each in (branch, skipped):
        each.outputs.clear()
    skipped.remove(list(skipped), safe=True)
    branch.remove(base)
    for value in list(branch.initializers.values()):
        del branch.initializers[str(value.name)]
        graph.register_initializer(value)
    graph.insert_before(node, base)
    node.outputs[0].replace_all_uses_with(scores, replace_graph_outputs=True)
    graph.remove(node, safe=True)
