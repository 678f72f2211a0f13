"""Geometry of sliding windows, shared by convolutions and pools: padding, strides, output sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from nfkit.errors import UnsupportedError

Pads = list[tuple[int, int]]
"""Padding before and after, for each spatial axis."""


def spread(values: Sequence[int] | None, rank: int, default: int = 1) -> list[int]:
    """Returns one value per spatial axis, the default where the attribute is absent or empty."""
    return [int(value) for value in values] if values else [default] * rank


def extents(kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """Returns the input length that one dilated window covers, per axis."""
    return [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]


def paired(pads: Sequence[int] | None, rank: int) -> Pads:
    """Turns the ONNX order (all begins, then all ends) into pairs."""
    flat = spread(pads, 2 * rank, 0)
    return list(zip(flat[:rank], flat[rank:], strict=True))


def halved(total: int, upper: bool) -> tuple[int, int]:
    """Splits padding over both sides; an odd element goes to the end for SAME_UPPER."""
    small, large = total // 2, total - total // 2
    return (small, large) if upper else (large, small)


def resolve(
    where: str,
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int] | None,
    auto_pad: str,
) -> Pads:
    """Returns the padding that `pads` and `auto_pad` ask for."""
    if auto_pad in ("NOTSET", ""):
        return paired(pads, len(sizes))
    if auto_pad == "VALID":
        return [(0, 0)] * len(sizes)
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        raise UnsupportedError(f"{where}: auto_pad {auto_pad} is not supported")
    if any(dilation != 1 for dilation in dilations):  # ONNX Runtime refuses it too, or departs from ONNX
        raise UnsupportedError(f"{where}: auto_pad {auto_pad} with dilations is not supported")
    resolved = []
    for size, window, stride in zip(sizes, kernel, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        resolved.append(halved(total, auto_pad == "SAME_UPPER"))
    return resolved


def overhang(
    sizes: Sequence[int], windows: Sequence[int], strides: Sequence[int], pads: Pads, ceil_mode: int
) -> list[int]:
    """Returns how far the last window reaches past the padded end, per axis; nonzero only in ceil mode."""
    if not ceil_mode:
        return [0] * len(sizes)
    extra = []
    for size, window, stride, (begin, end) in zip(sizes, windows, strides, pads, strict=True):
        padded = size + begin + end
        last = -(-(padded - window) // stride)
        if last * stride >= size + begin:  # a window must not start in the padding at the end
            last -= 1
        extra.append(max(last * stride + window - padded, 0))
    return extra


def symmetric(pads: Pads) -> bool:
    """Whether every axis is padded alike at both ends."""
    return all(begin == end for begin, end in pads)


def pad(x: Tensor, pads: Pads, value: float = 0.0) -> Tensor:
    """Pads (or, where negative, crops) the spatial axes of x."""
    if all(begin == end == 0 for begin, end in pads):
        return x
    return F.pad(x, [side for pair in reversed(pads) for side in pair], value=value)
