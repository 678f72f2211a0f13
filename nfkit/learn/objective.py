"""Expectation over perturbed models (EOPM): what a generator is trained for.

    loss = CE(M0(F(x)), y) + lambda / N * sum_i CE(Mp_i(F(x)), y)        (Sun et al., NeuralFuse, NeurIPS 2024)

with F(x) = clip(x + G(x), -1, 1), M0 the clean model and Mp_1 ... Mp_N copies of it with fresh bit errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from nfkit.graph.input.affine import Arithmetic, Arrange, Convert, Permute, Saturate, Step, levels_to_input
from nfkit.graph.input.spec import InputSpec
from nfkit.learn.gradients.frozen import FrozenGraph
from nfkit.learn.gradients.steps import Environment

SampleLoss = Callable[[Tensor, Tensor], Tensor]

_Q = 0.7


def protect(generator: nn.Module, x: Tensor) -> Tensor:
    """F(x) = clip(x + G(x), -1, 1), for images [N, C, H, W] in [-1, 1]."""
    return torch.clamp(x + generator(x).float(), -1.0, 1.0)


class ModelInput:
    """The way from images in [-1, 1] to a model's own input, differentiable: `InputSpec.denormalise` in torch."""

    def __init__(self, spec: InputSpec, device: torch.device) -> None:
        self.spec = spec
        self.operations = [_in_torch(step, device) for step in levels_to_input(spec)]

    def __call__(self, x: Tensor) -> Tensor:
        """[N, C, H, W] in [-1, 1] -> [N, *shape]: the values of the input's type in float32, gradients straight."""
        for operation in self.operations:
            x = operation(x)
        return x


_OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div,
}  # fmt: skip


def _in_torch(step: Step, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A step of `nfkit.graph.input.affine` in torch.

    Other types than float32 are values of it, so that no gradient is rounded to them; rounding lets gradients pass.
    """
    match step:
        case Convert(dtype):
            kind: torch.dtype = getattr(torch, dtype)
            return lambda x: _straight(x.float(), x.to(kind).float())
        case Saturate(dtype):
            low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
            return lambda x: _straight(x, torch.round(x).clamp(low, high))
        case Arrange(_, shape):
            return lambda x: x.reshape(len(x), *shape)
        case Permute(axes):
            return lambda x: x.permute(axes)
        case Arithmetic(operation, _, constant):
            placed = torch.from_numpy(constant).to(device)
            return lambda x: _OPERATIONS[operation](x, placed)


def _straight(x: Tensor, rounded: Tensor) -> Tensor:
    """Exactly the rounded values, with the gradient of x itself."""
    return rounded.detach() + (x - x.detach())


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
    answer: Callable[[Tensor, Tensor], Tensor] | None = None,
    mine: Callable[[int], bool] = lambda term: True,
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
        answer: (scores of the base [n, classes], indices of their samples [n]) -> what the loss is taken of, [n,
            classes]; the scores themselves by default. Whatever else it depends on gets its gradient, too.
        mine: Which terms of the sum are wanted: 0 is the clean model's, i + 1 that of the i-th copy, whose weights are
            needed only then. All by default.

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
    terms += [(copy, part, weight / seen) for copy, part in zip(copies, parts, strict=True)]
    terms = [term for index, term in enumerate(terms) if len(term[1]) and mine(index)]
    total = 0.0
    for weights, part, share in terms:
        images = leaf[part].contiguous(memory_format=torch.channels_last)  # indexing forgets the layout
        scores = frozen(entry(images), weights, scores=True).reshape(len(images), -1)
        answered = scores if answer is None else answer(scores, part)
        value = share * (loss or cross_entropy)(answered, y[part])
        value.backward()  # type: ignore[no-untyped-call]
        total += value.item()
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad, total
