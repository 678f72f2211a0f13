"""Giving a protected file modes: generator and answer go into branches, the numbers of the answer into tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import CheckerPass

from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.build import Builder
from nfkit.graph.fusion.early import condition
from nfkit.graph.fusion.fused import (
    ANSWER_PREFIX,
    BASE_OUTPUT,
    EVIDENCE,
    GENERATOR_PREFIX,
    JOINT,
    MODE,
    MODE_PREFIX,
    ROLE_ANSWER,
    THRESHOLD,
    has_modes,
    is_fused,
)
from nfkit.graph.fusion.metadata import read_answer, read_input
from nfkit.graph.fusion.modes.record import NOMINAL, Mode, index_of, write_record
from nfkit.graph.fusion.seal import seal
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.memory.sites import ROLE_KEY
from nfkit.graph.memory.storage import bodies
from nfkit.rim.external import with_data
from nfkit.rim.failures import model_errors

_INNER = "_computed"  # what a branch gives has a name of its own; the If bears the old one
_STATED = ANSWER_PREFIX + "stated"


def with_modes(
    fused: ir.Model, levels: Sequence[Mode], default: str | None = None, *, nominal: dict[str, Any] | None = None
) -> ir.Model:
    """A copy of a protected model that has modes.

    Args:
        fused: A protected model without modes; it stays as it is.
        levels: The modes of low voltage, mode 1 first. Where both ends answer each has its trust.
        default: Name of the mode where a host names none; the first level by default.
        nominal: What was measured of the nominal mode.

    Returns:
        The copy, with `levels` behind the nominal mode.

    Raises:
        ModelError: When the model is not protected, or has modes.
        OptionError: When there are no levels, names repeat, or trust is missing.
    """
    if not is_fused(fused):
        raise ModelError("the model has no generator in front, so it has one mode: protect it first")
    if has_modes(fused):
        raise ModelError("the model has modes already: take them out first (nfkit modes --remove)")
    refuse_faults(fused)
    answer = read_answer(fused)
    if answer is not None:
        levels = [replace(mode, threshold=answer.threshold and (mode.threshold or answer.threshold)) for mode in levels]
    modes = [Mode(NOMINAL, 0.0, facts=nominal), *levels]
    _check(modes, answer)
    model = with_data(fused).clone()
    graph, opset = model.graph, model.opset_imports[""]
    entry = next(value for value in graph.inputs if value.name == read_input(fused).name)
    build = Builder(graph, opset, MODE_PREFIX)
    chosen = build.constant("chosen", index_of(modes, default or modes[1].name), np.int64)
    graph.initializers.pop(str(chosen.name))
    chosen.name = MODE
    graph.register_initializer(chosen)
    graph.inputs.append(chosen)
    alone = build.node("Equal", chosen, build.constant("nominal", 0, np.int64), output="is_nominal")
    _gate_generator(graph, build, alone, entry, answer)
    if answer is not None:
        _tabulate(graph, build, chosen, modes[1:], answer)
    _mark(build.nodes, "generator")
    graph.insert_before(graph[0], build.nodes)
    if answer is not None:
        _gate_answer(graph, opset, alone)
    write_record(model, modes)
    with model_errors("the model with modes is invalid", "please report this model"):
        CheckerPass(full_check=False)(model.clone())
    seal(model)
    return model


def _check(modes: Sequence[Mode], answer: Answer | None) -> None:
    names = [mode.name for mode in modes]
    if len(modes) < 2:
        raise OptionError("a file with modes needs one level of low voltage at least")
    if len(set(names)) < len(names):
        raise OptionError(f"two modes have one name ({', '.join(names)}): give each its own")
    for mode in modes[1:]:
        if (mode.trust is None) != (answer is None):
            raise OptionError(f"mode '{mode.name}': trust is given where both ends answer, and only there")


def _numbers(answer: Answer) -> list[str]:
    return [*answer.trust.to_dict(), *([THRESHOLD] if answer.threshold is not None else [])]


def _mark(nodes: Sequence[ir.Node], role: str) -> None:
    for node in nodes:
        node.metadata_props[ROLE_KEY] = role


def _gate_generator(graph: ir.Graph, build: Builder, nominal: ir.Value, entry: ir.Value, answer: Answer | None) -> None:
    """Moves the prefix into the else branch of an If, in place; the If goes to the builder's nodes."""
    nodes = [n for n in graph if n.metadata_props.get(ROLE_KEY) == "generator"]
    own = set(nodes)
    given = [v for n in nodes for v in n.outputs if v.name in (JOINT, GENERATOR_PREFIX + EVIDENCE)]
    given = [v for v in given if any(user not in own for user, _ in v.uses())]
    names = [str(value.name) for value in given]
    skip = Builder(ir.Graph([], [], nodes=[]), build.opset, f"{MODE_PREFIX}skipped/")
    instead = []
    for name in names:
        if name == JOINT:
            empty = skip.node("Identity", entry, output="image")
            empty.type, empty.shape = entry.type, entry.shape
        else:
            assert answer is not None, "only an answer reads evidence"
            zeros = np.zeros((1, answer.form.classes), np.float32)
            empty = skip.node("Identity", skip.constant("zeros", zeros), output="evidence")
            empty.type, empty.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([None, answer.form.classes])
        instead.append(empty)
    _mark(skip.nodes, "generator")
    graph.remove(nodes)
    taken = {v for n in nodes for inner in (n, *_within(n)) for v in inner.inputs if v is not None}
    stored = [v for v in graph.initializers.values() if v in taken and str(v.name) != MODE]
    for value in stored:
        del graph.initializers[str(value.name)]
    constants = list(skip.graph.initializers.values())
    skip.graph.initializers.clear()
    branches: dict[str, Any] = {
        "then_branch": ir.Graph([], instead, nodes=skip.nodes, initializers=constants, name=f"{MODE_PREFIX}skipped"),
        "else_branch": ir.Graph([], given, nodes=nodes, initializers=stored, name=f"{MODE_PREFIX}computed"),
    }
    node = ir.node("If", [nominal], branches, num_outputs=len(given), name=f"{MODE_PREFIX}generator")
    for value, name, result, empty in zip(given, names, node.outputs, instead, strict=True):
        for user, index in [use for use in value.uses() if use[0] not in own]:
            user.replace_input_with(index, result)
        value.name, result.name = name + _INNER, name
        result.type, result.shape = empty.type, empty.shape
    build.nodes.append(node)


