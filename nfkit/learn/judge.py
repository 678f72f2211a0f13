"""How good a generator is, on samples and chips that it is not trained on: what the best state is chosen by."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfkit.data import Dataset
from nfkit.graph.input.spec import InputSpec
from nfkit.learn.answer import FusedAnswer
from nfkit.learn.objective import protect
from nfkit.learn.subject import Answers, Subject
from nfkit.models.generators.base import Generator

HELD_OUT_SAMPLES = 512
VALIDATION_COPIES = 4


class Judge:
    """Accuracy with the generator on held-out samples: clean, and on held-out chips.

    Args:
        generator: The generator.
        subject: The frozen model.
        spec: Its input.
        data: The held-out samples.
        answer: How both ends answer; None where the model answers.
    """

    def __init__(
        self,
        generator: Generator,
        subject: Subject,
        spec: InputSpec,
        data: Dataset,
        answer: FusedAnswer | None = None,
    ) -> None:
        data = data.take(min(len(data), HELD_OUT_SAMPLES))
        self.generator, self.frozen, self.entry = generator, subject.frozen, subject.entry
        images = torch.from_numpy(spec.normalise(spec.encode(data.x))).to(self.frozen.device)
        self.x = images.contiguous(memory_format=torch.channels_last)
        self.y = torch.from_numpy(data.y).to(self.frozen.device)
        self.chips, self.answer = subject.copies.validation(VALIDATION_COPIES), answer
        self.seconds = 0.0

    @torch.no_grad()
    def __call__(self) -> tuple[float, float]:
        """(clean, under errors), shares of the samples."""
        begun = time.monotonic()
        self.generator.eval()
        v = torch.cat([self.entry(protect(self.generator, part)) for part in torch.split(self.x, 128)])
        z = torch.cat([self.generator.look(part) for part in torch.split(self.x, 128)]) if self.answer else None
        self.generator.train()
        clean, perturbed = self._accuracy(v, z, None), [self._accuracy(v, z, chip) for chip in self.chips]
        self.seconds += time.monotonic() - begun
        return clean, float(np.mean(perturbed))

    def _accuracy(self, v: Tensor, z: Tensor | None, weights: Any) -> float:
        parts = [self.frozen(part, weights, scores=True).reshape(len(part), -1) for part in torch.split(v, 128)]
        scores = torch.cat(parts)
        if self.answer is not None and z is not None:
            scores = self.answer(scores, z)
        return float((scores.argmax(1) == self.y).float().mean())


class AskingJudge:
    """Accuracy with the generator of a model that only answers: without errors, and on its held-out chips."""

    def __init__(
        self,
        generator: Generator,
        answers: Sequence[Answers],
        spec: InputSpec,
        data: Dataset,
        device: torch.device,
    ) -> None:
        data = data.take(min(len(data), HELD_OUT_SAMPLES))
        self.generator, self.answers, self.spec, self.y = generator, answers, spec, data.y
        images = torch.from_numpy(spec.normalise(spec.encode(data.x))).to(device)
        self.x = images.contiguous(memory_format=torch.channels_last)
        self.seconds = 0.0

    @torch.no_grad()
    def __call__(self) -> tuple[float, float]:
        """(clean, under errors), shares of the samples."""
        begun = time.monotonic()
        self.generator.eval()
        images = torch.cat([protect(self.generator, part) for part in torch.split(self.x, 128)]).cpu().numpy()
        self.generator.train()
        v = self.spec.denormalise(images)
        clean, *perturbed = (float((answer(v) == self.y).mean()) for answer in self.answers)
        self.seconds += time.monotonic() - begun
        return clean, float(np.mean(perturbed)) if perturbed else clean


class LookingJudge:
    """Accuracy of a generator's own evidence on held-out samples; no chip changes it."""

    def __init__(self, generator: Generator, spec: InputSpec, data: Dataset, device: torch.device) -> None:
        data = data.take(min(len(data), HELD_OUT_SAMPLES))
        self.generator = generator
        images = torch.from_numpy(spec.normalise(spec.encode(data.x))).to(device)
        self.x = images.contiguous(memory_format=torch.channels_last)
        self.y = torch.from_numpy(data.y).to(device)
        self.seconds = 0.0

    @torch.no_grad()
    def __call__(self) -> tuple[float, float]:
        """(clean, under errors), shares of the samples."""
        begun = time.monotonic()
        self.generator.eval()
        scores = torch.cat([self.generator.look(part) for part in torch.split(self.x, 128)])
        self.generator.train()
        right = float((scores.argmax(1) == self.y).float().mean())
        self.seconds += time.monotonic() - begun
        return right, right
