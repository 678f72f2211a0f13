"""Operators that pick or place elements by index: Slice, Gather, GatherElements, GatherND, ScatterElements."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients.common import integers
from nfkit.learn.gradients.registry import op

_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _slice(
    x: Tensor,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None,
    steps: Sequence[int] | None,
) -> Tensor:
    cuts = [slice(None)] * x.ndim
    backwards = []
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = (i if axes is None else axes[i]) % x.ndim
        step = 1 if steps is None else steps[i]
        if step > 0:
            cuts[axis] = slice(start, end, step)
        else:  # torch has no negative steps
            backwards.append((axis, list(range(*slice(start, end, step).indices(x.shape[axis])))))
    x = x[tuple(cuts)]
    for axis, chosen in backwards:
        x = x.index_select(axis, torch.tensor(chosen, dtype=torch.int64, device=x.device))
    return x


@op("Slice", until=9)
def slice_attributes(
    x: Tensor, *, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int] | None = None
) -> Tensor:
    """Cuts a range from each axis, given as attributes."""
    return _slice(x, starts, ends, axes, None)


@op("Slice", since=10)
def slice_inputs(
    x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    """Cuts a range from each axis, given as inputs, with steps of either sign."""
    along = None if axes is None else integers(axes)
    by = None if steps is None else integers(steps)
    return _slice(x, integers(starts), integers(ends), along, by)


def _counted_from_start(indices: Tensor, size: int, device: torch.device) -> Tensor:
    indices = indices.to(device=device, dtype=torch.int64)
    return torch.where(indices < 0, indices + size, indices)


@op("Gather")
def gather(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Picks whole slices along an axis."""
    axis %= x.ndim
    chosen = _counted_from_start(indices, x.shape[axis], x.device)
    picked = x.index_select(axis, chosen.reshape(-1))
    return picked.reshape(x.shape[:axis] + chosen.shape + x.shape[axis + 1 :])


@op("GatherElements")
def gather_elements(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Picks single elements along an axis."""
    return x.gather(axis, _counted_from_start(indices, x.shape[axis], x.device))


@op("ScatterElements")
def scatter_elements(x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none") -> Tensor:
    """Replaces single elements along an axis, or reduces the updates into them."""
    places = _counted_from_start(indices, x.shape[axis], x.device)
    if reduction == "none":
        return x.scatter(axis, places, updates.to(x.dtype))
    if reduction not in _REDUCTIONS:
        raise UnsupportedError(f"ScatterElements: reduction {reduction} is not supported")
    return x.scatter_reduce(axis, places, updates.to(x.dtype), _REDUCTIONS[reduction])


@op("GatherND")
def gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    """Slices by rows of indices, which count from the end where they are negative."""
    if batch_dims:
        rows = zip(x.flatten(0, batch_dims - 1), indices.flatten(0, batch_dims - 1), strict=True)
        picked = torch.stack([gather_nd(part, chosen) for part, chosen in rows])
        return picked.reshape(*x.shape[:batch_dims], *picked.shape[1:])
    return x[tuple(indices.long().movedim(-1, 0))]
