"""How well a generator could classify without the base: a linear probe on its bottleneck."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nfkit.data import Dataset
from nfkit.graph.input.spec import InputSpec
from nfkit.models.generators.base import Generator

_SAMPLES = 8192  # features of more samples move the accuracy by less than its own error
_DECAY = 1e-3


def probe_accuracy(generator: Generator, spec: InputSpec, train: Dataset, test: Dataset, classes: int) -> float | None:
    """The share of `probe_correct`; the arguments are the same."""
    correct = probe_correct(generator, spec, train, test, classes)
    return None if correct is None else float(correct.mean())


def probe_correct(
    generator: Generator, spec: InputSpec, train: Dataset, test: Dataset, classes: int
) -> npt.NDArray[np.bool_] | None:
    """Fits logistic regression to the pooled features of a generator's bottleneck.

    Args:
        generator: A trained generator.
        spec: The model's input.
        train: Samples to fit the probe on.
        test: Samples to measure it on.
        classes: Number of classes.

    Returns:
        Which test samples the probe classifies rightly, [N]; None for a generator without a bottleneck.
    """
    if not generator.bottleneck_channels:
        return None
    train = train.take(min(len(train), _SAMPLES))
    features = _features(generator, spec, train)
    mean, deviation = features.mean(0), features.std(0).clamp(min=1e-6)
    x, y = (features - mean) / deviation, torch.from_numpy(train.y)
    weight = torch.zeros(classes, x.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = nn.functional.cross_entropy(x @ weight.T + bias, y) + _DECAY * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        scores = (_features(generator, spec, test) - mean) / deviation @ weight.T + bias
    right: npt.NDArray[np.bool_] = scores.argmax(1).numpy() == test.y
    return right


@torch.no_grad()
def _features(generator: Generator, spec: InputSpec, data: Dataset) -> Tensor:
    """Pooled bottleneck features, [N, channels]."""
    parts = []
    for start in range(0, len(data), 256):
        x = torch.from_numpy(spec.normalise(spec.encode(data.x[start : start + 256])))
        parts.append(generator.encode(generator.pad(x))[-1].mean(dim=(2, 3)))
    return torch.cat(parts)
