"""Modes in one file: one number chooses, at run time, between the base alone and levels of low voltage.

    nfkit/mode = 0: nominal   image ──────────────> base ──────────────────────> the base's own output
    nfkit/mode = 1, 2, ...    image ─> generator ─> base ─> answer stage with the trust of that level

The number is an initializer that is an input as well: it has a default, which a file states, and a host may give
another with every run. In mode 0 neither the generator nor the answer stage decides anything: they stand in branches of
an If, the generator does not run, and what comes out are the base's scores themselves, not a computation that should
give the same. Levels differ in the numbers of the answer, which are read from one table each.

`with_modes` and `plain` are inverse to each other; everything else in nfkit looks at a file through `plain`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import CheckerPass

from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.build import Builder
from nfkit.graph.fusion.early import condition, unwrap
from nfkit.graph.fusion.fused import (
    ANSWER_KEY,
    ANSWER_PREFIX,
    BASE_OUTPUT,
    EVIDENCE,
    GENERATOR_PREFIX,
    JOINT,
    MODE,
    MODE_PREFIX,
    MODES_KEY,
    ROLE_ANSWER,
    THRESHOLD,
    has_modes,
    is_fused,
)
from nfkit.graph.fusion.metadata import read_answer, read_input
from nfkit.graph.fusion.seal import seal
from nfkit.graph.fusion.trust import Trust
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.memory.sites import ROLE_KEY
from nfkit.graph.memory.storage import bodies
from nfkit.rim.external import with_data
from nfkit.rim.failures import model_errors

NOMINAL = "nominal"
"""Name of the first mode, in which the base answers alone."""
_INNER = "_computed"  # what a branch gives has a name of its own; the If bears the old one
_STATED = ANSWER_PREFIX + "stated"
_CHANGED = "it was changed after nfkit wrote it; take the original"


@dataclass(frozen=True)
class Mode:
    """One mode of a file.

    Attributes:
        name: What it is called.
        ber: Bit error rate that it is meant for; 0 for the nominal mode.
        trust: How far base and evidence are trusted; None where the base answers.
        threshold: Of early answers; None where the file has none, or in the nominal mode.
        facts: What was measured of it, for its record: voltage, accuracy, energy.
    """

    name: str
    ber: float
    trust: Trust | None = None
    threshold: float | None = None
    facts: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The mode for a record."""
        trust = None if self.trust is None else self.trust.to_dict()
        stated = {"name": self.name, "ber": self.ber, "trust": trust, "threshold": self.threshold}
        return {key: value for key, value in stated.items() if value is not None} | (self.facts or {})


class _Stated(msgspec.Struct):
    name: str
    ber: float
    trust: dict[str, float] | None = None
    threshold: float | None = None


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
    chosen = build.constant("chosen", _index(modes, default or modes[1].name), np.int64)
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
    _record(model, modes)
    with model_errors("the model with modes is invalid", "please report this model"):
        CheckerPass(full_check=False)(model.clone())
    seal(model)
    return model


def read_modes(model: ir.Model) -> list[Mode]:
    """The modes of a file, the nominal one first; none for a file without.

    Raises:
        ModelError: When their record is damaged, or is not that of the graph.
    """
    if not has_modes(model):
        return []
    text = model.metadata_props.get(MODES_KEY, "")
    try:
        stated = msgspec.json.decode(text, type=list[_Stated])
        known = json.loads(text)
        names = set(_Stated.__struct_fields__)
        modes = [
            Mode(
                entry.name, entry.ber, None if entry.trust is None else Trust(**entry.trust), entry.threshold,
                {key: value for key, value in raw.items() if key not in names},
            )
            for entry, raw in zip(stated, known, strict=True)
        ]  # fmt: skip
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError, OptionError) as error:
        raise ModelError(f"metadata '{MODES_KEY}' is damaged ({error}): {_CHANGED}") from error
    _compare(model, modes)
    return modes


def mode_of(model: ir.Model) -> Mode:
    """The mode that a file is in where a host names none.

    Raises:
        ModelError: When the file has no modes, or their record is damaged.
    """
    modes = read_modes(model)
    if not modes:
        raise ModelError("the file has no modes: nfkit modes gives it some")
    return modes[_chosen(model)]


def set_mode(model: ir.Model, name: str) -> ir.Model:
    """A copy of a file that is in another mode where a host names none.

    Raises:
        ModelError: When the file has no modes.
        OptionError: When it has none of that name.
    """
    modes = read_modes(model)
    if not modes:
        raise ModelError("the file has no modes: nfkit modes gives it some")
    changed = model.clone()
    value = changed.graph.initializers[MODE]
    value.const_value = ir.tensor(np.array(_index(modes, name), np.int64), name=MODE)
    seal(changed)
    return changed


def plain(model: ir.Model) -> ir.Model:
    """The protected model that a file with modes was made of, with the numbers of its mode; others as they are.

    In the nominal mode they are those of the first level: a file without modes cannot leave its generator out.

    Raises:
        ModelError: When the file was changed, so that its modes cannot be taken out.
    """
    if not has_modes(model):
        return model
    with model_errors("its modes cannot be taken out", _CHANGED):
        restored = with_data(model).clone()
        _restore(restored)
    return restored


def run_always(model: ir.Model) -> ir.Model:
    """A model without modes and early answers, in which all stands in the main graph; the model itself if it has none.

    What the base's memories and layers are can be read off it as off any fused model. It computes the same.
    """
    model = plain(model)
    if condition(model) is None:
        return model
    straight = model.clone()
    unwrap(straight)
    return straight


