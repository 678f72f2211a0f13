"""How many numbers a model has learned."""

from __future__ import annotations

import onnx_ir as ir

from nfkit.energy.layers import Part
from nfkit.graph.memory.coverage import weights_in
from nfkit.graph.memory.ranks import CODES
from nfkit.graph.memory.readings import Reading
from nfkit.graph.memory.sites import ADDED_ROLES, ROLE_KEY
from nfkit.graph.memory.survey import Survey
from nfkit.graph.operators.operands import facts_of

_LEARNED = ("weight", "bias", "constant")


def count_parameters(model: ir.Model, part: Part | None = None, *, survey: Survey | None = None) -> int:
    """Elements of all weights, biases and constants of normalisations, of rank 1 or more.

    Each counts once, wherever it is stored: as an initializer, in a Constant node, in a function or in a body. Codes
    count as the numbers they stand for, several a byte where they are packed; scales, zero points, running statistics
    and shapes do not count, nor does what no output depends on.

    Args:
        model: The model; not changed.
        part: Count only what the base, or the generator, of a fused file reads.
        survey: What the model stores, where that is known already.
    """
    survey = survey or Survey(model)
    return sum(
        weights_in(entry.tensor.size, survey.readings(name))
        for name, entry in survey.stored.items()
        if len(entry.shape) > 0
        and part in (None, _part(entry.value))
        and (entry.dtype in CODES or entry.dtype.is_floating_point())
        and any(_is_learned(reading) for reading in survey.readings(name))
    )


def _is_learned(reading: Reading) -> bool:
    """Whether a reading is of numbers that training found, rather than of scales or running statistics."""
    measured = all(end.index in facts_of(end.node).statistics for end in reading.ends)
    return reading.role in _LEARNED and not measured


def _part(value: ir.Value) -> Part:
    readers = [node for node, _ in value.uses()]
    generated = bool(readers) and all(node.metadata_props.get(ROLE_KEY) in ADDED_ROLES for node in readers)
    return "generator" if generated else "base"
