"""Activation functions, and softmax."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nfkit.learn.gradients.registry import op

op("Relu")(lambda x: torch.relu(x))
op("Sigmoid")(lambda x: torch.sigmoid(x))
op("Tanh")(lambda x: torch.tanh(x))
op("Mish")(lambda x: F.mish(x))
op("HardSwish")(lambda x: F.hardswish(x))
op("Softplus")(lambda x: F.softplus(x))
op("Softsign")(lambda x: F.softsign(x))
op("LeakyRelu")(lambda x, *, alpha=0.01: F.leaky_relu(x, alpha))
op("Elu")(lambda x, *, alpha=1.0: F.elu(x, alpha))
op("Celu")(lambda x, *, alpha=1.0: F.celu(x, alpha))
op("ThresholdedRelu")(lambda x, *, alpha=1.0: torch.where(x > alpha, x, torch.zeros_like(x)))
op("Shrink")(
    lambda x, *, bias=0.0, lambd=0.5: torch.where(
        x < -lambd, x + bias, torch.where(x > lambd, x - bias, torch.zeros_like(x))
    )
)
op("Swish")(lambda x, *, alpha=1.0: x * torch.sigmoid(alpha * x))
op("HardSigmoid")(lambda x, *, alpha=0.2, beta=0.5: torch.clamp(alpha * x + beta, 0, 1))
op("Gelu")(lambda x, *, approximate="none": F.gelu(x, approximate=approximate))


@op("Selu")
def selu(x: Tensor, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Tensor:
    """Scaled exponential linear unit."""
    return gamma * F.elu(x, alpha)


@op("PRelu", since=7)
def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Leaky ReLU whose slope broadcasts to x."""
    return torch.where(x < 0, x * slope.to(x.dtype), x)


@op("Clip", until=10)
def clip_attributes(x: Tensor, *, min: float | None = None, max: float | None = None) -> Tensor:
    """Clips to bounds given as attributes."""
    return x if min is None and max is None else torch.clamp(x, min, max)


@op("Clip", since=11)
def clip(x: Tensor, min: Tensor | None = None, max: Tensor | None = None) -> Tensor:
    """Clips to bounds given as inputs; where they cross, the upper one wins."""
    if min is None and max is None:
        return x
    low = None if min is None else min.to(x.dtype)
    high = None if max is None else max.to(x.dtype)
    return torch.clamp(x, low, high)


op("Softmax", since=13)(lambda x, *, axis=-1: torch.softmax(x, axis))
op("LogSoftmax", since=13)(lambda x, *, axis=-1: torch.log_softmax(x, axis))


@op("Softmax", until=12)
def softmax_flat(x: Tensor, *, axis: int = 1) -> Tensor:
    """Softmax over all axes from `axis` on, taken as one."""
    return torch.softmax(_flat(x, axis), 1).reshape(x.shape)


@op("LogSoftmax", until=12)
def log_softmax_flat(x: Tensor, *, axis: int = 1) -> Tensor:
    """Logarithm of the softmax over all axes from `axis` on, taken as one."""
    return torch.log_softmax(_flat(x, axis), 1).reshape(x.shape)


def _flat(x: Tensor, axis: int) -> Tensor:
    rows = x.shape[: axis % x.ndim].numel() if x.ndim else 1
    return x.reshape(rows, -1)
