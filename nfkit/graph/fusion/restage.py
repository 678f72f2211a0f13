"""Another answer stage in a finished file: with early answers or without, and with other numbers."""

from __future__ import annotations

import json

import onnx_ir as ir

from nfkit.errors import ModelError
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.dial import OUTDATED, answer_of, with_trust
from nfkit.graph.fusion.fuse import add_answer
from nfkit.graph.fusion.fused import ANSWER_KEY, ANSWER_PREFIX, EVIDENCE, GENERATOR_PREFIX
from nfkit.graph.fusion.seal import seal
from nfkit.graph.fusion.split import split, take_off_answer
from nfkit.graph.memory.sites import ROLE_KEY


def with_answer(fused: ir.Model, answer: Answer) -> ir.Model:
    """A copy of a fused model that answers otherwise.

    Args:
        fused: A model with an answer stage; it stays as it is.
        answer: Trust and threshold; without a threshold the base always runs. The form of the output stays.

    Returns:
        The copy. What the model recorded of its own results is left behind.

    Raises:
        ModelError: When the base of the file answers by itself, or was changed since.
        UnsupportedError: When early answers are wanted of a base that cannot stand in a branch.
    """
    known = answer_of(fused)
    if (known.threshold is None) == (answer.threshold is None):
        return with_trust(fused, answer.trust, answer.threshold)
    changed = fused.clone()
    take_off_answer(changed)
    graph = changed.graph
    for name in [name for name in graph.initializers if name.startswith(ANSWER_PREFIX)]:
        del graph.initializers[name]
    evidence = next(v for n in graph for v in n.outputs if v.name == GENERATOR_PREFIX + EVIDENCE)
    own = [node for node in graph if node.metadata_props.get(ROLE_KEY) != "generator"]
    stated = Answer(known.form, answer.trust, answer.threshold)
    add_answer(graph, changed.opset_imports[""], own, evidence, stated)
    changed.metadata_props[ANSWER_KEY] = json.dumps(stated.to_dict(), sort_keys=True)
    for key in OUTDATED:
        changed.metadata_props.pop(key, None)
    try:
        split(changed)
    except ModelError as error:
        raise ModelError(f"the answer stage of this file cannot be made anew: {error}") from error
    seal(changed)
    return changed
