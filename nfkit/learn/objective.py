"""Expectation over perturbed models (EOPM): what a generator is trained for.

    loss = CE(M0(F(x)), y) + lambda / N * sum_i CE(Mp_i(F(x)), y)        (Sun et al., NeuralFuse, NeurIPS 2024)

with F(x) = clip(x + G(x), -1, 1), M0 the clean model and Mp_1 ... Mp_N copies of it with fresh bit errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from nfkit.graph.input.spec import InputSpec
from nfkit.learn.gradients.frozen import Environment, FrozenGraph

SampleLoss = Callable[[Tensor, Tensor], Tensor]

_Q = 0.7


def protect(generator: nn.Module, x: Tensor) -> Tensor:
    """F(x) = clip(x + G(x), -1, 1), for images [N, C, H, W] in [-1, 1]."""
    return torch.clamp(x + generator(x).float(), -1.0, 1.0)


class ModelInput:
    """The way from images in [-1, 1] to a model's own input, differentiable: `InputSpec.denormalise` in torch."""

    def __init__(self, spec: InputSpec, device: torch.device) -> None:
        centre, half_width = spec.bounds()
        self.spec = spec
        self.centre = torch.from_numpy(centre).to(device)
        self.half_width = torch.from_numpy(half_width).to(device)
        self.integer = np.issubdtype(np.dtype(spec.dtype), np.integer)

    def __call__(self, x: Tensor) -> Tensor:
        """[N, C, H, W] in [-1, 1] -> [N, *shape]; integer types as rounded floats, the gradient passing straight."""
        v = x * self.half_width + self.centre
        if self.integer:
            v = v + (torch.round(v) - v).detach()
        return v.permute(0, 2, 3, 1) if self.spec.layout == "NHWC" else v.reshape(len(x), *self.spec.shape)


def cross_entropy(scores: Tensor, y: Tensor) -> Tensor:
    """Sum of -log p over samples, p the softmax share of the label; scores [N, classes], labels [N]."""
    return nn.functional.cross_entropy(scores, y, reduction="sum")


def bounded_cross_entropy(scores: Tensor, y: Tensor) -> Tensor:
    """Sum of (1 - p^q) / q with q = 0.7, between cross entropy (q -> 0) and the error rate (q = 1).

    A sample that a faulty copy gets wrong with confidence costs at most 1 / q, where cross entropy would let a few such
    samples outweigh all others (Zhang and Sabuncu, Generalized cross entropy, NeurIPS 2018).
    """
    p = torch.softmax(scores, dim=1).gather(1, y[:, None]).clamp(min=1e-6)
    return ((1 - p**_Q) / _Q).sum()


def eopm_gradient(
    frozen: FrozenGraph,
    entry: ModelInput,
    protected: Tensor,
    y: Tensor,
    copies: Iterable[Environment],
    weight: float,
    passes: int | None = None,
    clean_share: float = 1.0,
    loss: SampleLoss | None = None,
) -> tuple[Tensor, float]:
    """Loss and its gradient at F(x), for all copies of the model.

    The gradient is summed at F(x), so that the generator and the clean model run once, however many copies there
    are, and only one copy's activations are in memory at a time.

    Args:
        frozen: The model.
        entry: The way to its input.
        protected: F(x), [N, C, H, W]; its own graph is not entered.
        y: Labels [N].
        copies: Weights of the perturbed copies, Mp_1 ... Mp_N.
        weight: lambda.
        passes: How many of the copies see each sample; all by default. With fewer, the copies divide the batch among
            themselves: an unbiased estimate of the same loss, in which many chips cost no more than few.
        clean_share: Share of the samples that the clean model sees; below 1 an unbiased estimate, too.
        loss: (scores [N, classes], labels [N]) -> sum over the samples; cross entropy by default.

    Returns:
        (gradient of the loss with respect to F(x), loss).
    """
    leaf = protected.detach().requires_grad_()
    copies = list(copies)
    seen = len(y) * (passes or len(copies))
    everything = torch.arange(len(y), device=y.device)
    parts = (torch.arange(seen, device=y.device) % len(y)).tensor_split(len(copies))
    first = everything[: max(1, round(clean_share * len(y)))]
    terms: list[tuple[Environment | None, Tensor, float]] = [(None, first, 1.0 / len(first))]
    terms += [(copy, part, weight / seen) for copy, part in zip(copies, parts, strict=True) if len(part)]
    total = 0.0
    for weights, part, share in terms:
        images = leaf[part].contiguous(memory_format=torch.channels_last)  # indexing forgets the layout
        scores = frozen(entry(images), weights, scores=True)
        value = share * (loss or cross_entropy)(scores.reshape(len(scores), -1), y[part])
        value.backward()  # type: ignore[no-untyped-call]
        total += value.item()
    assert leaf.grad is not None
    return leaf.grad, total
