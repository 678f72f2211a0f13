"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nfkit.learn.gradients.common import integers
from nfkit.learn.gradients.registry import Kernel, op

Reduction = Callable[[Tensor, list[int], bool], Tensor]
"""(x, axes, keep the axes) -> the reduced tensor."""


def _extreme(function: Callable[[Tensor, list[int], bool], Tensor], largest: bool) -> Reduction:
    """Makes a maximum or minimum that also is defined, as the extreme of the type, on no elements at all."""

    def reduce(x: Tensor, axes: list[int], keep: bool) -> Tensor:
        if all(x.shape[axis] for axis in axes):
            return function(x, axes, keep)
        if x.is_floating_point():
            nothing = -torch.inf if largest else torch.inf
        elif x.dtype is torch.bool:
            nothing = not largest
        else:
            nothing = torch.iinfo(x.dtype).min if largest else torch.iinfo(x.dtype).max
        shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        kept = torch.full(shape, nothing, dtype=x.dtype, device=x.device)
        return kept if keep else kept.squeeze(tuple(axes))

    return reduce


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.sum(axes, keep, dtype=x.dtype)


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    if x.is_floating_point():
        return x.mean(axes, keep)
    count = max(x.numel() // max(x.sum(axes).numel(), 1), 1)
    return torch.div(x.sum(axes, keep), count, rounding_mode="trunc").to(x.dtype)


def _prod(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keep, dtype=x.dtype)
    return x


def _l2(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    if x.is_floating_point():
        # vector_norm has the subgradient 0 at 0, where the root of a sum has none
        norm: Tensor = torch.linalg.vector_norm(x, 2, axes, keep)
        return norm
    return x.double().square().sum(axes, keep).sqrt().to(x.dtype)


_REDUCTIONS: dict[str, Reduction] = {
    "ReduceL1": lambda x, axes, keep: _sum(x.abs(), axes, keep),
    "ReduceL2": _l2,
    "ReduceLogSum": lambda x, axes, keep: _sum(x, axes, keep).log(),
    "ReduceLogSumExp": lambda x, axes, keep: torch.logsumexp(x, axes, keep),
    "ReduceMax": _extreme(lambda x, axes, keep: x.amax(axes, keep), largest=True),
    "ReduceMean": _mean,
    "ReduceMin": _extreme(lambda x, axes, keep: x.amin(axes, keep), largest=False),
    "ReduceProd": _prod,
    "ReduceSum": _sum,
    "ReduceSumSquare": lambda x, axes, keep: _sum(x.square(), axes, keep),
}


def _reduce(function: Reduction, x: Tensor, axes: Sequence[int] | None, keepdims: int) -> Tensor:
    if x.ndim == 0:
        return function(x.reshape(1), [0], False)
    chosen = [axis % x.ndim for axis in axes] if axes else list(range(x.ndim))
    return function(x, chosen, bool(keepdims))


def _by_attribute(function: Reduction) -> Kernel:
    def kernel(x: Tensor, *, axes: Sequence[int] | None = None, keepdims: int = 1) -> Tensor:
        return _reduce(function, x, axes, keepdims)

    return kernel


def _by_input(function: Reduction) -> Kernel:
    def kernel(x: Tensor, axes: Tensor | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
        chosen = None if axes is None else integers(axes)
        if not chosen and noop_with_empty_axes:
            return function(x.unsqueeze(-1), [x.ndim], False)
        return _reduce(function, x, chosen, keepdims)

    return kernel


for _name, _function in _REDUCTIONS.items():
    _since = 13 if _name == "ReduceSum" else 18  # from here on the axes are an input
    op(_name, until=_since - 1)(_by_attribute(_function))
    op(_name, since=_since)(_by_input(_function))
