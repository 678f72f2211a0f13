"""The phases of training a generator, each a loss on one batch.

EOPM from a cold start stays near the identity for many epochs: a generator has to find out at once what moves the
faulty copies and which image is which class. The two can be learned apart, quickly, before they are joined:

1. `patterns`: one additive pattern a class, for images whose label is known, trained by EOPM. A few hundred steps
   show what drives the frozen model to each class, faults or not.
2. `labels`: the generator's encoder, with a linear head on its bottleneck, learns to tell the classes apart. The
   base is not run.
3. `paint`: the whole generator learns to answer an image with the pattern of its class. The base is not run.
4. `eopm`: the objective itself, from there on: of the answer of both ends where these answer together.

A hint generator holds class patterns and a head of its own: the first two phases train them in place, there is nothing
to paint, and EOPM goes on with all of it at once. Generators without a bottleneck (the universal pattern) have nothing
to prepare and start with `eopm`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from nfkit.learn.answer import FusedAnswer
from nfkit.learn.distributed import ProcessGroup
from nfkit.learn.eopm_step import Pull, Terms, pull
from nfkit.learn.objective import protect
from nfkit.learn.optimiser import Group, under_batch_norm
from nfkit.learn.subject import Subject
from nfkit.models.generators.base import Generator
from nfkit.models.generators.hint import Hint

MATRIX_RATE = 0.03
"""Peak relative step of Muon, in norms of the weight: 82.0 % after six epochs of CIFAR-10, 81.1 % at 0.05."""

_CLEAN_SHARE = 0.25
"""Share of a batch that the clean model sees, where each sample is seen by one perturbed copy."""

_EVIDENCE_WEIGHT = 1.0
"""Weight of the generator's own classification during EOPM, where it has one."""

PhaseName = Literal["patterns", "labels", "paint", "eopm"]


@dataclass(frozen=True)
class Phase:
    """One stretch of training.

    Attributes:
        name: What is learned.
        share: Part of the whole budget.
        groups: What is trained, and how fast.
        loss: (images, labels, step) -> loss; leaves its gradients in the parameters.
    """

    name: PhaseName
    share: float
    groups: list[Group]
    loss: Callable[[Tensor, Tensor, int], float]


