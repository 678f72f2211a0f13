"""Taking modes out of a file again: the protected model that it was made of."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from nfkit.errors import ModelError
from nfkit.graph.fusion.early import condition, unwrap
from nfkit.graph.fusion.fused import ANSWER_KEY, ANSWER_PREFIX, MODE, MODE_PREFIX, MODES_KEY, THRESHOLD, has_modes
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.modes.record import CHANGED, chosen_index, read_modes
from nfkit.graph.fusion.seal import seal
from nfkit.graph.memory.storage import bodies
from nfkit.rim.external import with_data
from nfkit.rim.failures import model_errors


def plain(model: ir.Model) -> ir.Model:
    """The protected model that a file with modes was made of, with the numbers of its mode; others as they are.

    In the nominal mode they are those of the first level: a file without modes cannot leave its generator out.

    Raises:
        ModelError: When the file was changed, so that its modes cannot be taken out.
    """
    if not has_modes(model):
        return model
    with model_errors("its modes cannot be taken out", CHANGED):
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


def _restore(model: ir.Model) -> None:
    """Takes the modes out, in place."""
    graph, mode = model.graph, read_modes(model)[max(1, chosen_index(model))]
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
