"""Pad, in the modes constant, reflect, edge and wrap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients.common import integers
from nfkit.learn.gradients.registry import op


def _source(places: Tensor, size: int, mode: str) -> Tensor:
    """Returns which element of an axis stands at each place, places outside [0, size) included."""
    if mode == "edge":
        return places.clamp(0, size - 1)
    if mode == "wrap":
        return places % size
    if mode == "reflect":
        period = max(2 * (size - 1), 1)
        folded = places % period
        return torch.minimum(folded, period - folded) if size > 1 else folded
    raise UnsupportedError(f"Pad: mode {mode} is not supported")


def _pad(x: Tensor, pads: Sequence[int], axes: Sequence[int], mode: str, value: float) -> Tensor:
    sides = [(0, 0)] * x.ndim
    for i, axis in enumerate(axes):
        sides[axis] = (pads[i], pads[i + len(axes)])
    if mode == "constant":
        return F.pad(x, [side for pair in reversed(sides) for side in pair], value=value)
    for axis, (begin, end) in enumerate(sides):
        if begin or end:
            x = x.narrow(axis, max(-begin, 0), x.shape[axis] + min(begin, 0) + min(end, 0))
            size = x.shape[axis]
            places = torch.arange(-max(begin, 0), size + max(end, 0), device=x.device)
            x = x.index_select(axis, _source(places, size, mode))
    return x


@op("Pad", since=2, until=10)
def pad_attributes(x: Tensor, *, pads: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """Pads all axes, by amounts given as an attribute."""
    return _pad(x, pads, range(x.ndim), mode, value)


@op("Pad", since=11)
def pad(
    x: Tensor,
    pads: Tensor,
    constant_value: Tensor | None = None,
    axes: Tensor | None = None,
    *,
    mode: str = "constant",
) -> Tensor:
    """Pads (or, where negative, crops) axes, by amounts given as an input."""
    value = 0 if constant_value is None else constant_value.item()
    return _pad(x, integers(pads), range(x.ndim) if axes is None else integers(axes), mode, value)
