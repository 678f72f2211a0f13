"""Activation quantisers: a QuantizeLinear and the DequantizeLinear behind it, as one differentiable step.

Run one by one, the pair makes six passes over the activations and keeps three tensors for the backward pass. Together
they need one mask. The result is the same, bit for bit in float32.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nfkit.learn.gradients import Entry, find

if TYPE_CHECKING:
    from nfkit.learn.gradients.steps import Step


class _Quantise(torch.autograd.Function):
    """x -> (clamp(round(x / scale), low, high)) * scale, with the gradient of the identity where nothing clamps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, low: float, high: float) -> Tensor:
        codes = torch.div(x, scale).round_()
        clamped = codes.clamp(low, high)
        # In place and in x's own type: a boolean mask is slower to make, and slower to multiply with.
        ctx.save_for_backward(codes.eq_(clamped))
        return clamped.mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None


def fuse_quantisers(steps: list[Step], constants: dict[str, Tensor], keep: set[str]) -> list[Step]:
    """Joins each Q/DQ pair of one scalar scale and zero point, wherever the codes have no other reader.

    Args:
        steps: Steps in order; not changed.
        constants: Known values, to read scales and zero points from.
        keep: Values that must stay available.
    """
    readers = Counter(name for step in steps for name in step.inputs if name is not None)
    quantise = {find("QuantizeLinear", v) for v in (13, 19, 21, 25)}
    dequantise = {find("DequantizeLinear", v) for v in (13, 19, 21, 25)}
    pending: dict[str, Step] = {}  # codes -> the step that makes them
    fused: list[Step] = []
    for step in steps:
        if step.entry in quantise and readers[step.outputs[0]] == 1 and not keep & set(step.outputs):
            pending[step.outputs[0]] = step
        elif step.entry in dequantise and step.inputs[0] in pending:
            first = pending.pop(step.inputs[0])
            joined = _join(first, step, constants)
            fused.extend([joined] if joined else [first, step])
        else:
            fused.append(step)
    return _in_order(fused, list(pending.values()))


def _join(first: Step, second: Step, constants: dict[str, Tensor]) -> Step | None:
    if len(first.inputs) != 3 or len(second.inputs) != 3 or first.attributes.get("output_dtype"):
        return None
    scale, zero = (constants.get(str(name)) for name in first.inputs[1:])
    if scale is None or zero is None or scale.numel() != 1 or zero.numel() != 1:
        return None
    for name, own in zip(second.inputs[1:], (scale, zero), strict=True):  # by value: names differ from file to file
        other = constants.get(str(name))
        if other is None or other.dtype is not own.dtype or not torch.equal(other.reshape(-1), own.reshape(-1)):
            return None
    info, zero_point, step = torch.iinfo(zero.dtype), int(zero), float(scale)
    low, high = float(info.min - zero_point), float(info.max - zero_point)

    def kernel(x: Tensor) -> Tensor:
        result: Tensor = _Quantise.apply(x, step, low, high)  # type: ignore[no-untyped-call]
        return result

    return replace(first, entry=Entry(kernel, 1, 10**6), attributes={}, inputs=first.inputs[:1], outputs=second.outputs)


def _in_order(steps: list[Step], unmatched: list[Step]) -> list[Step]:
    """Puts quantisers whose codes nothing dequantises back in front of what reads them."""
    for step in unmatched:
        at = next((i for i, s in enumerate(steps) if step.outputs[0] in s.inputs), len(steps))
        steps.insert(at, step)
    return steps
