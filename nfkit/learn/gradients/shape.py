"""Operators that move elements without touching their values: reshape, transpose, join, split, repeat."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients.common import integers
from nfkit.learn.gradients.registry import op


@op("Reshape", since=5)
def reshape(x: Tensor, shape: Tensor, *, allowzero: int = 0) -> Tensor:
    """New shape; a 0 keeps the input's size there unless allowzero is set."""
    sizes = integers(shape)
    if not allowzero:
        sizes = [x.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return x.reshape(sizes)


@op("Flatten")
def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    """Two axes: those before `axis`, and the others."""
    cut = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:cut]), math.prod(x.shape[cut:]))


def _squeeze(x: Tensor, axes: Sequence[int] | None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _unsqueeze(x: Tensor, axes: Sequence[int]) -> Tensor:
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@op("Squeeze", until=12)
def squeeze_attribute(x: Tensor, *, axes: Sequence[int] | None = None) -> Tensor:
    """Removes axes of size 1, given as an attribute."""
    return _squeeze(x, axes)


@op("Squeeze", since=13)
def squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Removes axes of size 1, given as an input."""
    return _squeeze(x, None if axes is None else integers(axes))


@op("Unsqueeze", until=12)
def unsqueeze_attribute(x: Tensor, *, axes: Sequence[int]) -> Tensor:
    """Inserts axes of size 1, given as an attribute."""
    return _unsqueeze(x, axes)


@op("Unsqueeze", since=13)
def unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    """Inserts axes of size 1, given as an input."""
    return _unsqueeze(x, integers(axes))


@op("Transpose")
def transpose(x: Tensor, *, perm: Sequence[int] | None = None) -> Tensor:
    """Permutes the axes; reverses them by default."""
    return x.permute(list(perm) if perm is not None else list(range(x.ndim))[::-1])


@op("Concat", since=4)
def concat(*xs: Tensor, axis: int) -> Tensor:
    """Joins tensors along an axis."""
    return torch.cat(xs, axis)


def _split(x: Tensor, sizes: Sequence[int] | None, num_outputs: int | None, axis: int) -> tuple[Tensor, ...]:
    if sizes is None:
        if num_outputs is None:
            raise UnsupportedError("Split: neither the sizes nor the number of outputs is known")
        length = x.shape[axis]
        each = -(-length // num_outputs)
        sizes = [max(min(each, length - i * each), 0) for i in range(num_outputs)]
    return torch.split(x, list(sizes), axis)


@op("Split", since=2, until=12)
def split_attribute(
    x: Tensor, *, split: Sequence[int] | None = None, axis: int = 0, num_outputs: int | None = None
) -> tuple[Tensor, ...]:
    """Cuts along an axis, sizes given as an attribute."""
    return _split(x, split, num_outputs, axis)


@op("Split", since=13)
def split(
    x: Tensor, sizes: Tensor | None = None, *, axis: int = 0, num_outputs: int | None = None
) -> tuple[Tensor, ...]:
    """Cuts along an axis, sizes given as an input; the last part may be shorter."""
    return _split(x, None if sizes is None else integers(sizes), num_outputs, axis)


@op("Expand")
def expand(x: Tensor, shape: Tensor) -> Tensor:
    """Broadcasts x and the shape against each other."""
    return x.expand(np.broadcast_shapes(tuple(x.shape), tuple(integers(shape))))


@op("Tile", since=6)
def tile(x: Tensor, repeats: Tensor) -> Tensor:
    """Repeats x along each axis."""
    return x.repeat(integers(repeats))


@op("DepthToSpace")
def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """Moves blocks of channels into space."""
    N, C, H, W = x.shape
    b = blocksize
    if mode == "CRD":
        blocks = x.reshape(N, C // b**2, b, b, H, W).permute(0, 1, 4, 2, 5, 3)
    else:
        blocks = x.reshape(N, b, b, C // b**2, H, W).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(N, C // b**2, H * b, W * b)


@op("SpaceToDepth")
def space_to_depth(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """Moves blocks of space into channels."""
    N, C, H, W = x.shape
    b = blocksize
    blocks = x.reshape(N, C, H // b, b, W // b, b)
    blocks = blocks.permute(0, 1, 3, 5, 2, 4) if mode == "CRD" else blocks.permute(0, 3, 5, 1, 2, 4)
    return blocks.reshape(N, C * b**2, H // b, W // b)
