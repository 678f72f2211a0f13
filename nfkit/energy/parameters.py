"""How many numbers a model has learned."""

from __future__ import annotations

import onnx_ir as ir

from nfkit.energy.layers import Part
from nfkit.graph.memory.sites import ROLE_KEY, find_sites

# Operand positions that hold no learned number, by operator: scales, and the running statistics of a normalisation.
_NOT_LEARNED = {
    "QuantizeLinear": {1},
    "DequantizeLinear": {1},
    "QLinearConv": {1, 4, 6},
    "QLinearMatMul": {1, 4, 6},
    "QGemm": {1, 4, 7},
    "MatMulNBits": {2, 3},
    "BatchNormalization": {3, 4},
}


def count_parameters(model: ir.Model, part: Part | None = None) -> int:
    """Elements of all weights, biases and constants of normalisations, of rank 1 or more.

    Codes count as the numbers they stand for; scales, zero points, running statistics and shapes do not count.

    Args:
        model: The model; not changed.
        part: Count only what the base, or the generator, of a fused file reads.
    """
    codes = {site.name for site in find_sites(model) if site.role != "zero_point"}
    return sum(
        value.const_value.size
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
        and len(value.const_value.shape) > 0
        and part in (None, _part(value))
        and (name in codes or (value.const_value.dtype.is_floating_point() and _is_learned(value)))
    )


def _is_learned(value: ir.Value) -> bool:
    return any(index not in _NOT_LEARNED.get(node.op_type, ()) for node, index in value.uses())


def _part(value: ir.Value) -> Part:
    readers = [node for node, _ in value.uses()]
    generated = bool(readers) and all(node.metadata_props.get(ROLE_KEY) == "generator" for node in readers)
    return "generator" if generated else "base"
