"""Pools over spatial windows, and over all of space."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.learn.ops import window
from nfkit.learn.ops.common import along
from nfkit.learn.ops.registry import op

_MAX: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def _native(padding: window.Pads, kernel: Sequence[int]) -> bool:
    """Whether torch's pools take this padding: alike at both ends and at most half the kernel."""
    return window.symmetric(padding) and all(2 * begin <= k for (begin, _), k in zip(padding, kernel, strict=True))


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
    stride, dilation = window.spread(strides, rank), window.spread(dilations, rank)
    covered = window.extents(kernel_shape, dilation)
    sizes = x.shape[2:]
    padding = window.resolve("MaxPool", sizes, kernel_shape, stride, dilation, pads, auto_pad)
    extra = window.overhang(sizes, covered, stride, padding, ceil_mode)
    if _native(padding, kernel_shape) and not any(extra):
        begins = [begin for begin, _ in padding]
        return _MAX[rank](x, list(kernel_shape), stride, begins, dilation)
    padding = [(begin, end + more) for (begin, end), more in zip(padding, extra, strict=True)]
    padded = window.pad(x, padding, value=-torch.inf)
    return _MAX[rank](padded, list(kernel_shape), stride, 0, dilation)


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
    rank = x.ndim - 2
    stride, dilation = window.spread(strides, rank), window.spread(dilations, rank)
    covered = window.extents(kernel_shape, dilation)
    sizes = x.shape[2:]
    padding = window.resolve("AveragePool", sizes, kernel_shape, stride, dilation, pads, auto_pad)
    extra = window.overhang(sizes, covered, stride, padding, ceil_mode)
    if rank in _AVERAGE and _native(padding, kernel_shape) and not any(extra) and set(dilation) == {1}:
        begins = [begin for begin, _ in padding]
        return _AVERAGE[rank](x, list(kernel_shape), stride, begins, count_include_pad=bool(count_include_pad))
    y = window.pad(x, [(begin, end + more) for (begin, end), more in zip(padding, extra, strict=True)])
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
