"""Which of several stored tensors that meet in one operator is the weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.graph.memory.paths import Calls, Paths
from nfkit.graph.memory.storage import constant
from nfkit.graph.operators.operands import facts_of

CODES = (
    ir.DataType.INT2,
    ir.DataType.UINT2,
    ir.DataType.INT4,
    ir.DataType.UINT4,
    ir.DataType.INT8,
    ir.DataType.UINT8,
    ir.DataType.INT16,
    ir.DataType.UINT16,
    ir.DataType.INT32,
)
"""Types of integers that quantised weights, biases and zero points are stored in."""


def rank(root: ir.Value) -> tuple[int, int]:
    """How much speaks for a stored tensor being the weight: its elements, and what they are."""
    tensor = root.const_value if root.producer() is None else None
    content = constant(root) if tensor is None else None
    count = tensor.size if tensor is not None else (0 if content is None else content.size)
    dtype = root.dtype or (tensor.dtype if tensor is not None else None)
    if dtype is None:
        return count, 0
    if dtype in CODES:
        numbers = tensor.numpy() if tensor is not None else content
        return count, 1 if numbers is not None and _is_mask(numbers) else 2
    return count, 1 if dtype.is_floating_point() else 0


def is_product(paths: Paths, value: ir.Value | None, calls: Calls) -> bool:
    """Whether a constant is a product of stored matrices: weights of low rank, however few elements these have."""
    pending, seen = [(value, calls)], set()
    while pending:
        found, within = pending.pop()
        found, within = paths.outside(found, within) if found is not None else (None, within)
        node = found.producer() if found is not None else None
        if node is None or (id(node), within) in seen:
            continue
        seen.add((id(node), within))
        if facts_of(node).passes is None and "weight" in facts_of(node).values.values():
            return True
        pending.extend((v, within) for v in node.inputs)
    return False


def _is_mask(codes: npt.NDArray[Any]) -> bool:
    """Whether all are 0 or 1, or 0 or all ones, as a bitwise And wants them."""
    if not codes.size:
        return False
    ones = int(np.iinfo(codes.dtype).max) if codes.dtype.kind == "u" else -1
    numbers = codes.astype(np.int64)
    return any(bool(np.isin(numbers, (0, one)).all()) for one in (1, ones))
