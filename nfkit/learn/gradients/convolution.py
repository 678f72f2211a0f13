"""Convolutions: Conv, ConvTranspose and ConvInteger, in one to three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients import window
from nfkit.learn.gradients.registry import op

_CONV: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}


def _of_rank(functions: dict[int, Callable[..., Tensor]], x: Tensor, where: str) -> Callable[..., Tensor]:
    if x.ndim - 2 not in functions:
        raise UnsupportedError(f"{where}: {x.ndim - 2} spatial axes are not supported")
    return functions[x.ndim - 2]


@op("Conv")
def conv(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    kernel_shape: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> Tensor:
    """Convolution; the kernel's shape is taken from the weights."""
    function = _of_rank(_CONV, x, "Conv")
    rank = x.ndim - 2
    stride, dilation = window.spread(strides, rank), window.spread(dilations, rank)
    padding = window.resolve("Conv", x.shape[2:], w.shape[2:], stride, dilation, pads, auto_pad)
    w = w.to(x.dtype)
    b = None if b is None else b.to(x.dtype)
    if window.symmetric(padding):
        begins = [begin for begin, _ in padding]
        return function(x, w, b, stride=stride, padding=begins, dilation=dilation, groups=group)
    return function(window.pad(x, padding), w, b, stride=stride, dilation=dilation, groups=group)


@op("ConvTranspose")
def conv_transpose(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    kernel_shape: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> Tensor:
    """Transposed convolution: computed in full, then cropped (or extended by zeros) to its output shape."""
    function = _of_rank(_TRANSPOSED, x, "ConvTranspose")
    rank = x.ndim - 2
    stride, dilation = window.spread(strides, rank), window.spread(dilations, rank)
    extra = window.spread(output_padding, rank, 0)
    covered = window.extents(w.shape[2:], dilation)
    sizes = x.shape[2:]
    full = [(size - 1) * step + cover for size, step, cover in zip(sizes, stride, covered, strict=True)]
    wanted = list(output_shape)[-rank:] if output_shape else None
    if wanted is None and auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [size * step for size, step in zip(sizes, stride, strict=True)]
    if wanted is None:
        padding = window.resolve("ConvTranspose", sizes, w.shape[2:], stride, dilation, pads, auto_pad)
    else:
        padding = []
        for axis in range(rank):
            total = full[axis] + extra[axis] - wanted[axis]
            padding.append(window.halved(max(total, 0), auto_pad == "SAME_UPPER"))
            if output_shape:  # SAME leaves an output that is too short as it is, like ONNX Runtime
                extra[axis] += max(-total, 0)
    w = w.to(x.dtype)
    b = None if b is None else b.to(x.dtype)
    if window.symmetric(padding) and not any(extra):
        begins = [begin for begin, _ in padding]
        return function(x, w, b, stride=stride, padding=begins, dilation=dilation, groups=group)
    y = function(x, w, None, stride=stride, dilation=dilation, groups=group)
    y = window.pad(y, [(-begin, more - end) for (begin, end), more in zip(padding, extra, strict=True)])
    return y if b is None else y + b.reshape(-1, *[1] * rank)


@op("ConvInteger")
def conv_integer(
    x: Tensor,
    w: Tensor,
    x_zero_point: Tensor | None = None,
    w_zero_point: Tensor | None = None,
    *,
    kernel_shape: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> Tensor:
    """Convolution of codes: int32 for integer x (exact, in float64), floating for floating codes."""
    dtype = x.dtype if x.is_floating_point() else torch.float64
    codes, weights = x.to(dtype), w.to(dtype)
    if x_zero_point is not None:
        codes = codes - x_zero_point.to(dtype)
    if w_zero_point is not None:
        weights = weights - w_zero_point.to(dtype).reshape(-1, *[1] * (w.ndim - 1))
    y: Tensor = conv(codes, weights, strides=strides, pads=pads, dilations=dilations, group=group, auto_pad=auto_pad)
    return y if x.is_floating_point() else y.to(torch.int32)