def _within(node: ir.Node) -> list[ir.Node]:
    return [inner for _, body in bodies(node) for inner in body.all_nodes()]


def _tabulate(graph: ir.Graph, build: Builder, chosen: ir.Value, levels: Sequence[Mode], answer: Answer) -> None:
    """Reads the numbers of the answer from tables, in which the nominal mode has those of the first level."""
    for name in _numbers(answer):
        rows = []
        for mode in (levels[0], *levels):
            assert mode.trust is not None, "checked"
            rows.append(mode.threshold if name == THRESHOLD else mode.trust.to_dict()[name])
        scalar = graph.initializers[ANSWER_PREFIX + name]
        row = build.node("Gather", build.constant(f"table/{name}", np.array(rows, np.float32)), chosen, output=name)
        row.type, row.shape = scalar.type, ir.Shape([])
        scalar.replace_all_uses_with(row)
        del graph.initializers[str(scalar.name)]


def _gate_answer(graph: ir.Graph, opset: int, nominal: ir.Value) -> None:
    """Gives the base's own output in the nominal mode, and lets the base run in it, in place."""
    build, gate = Builder(graph, opset, f"{MODE_PREFIX}answer/"), condition(graph)
    if gate is not None:
        everyone = gate.inputs[0]
        assert everyone is not None, "an If has a condition"
        spared = build.node("And", everyone, build.node("Not", nominal), output="spared")
        gate.replace_input_with(0, spared)
        graph.insert_before(gate, build.nodes)
        _mark(build.nodes, ROLE_ANSWER)
        scores: ir.Value = gate.outputs[0]
    else:
        scores = next(v for n in graph for v in n.outputs if v.name == BASE_OUTPUT)
    stated = graph.outputs[0]
    ends = []
    for end_of, value in (("own", scores), ("both", stated)):
        branch = Builder(graph, opset, f"{MODE_PREFIX}answer/{end_of}/")
        end = branch.node("Identity", value, output="scores")
        end.type, end.shape = stated.type, stated.shape
        _mark(branch.nodes, ROLE_ANSWER)
        ends.append(ir.Graph([], [end], nodes=branch.nodes, name=f"{MODE_PREFIX}answer/{end_of}"))
    branches: dict[str, Any] = {"then_branch": ends[0], "else_branch": ends[1]}
    node = ir.node("If", [nominal], branches, name=f"{MODE_PREFIX}answer")
    result, name = node.outputs[0], stated.name
    result.type, result.shape = stated.type, stated.shape
    stated.name, result.name = _STATED, name
    graph.outputs[0] = result
    _mark([node], ROLE_ANSWER)
    graph.append(node)
