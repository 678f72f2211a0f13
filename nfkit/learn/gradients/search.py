"""Operators along one axis that keep an order: ArgMax, ArgMin, TopK, CumSum."""

from __future__ import annotations

import torch
from torch import Tensor

from nfkit.learn.gradients.common import integers
from nfkit.learn.gradients.registry import Kernel, op


def _extreme(largest: bool) -> Kernel:
    def kernel(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
        choose = torch.argmax if largest else torch.argmin
        if not select_last_index:
            return choose(x, axis, bool(keepdims))
        return x.shape[axis] - 1 - choose(x.flip(axis), axis, bool(keepdims))

    return kernel


op("ArgMax")(_extreme(largest=True))
op("ArgMin")(_extreme(largest=False))


def _top(x: Tensor, k: int, axis: int, largest: bool) -> tuple[Tensor, Tensor]:
    # A stable sort, not topk: of equal values ONNX takes the one of lower index first.
    values, indices = torch.sort(x, dim=axis, descending=largest, stable=True)
    return values.narrow(axis, 0, k), indices.narrow(axis, 0, k)


@op("TopK", until=9)
def top_k_attribute(x: Tensor, *, k: int, axis: int = -1) -> tuple[Tensor, Tensor]:
    """The k largest values and their indices, k given as an attribute."""
    return _top(x, k, axis, True)


@op("TopK", since=10)
def top_k(x: Tensor, k: Tensor, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Tensor, Tensor]:
    """The k largest or smallest values and their indices, always in order."""
    return _top(x, integers(k)[0], axis, bool(largest))


@op("CumSum")
def cumsum(x: Tensor, axis: Tensor, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """Running sum along an axis, from either end, with or without the element itself."""
    along = integers(axis)[0]
    values = x.flip(along) if reverse else x
    total = values.cumsum(along, dtype=x.dtype)
    if exclusive:
        total = total - values
    return total.flip(along) if reverse else total
