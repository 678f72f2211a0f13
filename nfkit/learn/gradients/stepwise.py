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
from nfkit.learn.gradients.steps import Environment, Step, as_tensor, make_steps

_EDGE = 0.05
"""How near to the edge between two codes, in steps, a value may be rounded to either."""


@dataclass(frozen=True)
class NodeDifference:
    """How a node's result here differs from the other runtime's, on the same operands.

    Attributes:
        node: Its name.
        op: Its operator.
        mean: Mean absolute difference.
        largest: Largest absolute difference.
        unexplained: Share of the codes that no rounding explains; 0 for floats.
        size: Largest absolute value of the result.
        dtype: Type of the result in the other runtime.
    """

    node: str
    op: str
    mean: float
    largest: float
    unexplained: float
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
            operator, dtype = operators.get(name, step.op), values[name].dtype
            if mine.shape != theirs.shape:
                yield NodeDifference(step.node, operator, np.inf, np.inf, 1.0, 0.0, dtype)
            elif mine.numel():
                off = (mine.double() - theirs.double()).abs().nan_to_num(nan=np.inf)
                low, high = _reach(step, here, mine) if np.issubdtype(dtype, np.integer) else (theirs, theirs)
                beyond = (theirs.double() < low.double()) | (theirs.double() > high.double())
                size = float(theirs.double().abs().max())
                yield NodeDifference(
                    step.node, operator, float(off.mean()), float(off.max()), float(beyond.double().mean()), size, dtype
                )
            here[name] = _as_computed(values[name], mine.dtype)


def _reach(step: Step, values: Environment, codes: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest codes that rounding may give: those of values a little smaller and larger.

    Where something other than QuantizeLinear makes codes, it is one step to either side.
    """
    operands = [values[name] if name is not None else None for name in step.inputs]
    if step.op != "QuantizeLinear" or len(operands) < 2 or operands[0] is None or operands[1] is None:
        return codes.double() - 1, codes.double() + 1
    x, scale = operands[0], operands[1]
    shift = _EDGE * scale.abs().min().to(torch.float32)
    low, high = (step.entry.kernel(x + sign * shift, *operands[1:], **step.attributes) for sign in (-1, 1))
    return low, high


def _as_computed(array: npt.NDArray[Any], dtype: torch.dtype) -> Tensor:
    """A value of the other runtime in the type that kernels hold it in, which is floating for codes."""
    return as_tensor(np.array(array)).to(dtype)