def _check(modes: Sequence[Mode], answer: Answer | None) -> None:
    names = [mode.name for mode in modes]
    if len(modes) < 2:
        raise OptionError("a file with modes needs one level of low voltage at least")
    if len(set(names)) < len(names):
        raise OptionError(f"two modes have one name ({', '.join(names)}): give each its own")
    for mode in modes[1:]:
        if (mode.trust is None) != (answer is None):
            raise OptionError(f"mode '{mode.name}': trust is given where both ends answer, and only there")


def _index(modes: Sequence[Mode], name: str) -> int:
    names = [mode.name for mode in modes]
    if name not in names:
        raise OptionError(f"there is no mode '{name}': choose from {', '.join(names)}")
    return names.index(name)


def _chosen(model: ir.Model) -> int:
    value = model.graph.initializers[MODE].const_value
    assert value is not None, "has_modes looked"
    return int(value.numpy())


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


def _record(model: ir.Model, modes: Sequence[Mode]) -> None:
    model.metadata_props[MODES_KEY] = json.dumps([mode.to_dict() for mode in modes], sort_keys=True)


def _restore(model: ir.Model) -> None:
    """Takes the modes out, in place."""
    graph, mode = model.graph, read_modes(model)[max(1, _chosen(model))]
    ours = [n for n in graph if any(str(v.name).startswith(MODE_PREFIX) for v in n.outputs)]
    _open_answer(graph)
    gate = condition(graph)
    if gate is not None:
        spared = gate.inputs[0]
        maker = None if spared is None else spared.producer()
        if maker is None or maker not in ours:
            raise ModelError("the If around the base does not depend on the mode")
        gate.replace_input_with(0, maker.inputs[0])
    _open_generator(graph)
    for node in [n for n in ours if n.op_type == "Gather"]:
        name = str(node.outputs[0].name).removeprefix(MODE_PREFIX)
        assert mode.trust is not None, "read_modes compared it with the table"
        number = {**mode.trust.to_dict(), THRESHOLD: mode.threshold}[name]
        tensor = ir.tensor(np.array(number, np.float32), name=ANSWER_PREFIX + name)
        scalar = ir.Value(name=tensor.name, shape=ir.Shape([]), type=ir.TensorType(tensor.dtype), const_value=tensor)
        graph.register_initializer(scalar)
        node.outputs[0].replace_all_uses_with(scalar)
    graph.remove(ours[::-1], safe=True)
    chosen = graph.initializers[MODE]
    graph.inputs.remove(chosen)
    for name in [n for n in graph.initializers if n == MODE or n.startswith(MODE_PREFIX)]:
        del graph.initializers[name]
    del model.metadata_props[MODES_KEY]
    if mode.trust is not None:
        answer = read_answer(model)
        assert answer is not None, "a level with trust is one of an answer"
        stated = replace(answer, trust=mode.trust, threshold=mode.threshold)
        model.metadata_props[ANSWER_KEY] = json.dumps(stated.to_dict(), sort_keys=True)
    seal(model)


def _open_answer(graph: ir.Graph) -> None:
    node = graph.outputs[0].producer()
    if node is None or node.op_type != "If" or node.name != f"{MODE_PREFIX}answer":
        return
    stated = dict(bodies(node))["else_branch"].outputs[0].producer()
    source = None if stated is None else stated.inputs[0]
    if source is None:
        raise ModelError("its answer is not where it was")
    name = graph.outputs[0].name
    graph.outputs[0] = source
    node.outputs[0].name, source.name = f"{name}_gone", name
    graph.remove(node, safe=True)


def _open_generator(graph: ir.Graph) -> None:
    node = next(n for n in graph if n.op_type == "If" and n.name == f"{MODE_PREFIX}generator")
    branch = dict(bodies(node))["else_branch"]
    given, nodes = list(branch.outputs), list(branch)
    branch.outputs.clear()
    branch.remove(nodes)
    for value in list(branch.initializers.values()):
        del branch.initializers[str(value.name)]
        graph.register_initializer(value)
    graph.insert_before(node, nodes)
    for value, result in zip(given, node.outputs, strict=True):
        name = str(result.name)
        result.replace_all_uses_with(value)
        result.name, value.name = f"{name}_gone", name
    graph.remove(node, safe=True)


def _compare(model: ir.Model, modes: list[Mode]) -> None:
    """Refuses a record of modes that is not that of the graph."""
    problem = None
    tables = {n: v for n, v in model.graph.initializers.items() if n.startswith(f"{MODE_PREFIX}table/")}
    if len(modes) < 2 or not 0 <= _chosen(model) < len(modes):
        problem = f"the graph is in mode {_chosen(model)}"
    for name, value in tables.items():
        held = None if value.const_value is None else value.const_value.numpy()
        number = name.rpartition("/")[2]
        for place, mode in enumerate(modes[1:], 1):
            stated = {**(mode.trust.to_dict() if mode.trust else {}), THRESHOLD: mode.threshold}.get(number)
            if held is None or held.shape != (len(modes),):
                problem = f"the table of '{number}' is not one of {len(modes)} modes"
            elif stated is None or not np.isclose(held[place], stated, rtol=1e-6, atol=0):
                problem = f"{number} of mode '{mode.name}' is another in the graph"
    if problem:
        raise ModelError(f"metadata '{MODES_KEY}' is damaged ({problem}): {_CHANGED}")