class Losses(nn.Module):
    """The losses of all phases, and the parameters that only they need.

    Attributes:
        by_model: Running mean of the EOPM loss of each model that was driven.

    Args:
        generator: What is trained.
        subjects: The frozen models that it drives; where there are several they take turns, a step each.
        image_shape: (channels, height, width) of the images.
        classes: Number of classes.
        per_step: Perturbed copies a step, N.
        passes: How many of them see each sample.
        weight: Weight of the perturbed copies against the clean model, lambda.
        amplitude: Largest value of a class pattern, in units of the input's half range.
        both: Whether base and generator answer together, which is then what EOPM trains for.
        group: Processes that divide the frozen models' share of each step among themselves.
    """

    def __init__(
        self,
        generator: Generator,
        subjects: Sequence[Subject],
        image_shape: tuple[int, int, int],
        *,
        classes: int,
        per_step: int,
        passes: int,
        weight: float,
        amplitude: float,
        both: bool = False,
        group: ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        self.generator, self.subjects = generator, list(subjects)
        self.answer = FusedAnswer() if both else None
        self.by_model: dict[str, float] = {}
        self.amplitude, self.group = amplitude, group
        # The clean model's term weighs little: few samples are enough, unless the published loop is asked for.
        self.terms = Terms(per_step, passes, weight, min(1.0, passes * _CLEAN_SHARE))
        self.pattern = nn.Parameter(torch.zeros(classes, *image_shape))
        self.head = nn.Linear(max(1, generator.bottleneck_channels), classes)

    def schedule(self, warm_start: bool) -> list[Phase]:
        """The phases in order, with their shares of the budget."""
        network: list[Tensor] = list(self.generator.parameters())
        trust = [] if self.answer is None else [Group(list(self.answer.parameters()), 1e-2)]
        if not warm_start or not self.generator.bottleneck_channels:
            rate = 1e-3 if self.generator.bottleneck_channels else 1e-2
            return [Phase("eopm", 1.0, [Group(network, rate), *trust], self._eopm)]
        if isinstance(self.generator, Hint):
            hint = self.generator
            encoder: list[Tensor] = [*hint.encoder.parameters(), *hint.head.parameters()]
            # The encoder is all but done when EOPM starts: larger steps undo more than they teach.
            joint = [Group(encoder, 1e-4), Group([hint.pattern], 1e-2)]
            return [
                Phase("patterns", 0.18, [Group([hint.pattern], 5e-2)], self._patterns),
                Phase("labels", 0.52, self._fast_groups(encoder, 4e-3), self._labels),
                Phase("eopm", 0.30, [*joint, *trust], self._eopm),
            ]
        with_head = [*network, *self.head.parameters()]
        return [
            Phase("patterns", 0.12, [Group([self.pattern], 5e-2)], self._patterns),
            Phase("labels", 0.26, self._fast_groups(with_head, 3e-3), self._labels),
            Phase("paint", 0.24, [Group(with_head, 2e-3)], self._paint),
            Phase("eopm", 0.38, [Group(network, 5e-4), *trust], self._eopm),
        ]

    def _fast_groups(self, parameters: list[Tensor], rate: float) -> list[Group]:
        """Muon where it applies, Adam at the given rate for the rest."""
        chosen = {id(weight) for weight in under_batch_norm(self.generator)}
        return [
            Group([p for p in parameters if id(p) in chosen], MATRIX_RATE, muon=True),
            Group([p for p in parameters if id(p) not in chosen], rate),
        ]

    def class_patterns(self) -> Tensor:
        """The additive patterns, [classes, C, H, W], bounded by the amplitude."""
        if isinstance(self.generator, Hint):
            return self.generator.class_patterns()
        return self.amplitude * torch.tanh(self.pattern)

    def _patterns(self, x: Tensor, y: Tensor, step: int) -> float:
        few = (len(x) + 1) // 2  # patterns are few numbers: twice the steps teach more than the other half
        x, y = x[:few], y[:few]
        protected = torch.clamp(x + self.class_patterns()[y], -1.0, 1.0)
        return self._through_models(protected, y, step)

    def _labels(self, x: Tensor, y: Tensor, step: int) -> float:
        with self._fast():
            scores = self._evidence(self.generator.encode(self.generator.pad(x)))
        loss = nn.functional.cross_entropy(scores.float(), y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def _paint(self, x: Tensor, y: Tensor, step: int) -> float:
        height, width = x.shape[-2:]
        with self._fast():
            features = self.generator.encode(self.generator.pad(x))
            scores = self._evidence(features)
            painted = self.generator.decode(features)[..., :height, :width]
        wanted = self.class_patterns().detach()[y]
        # In units of the amplitude, so that the two terms weigh alike for every amplitude.
        loss = nn.functional.mse_loss(painted.float(), wanted) / self.amplitude**2
        loss = loss + 0.3 * nn.functional.cross_entropy(scores.float(), y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def _eopm(self, x: Tensor, y: Tensor, step: int) -> float:
        if not self.generator.classes:
            with self._fast():
                protected = protect(self.generator, x)
            return self._through_models(protected, y, step)
        with self._fast():
            residual, evidence = self.generator.explain(x)
        # Evidence that only had to please the base would drift from what the image shows.
        alone = _EVIDENCE_WEIGHT * nn.functional.cross_entropy(evidence.float(), y)
        # Where a hint is wrong the base errs with confidence; a few such samples must not outweigh all others.
        protected = torch.clamp(x + residual.float(), -1.0, 1.0)
        return self._through_models(protected, y, step, bounded=True, extra=alone, evidence=evidence)

    def _through_models(
        self,
        protected: Tensor,
        y: Tensor,
        step: int,
        bounded: bool = False,
        extra: Tensor | None = None,
        evidence: Tensor | None = None,
    ) -> float:
        """Gradients of the EOPM loss at F(x), at the evidence where both ends answer, and of an extra term."""
        subject, seen = self.subjects[step % len(self.subjects)], None
        if self.answer is not None and evidence is not None:
            # The base's graph is left after each copy: what they all leave here goes back from here at once.
            seen = evidence.detach().float().requires_grad_()
        asked = Pull(step, protected, y, bounded, seen, None if seen is None else self.answer)
        if self.group is None:
            gradient, loss = pull(subject, self.terms, asked)
        else:
            with self.group.asked(asked):
                gradient, loss = pull(subject, self.terms, asked, self.group)
        self.by_model[subject.name] = 0.9 * self.by_model.get(subject.name, loss) + 0.1 * loss
        ends: list[tuple[Tensor, Tensor]] = [(protected, gradient)]
        if extra is not None:
            ends.append((extra, torch.ones_like(extra)))
        if evidence is not None and seen is not None and seen.grad is not None:
            ends.append((evidence, seen.grad.to(evidence.dtype)))
        torch.autograd.backward([end for end, _ in ends], [slope for _, slope in ends])
        return loss

    def _evidence(self, features: list[Tensor]) -> Tensor:
        if self.generator.classes:
            return self.generator.evidence(features)
        scores: Tensor = self.head(self._pool(features))
        return scores

    def _pool(self, features: list[Tensor]) -> Tensor:
        return features[-1].mean(dim=(2, 3))

    def _fast(self) -> torch.autocast:
        frozen = self.subjects[0].frozen
        return torch.autocast(frozen.device.type, torch.bfloat16, enabled=frozen.dtype == torch.bfloat16)
