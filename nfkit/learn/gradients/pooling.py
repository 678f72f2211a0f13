"""Pools over spatial windows, and over all of space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients import window
from nfkit.learn.gradients.common import along
from nfkit.learn.gradients.registry import op

_MAX: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


class _Windows(NamedTuple):
    """Where the windows of a pool lie, per spatial axis."""

    stride: list[int]
    dilation: list[int]
    covered: list[int]
    padding: window.Pads
    extra: list[int]

    @classmethod
    def over(
        cls,
        where: str,
        sizes: Sequence[int],
        kernel: Sequence[int],
        strides: Sequence[int] | None,
        pads: Sequence[int] | None,
        dilations: Sequence[int] | None,
        ceil_mode: int,
        auto_pad: str,
    ) -> _Windows:
        """The windows that a pool's attributes ask for."""
        stride, dilation = window.spread(strides, len(sizes)), window.spread(dilations, len(sizes))
        covered = window.extents(kernel, dilation)
        padding = window.resolve(where, sizes, kernel, stride, dilation, pads, auto_pad)
        return cls(stride, dilation, covered, padding, window.overhang(sizes, covered, stride, padding, ceil_mode))

    def begins(self, kernel: Sequence[int]) -> list[int] | None:
        """Padding as torch's pools take it, alike at both ends and at most half the kernel; None where it is not so."""
        fits = all(2 * begin <= k for (begin, _), k in zip(self.padding, kernel, strict=True))
        if not (window.symmetric(self.padding) and fits) or any(self.extra):
            return None
        return [begin for begin, _ in self.padding]

    def padded(self, x: Tensor, value: float = 0.0) -> Tensor:
        """The input with its padding, and with what ceil mode adds past the end."""
        padding = [(begin, end + more) for (begin, end), more in zip(self.padding, self.extra, strict=True)]
        return window.pad(x, padding, value)


@op("MaxPool")
def max_pool(
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: int = 0,
    auto_pad: str = "NOTSET",
    storage_order: int = 0,
) -> Tensor:
    """Maximum over windows; the optional Indices output is not computed."""
    rank = x.ndim - 2
    if rank not in _MAX:
        raise UnsupportedError(f"MaxPool: {rank} spatial axes are not supported")
    if not x.is_floating_point():
        if x.dtype not in (torch.int8, torch.uint8):
            raise UnsupportedError(f"MaxPool: element type {x.dtype} is not supported")
        pooled: Tensor = max_pool(
            x.to(torch.float32),
            kernel_shape=kernel_shape,
            strides=strides,
            pads=pads,
            dilations=dilations,
            ceil_mode=ceil_mode,
            auto_pad=auto_pad,
        )
        return pooled.clamp(min=torch.iinfo(x.dtype).min).to(x.dtype)
    windows = _Windows.over("MaxPool", x.shape[2:], kernel_shape, strides, pads, dilations, ceil_mode, auto_pad)
    begins = windows.begins(kernel_shape)
    if begins is None:
        x, begins = windows.padded(x, -torch.inf), [0] * rank
    return _MAX[rank](x, list(kernel_shape), windows.stride, begins, windows.dilation)


@op("AveragePool")
def average_pool(
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: int = 0,
    auto_pad: str = "NOTSET",
    count_include_pad: int = 0,
) -> Tensor:
    """Mean over windows; cells that ceil mode adds past the end never count."""
    rank, sizes = x.ndim - 2, x.shape[2:]
    windows = _Windows.over("AveragePool", sizes, kernel_shape, strides, pads, dilations, ceil_mode, auto_pad)
    stride, dilation, covered, padding, extra = windows
    begins = windows.begins(kernel_shape)
    if rank in _AVERAGE and begins is not None and set(dilation) == {1}:
        return _AVERAGE[rank](x, list(kernel_shape), stride, begins, count_include_pad=bool(count_include_pad))
    y = windows.padded(x)
    for axis in range(rank):
        begin, end = padding[axis]
        y = y.unfold(axis + 2, covered[axis], stride[axis])[..., :: dilation[axis]].sum(-1)
        cells = torch.arange(-begin, sizes[axis] + end + extra[axis], device=x.device)
        low, high = (-begin, sizes[axis] + end) if count_include_pad else (0, sizes[axis])
        counted = ((cells >= low) & (cells < high)).to(x.dtype)
        counts = counted.unfold(0, covered[axis], stride[axis])[:, :: dilation[axis]].sum(-1)
        y = y / along(counts, axis + 2, y.ndim)
    return y


@op("GlobalAveragePool")
def global_average_pool(x: Tensor) -> Tensor:
    """Mean over all spatial axes, which are kept."""
    return x.mean(dim=tuple(range(2, x.ndim)), keepdim=True)


@op("GlobalMaxPool")
def global_max_pool(x: Tensor) -> Tensor:
    """Maximum over all spatial axes, which are kept."""
    return x.amax(dim=tuple(range(2, x.ndim)), keepdim=True)
