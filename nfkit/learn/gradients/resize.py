"""Resize and Upsample: nearest, linear and cubic, one axis at a time, by explicit source coordinates.

Coordinates are computed in float32 as ONNX Runtime does, so that roundings fall the same way.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients.common import along, integers
from nfkit.learn.gradients.registry import op


def _coordinates(size: int, length: int, scale: float, mode: str) -> Tensor:
    """Returns where each of `length` output places lies among `size` input places."""
    one, half = np.float32(1), np.float32(0.5)
    places, factor = np.arange(length, dtype=np.float32), np.float32(scale)
    if mode == "asymmetric":
        if factor == np.float32(length / size):  # as with given sizes, where ties must fall exactly
            return torch.from_numpy(places * np.float32(size) / np.float32(length))
        return torch.from_numpy(places / factor)
    if mode == "align_corners":
        return torch.from_numpy(places * np.float32(size - 1) / np.float32(max(length - 1, 1)))
    if mode == "tf_half_pixel_for_nn":
        return torch.from_numpy((places + half) / factor)
    if mode == "pytorch_half_pixel" and length == 1:
        return torch.from_numpy(places)
    if mode in ("half_pixel", "pytorch_half_pixel"):
        return torch.from_numpy((places + half) / factor - half)
    if mode == "half_pixel_symmetric":
        offset = np.float32(size / 2) * (one - np.float32(length) / (factor * np.float32(size)))
        return torch.from_numpy(offset + (places + half) / factor - half)
    raise UnsupportedError(f"Resize: coordinate_transformation_mode {mode} is not supported")


def _nearest(position: Tensor, scale: float, mode: str) -> Tensor:
    """Rounds coordinates to whole places; "simple" is the rule of opset 10 and of Upsample."""
    if mode == "simple":
        mode = "ceil" if scale < 1 else "floor"
    if mode == "floor":
        return position.floor()
    if mode == "ceil":
        return position.ceil()
    if mode == "round_prefer_floor":
        return (position - 0.5).ceil()
    if mode == "round_prefer_ceil":
        return (position + 0.5).floor()
    raise UnsupportedError(f"Resize: nearest_mode {mode} is not supported")


def _linear(position: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Returns the two source places of each coordinate and their weights, both (outputs, 2)."""
    position = position.clamp(0, size - 1)
    low = position.floor()
    part = position - low
    return torch.stack([low, low + 1], 1), torch.stack([1 - part, part], 1)


def _cubic(position: Tensor, size: int, a: float, exclude_outside: int) -> tuple[Tensor, Tensor]:
    """Returns the four source places of each coordinate and their weights, both (outputs, 4)."""
    low = position.floor()
    places = low[:, None] + torch.arange(-1, 3)
    distance = (position[:, None] - places).abs()
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    weights = torch.where(distance <= 1, near, far)
    if exclude_outside:
        weights = torch.where((places >= 0) & (places < size), weights, 0)
        weights = weights / weights.sum(1, keepdim=True)
    return places, weights


def _resize(
    x: Tensor,
    sizes: Sequence[int],
    scales: Sequence[float],
    *,
    mode: str,
    coordinates: str,
    nearest_mode: str,
    a: float = -0.75,
    exclude_outside: int = 0,
) -> Tensor:
    """Resizes every axis whose scale is not 1."""
    if mode not in ("nearest", "linear", "cubic"):
        raise UnsupportedError(f"Resize: mode {mode} is not supported")
    for axis, (length, scale) in enumerate(zip(sizes, scales, strict=True)):
        size = x.shape[axis]
        if scale == 1 and length == size:
            continue
        position = _coordinates(size, length, scale, coordinates)
        if mode == "nearest":
            source = _nearest(position, scale, nearest_mode).clamp(0, size - 1).long()
            x = x.index_select(axis, source.to(x.device))
            continue
        if mode == "linear":
            places, weights = _linear(position, size)
        else:
            places, weights = _cubic(position, size, a, exclude_outside)
        sources = places.clamp(0, size - 1).long().to(x.device)
        weights = weights.to(x)
        parts = (
            x.index_select(axis, sources[:, k]) * along(weights[:, k], axis, x.ndim) for k in range(weights.shape[1])
        )
        x = functools.reduce(torch.add, parts)
    return x


def _scaled(size: int, scale: float) -> int:
    return math.floor(np.float32(size) * np.float32(scale))


def _target(
    lengths: Sequence[int], scales: Tensor | None, sizes: Tensor | None, axes: Sequence[int], policy: str
) -> tuple[list[int], list[float]]:
    """Returns the output length and the scale of every axis."""
    out, factors = list(lengths), [1.0] * len(lengths)
    if scales is not None and scales.numel():
        for axis, factor in zip(axes, scales.tolist(), strict=True):
            out[axis], factors[axis] = _scaled(lengths[axis], factor), factor
        return out, factors
    if sizes is None or not sizes.numel():
        raise UnsupportedError("Resize: neither scales nor sizes are given")
    wanted = dict(zip(axes, integers(sizes), strict=True))
    ratios = {axis: size / lengths[axis] for axis, size in wanted.items()}
    if policy != "stretch":
        ratio = min(ratios.values()) if policy == "not_larger" else max(ratios.values())
        ratios = dict.fromkeys(ratios, ratio)
        wanted = {axis: math.floor(lengths[axis] * ratio + 0.5) for axis in wanted}
    for axis, size in wanted.items():
        out[axis], factors[axis] = size, ratios[axis]
    return out, factors


@op("Resize", since=11)
def resize(
    x: Tensor,
    roi: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
    *,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    keep_aspect_ratio_policy: str = "stretch",
) -> Tensor:
    """Resizes to given scales or sizes, without antialiasing."""
    if antialias:
        raise UnsupportedError("Resize: antialias is not supported")
    chosen = range(x.ndim) if axes is None else [axis % x.ndim for axis in axes]
    lengths, factors = _target(x.shape, scales, sizes, chosen, keep_aspect_ratio_policy)
    return _resize(
        x,
        lengths,
        factors,
        mode=mode,
        coordinates=coordinate_transformation_mode,
        nearest_mode=nearest_mode,
        a=cubic_coeff_a,
        exclude_outside=exclude_outside,
    )


def _upsample(x: Tensor, scales: Sequence[float], mode: str) -> Tensor:
    lengths = [_scaled(size, scale) for size, scale in zip(x.shape, scales, strict=True)]
    mode = "linear" if mode == "bilinear" else mode
    return _resize(x, lengths, scales, mode=mode, coordinates="asymmetric", nearest_mode="simple")


@op("Upsample", since=7, until=8)
def upsample_attribute(x: Tensor, *, scales: Sequence[float], mode: str = "nearest") -> Tensor:
    """Resizes by scales given as an attribute."""
    return _upsample(x, scales, mode)


@op("Upsample", since=9, until=9)
@op("Resize", since=10, until=10)
def upsample(x: Tensor, scales: Tensor, *, mode: str = "nearest") -> Tensor:
    """Resizes by scales given as an input."""
    return _upsample(x, [float(scale) for scale in scales.tolist()], mode)
