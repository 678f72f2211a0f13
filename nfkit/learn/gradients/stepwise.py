"""Each node by itself: what a kernel makes of the very operands that another runtime gave the node.

At a model's output one rounding more or less has become anything. Here nothing accumulates: every value that the other
runtime knows replaces the one computed here before the next node reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import Tensor

from nfkit.graph.canonical.view import canonical
from nfkit.learn.gradients.frozen import as_tensor, make_steps


@dataclass(frozen=True)
class NodeDifference:
    """How a node's result here differs from the other runtime's, on the same operands.

    Attributes:
        node: Its name.
        op: Its operator.
        mean: Mean absolute difference.
        largest: Largest absolute difference.
        size: Largest absolute value of the result.
        dtype: Type of the result in the other runtime.
    """

    node: str
    op: str
    mean: float
    largest: float
    size: float
    dtype: np.dtype[Any]


@torch.no_grad()
def differences(model: ir.Model, values: Mapping[str, npt.NDArray[Any]]) -> Iterator[NodeDifference]:
    """Goes through the canonical view of a model, node by node.

    Args:
        model: The model; every operator has a kernel.
        values: What the other runtime computed, by name, the model's input included.

    Yields:
        A comparison for every node whose result the other runtime knows.

    Raises:
        UnsupportedError: When a kernel cannot compute a node.
    """
    operators = {value.name: node.op_type for node in model.graph for value in node.outputs}
    view = canonical(model)
    here: dict[str, Tensor] = {
        str(v.name): as_tensor(np.array(v.const_value.numpy()))
        for v in view.graph.initializers.values()
        if v.const_value is not None
    }
    for value in view.graph.inputs:
        if value.name in values:
            here[str(value.name)] = _as_computed(values[str(value.name)], torch.float32)
    for step in make_steps(view):
        step.run(here)
        for name in step.outputs:
            if name not in values or name not in here:
                continue
            mine, theirs = here[name], as_tensor(np.array(values[name]))
            if mine.shape == theirs.shape and mine.numel():
                difference = (mine.double() - theirs.double()).abs()
                yield NodeDifference(
                    node=step.node,
                    op=operators.get(name, step.op),
                    mean=float(difference.nan_to_num(nan=np.inf).mean()),
                    largest=float(difference.nan_to_num(nan=np.inf).max()),
                    size=float(theirs.double().abs().max()),
                    dtype=values[name].dtype,
                )
            elif mine.shape != theirs.shape:
                yield NodeDifference(step.node, operators.get(name, step.op), np.inf, np.inf, 0.0, values[name].dtype)
            here[name] = _as_computed(values[name], mine.dtype)


def _as_computed(array: npt.NDArray[Any], dtype: torch.dtype) -> Tensor:
    """A value of the other runtime in the type that kernels hold it in, which is floating for codes."""
    return as_tensor(np.array(array)).to(dtype)
