"""Tensors made from attributes or shapes, and shapes made from tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients.common import integers
from nfkit.learn.gradients.registry import op

op("Identity")(lambda x: x)


@op("Constant")
def constant(
    *,
    value: Tensor | None = None,
    value_float: float | None = None,
    value_floats: Sequence[float] | None = None,
    value_int: int | None = None,
    value_ints: Sequence[int] | None = None,
) -> Tensor:
    """The tensor, number or list that the attribute holds."""
    if value is not None:
        return value
    for number in (value_float, value_floats):
        if number is not None:
            return torch.tensor(number, dtype=torch.float32)
    for number in (value_int, value_ints):
        if number is not None:
            return torch.tensor(number, dtype=torch.int64)
    raise UnsupportedError("Constant: only tensors and numbers are supported")


@op("ConstantOfShape")
def constant_of_shape(shape: Tensor, *, value: Tensor | None = None) -> Tensor:
    """A tensor of the given shape, filled with one value (float 0 by default)."""
    fill = torch.zeros((), device=shape.device) if value is None else value.reshape(()).to(shape.device)
    return fill.expand(integers(shape)).clone()


@op("Shape")
def shape(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    """Sizes of the axes from start to end."""
    return torch.tensor(list(x.shape)[start:end], dtype=torch.int64, device=x.device)


@op("Size")
def size(x: Tensor) -> Tensor:
    """Number of elements."""
    return torch.tensor(x.numel(), dtype=torch.int64, device=x.device)


@op("Range")
def arange(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """Numbers from start, delta apart, up to but without limit."""
    first, last, step = start.item(), limit.item(), delta.item()
    count = max(math.ceil((last - first) / step), 0)
    steps = torch.arange(count, device=start.device)
    dtype = start.dtype if start.is_floating_point() else torch.int64
    return (start.reshape(()).to(dtype) + steps.to(dtype) * delta.reshape(()).to(dtype)).to(start.dtype)
