"""Normalisation in its inference form, and Dropout, which inference leaves out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients.registry import op


@op("BatchNormalization", since=7)
def batch_normalization(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
    spatial: int = 1,
) -> Tensor:
    """Normalisation by the stored statistics."""
    if training_mode:
        raise UnsupportedError("BatchNormalization: training_mode is not supported")
    if not spatial:
        raise UnsupportedError("BatchNormalization: spatial = 0 is not supported")
    if x.ndim == 1:
        raise UnsupportedError("BatchNormalization: an input without channels is not supported")
    return F.batch_norm(x, mean, var, scale, bias, training=False, eps=epsilon)


@op("InstanceNormalization")
def instance_normalization(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """Normalisation over the spatial axes of each sample and channel."""
    # group_norm rather than instance_norm: the latter refuses a single spatial element.
    return F.group_norm(x, x.shape[1], scale.to(x.dtype), bias.to(x.dtype), epsilon)


@op("GroupNormalization", since=21)
def group_normalization(
    x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    """Normalisation over groups of channels; scale and bias per channel."""
    return F.group_norm(x, num_groups, scale.to(x.dtype), bias.to(x.dtype), epsilon)


@op("GroupNormalization", since=18, until=20)
def group_normalization_by_group(
    x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5
) -> Tensor:
    """Normalisation over groups of channels; scale and bias per group."""
    size = x.shape[1] // num_groups
    scale, bias = scale.repeat_interleave(size), bias.repeat_interleave(size)
    return F.group_norm(x, num_groups, scale.to(x.dtype), bias.to(x.dtype), epsilon)


@op("LayerNormalization")
def layer_normalization(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalisation over all axes from `axis` on; also returns the mean and the inverse deviation."""
    shape = x.shape[axis % x.ndim :]
    scale = scale.to(x.dtype).expand(shape)
    bias = None if bias is None else bias.to(x.dtype).expand(shape)
    y, mean, inverse = torch.native_layer_norm(x, list(shape), scale, bias, epsilon)
    return y, mean, inverse


@op("LRN")
def lrn(x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Tensor:
    """Local response normalisation across neighbouring channels."""
    squares = F.pad(x.square(), [0, 0] * (x.ndim - 2) + [(size - 1) // 2, size // 2])
    total = squares.unfold(1, size, 1).sum(-1)
    return x / (bias + alpha / size * total) ** beta


@op("Dropout", until=11)
def dropout_attribute(x: Tensor, *, ratio: float = 0.5) -> tuple[Tensor, Tensor]:
    """Identity, and a mask that keeps everything."""
    return x, torch.ones_like(x, dtype=torch.bool)


@op("Dropout", since=12)
def dropout(
    x: Tensor, ratio: Tensor | None = None, training_mode: Tensor | None = None, *, seed: int | None = None
) -> tuple[Tensor, Tensor]:
    """Identity, and a mask that keeps everything; training mode only where nothing is dropped."""
    if training_mode is not None and bool(training_mode) and (ratio is None or float(ratio) != 0):
        raise UnsupportedError("Dropout: training_mode is not supported")
    return x, torch.ones_like(x, dtype=torch.bool)


@op("RMSNormalization", since=23)
def rms_normalization(
    x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    """Division by the root of the mean square over all axes from `axis` on."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    return x * torch.rsqrt(x.square().mean(axes, keepdim=True) + epsilon) * scale.to(x.dtype)


@op("LpNormalization")
def lp_normalization(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    """Division by the norm along an axis; 0 where all are."""
    norm = torch.linalg.vector_norm(x, ord=p, dim=axis, keepdim=True)
    return torch.where(norm > 0, x / torch.where(norm > 0, norm, torch.ones_like(norm)), torch.zeros_like(x))
