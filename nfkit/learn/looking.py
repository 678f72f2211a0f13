"""Training a generator that only looks: all of the budget goes to the encoder and its head.

Nothing of the base is run, so none of its operators needs a gradient. What it can give is its opinion: soft answers
of the clean base, computed once for the training images, teach beside the labels

    loss = (1 - w) CE(z, y) + w T CE(z / T, softmax(s / T))

(Hinton et al., Distilling the knowledge in a neural network, 2015; T in place of their T^2, since the two terms differ
in more than scale). What is kept is a running mean of the weights over the last part of the run, which errs less than
any single step's.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from nfkit.learn.optimiser import Group, under_batch_norm
from nfkit.learn.phases import MATRIX_RATE, Phase
from nfkit.models.generators.base import Generator

_RATE = 4e-3
_SOFTNESS = 2.0  # T


class Looking(nn.Module):
    """The loss of a generator that only looks, and the running mean of its weights.

    Args:
        generator: What is trained; it has evidence.
        fast: Context in which its forward pass runs, such as an autocast.
        labels: Labels of the training samples [M]; batches name samples by their index.
        soft: Log scores of the clean base for the same samples, [M, classes]; None to learn from labels alone.
        teaching: w, the weight of the soft answers.
        averaging: Share of the running mean that a step keeps; 0 for none.
    """

    def __init__(
        self,
        generator: Generator,
        fast: torch.autocast,
        labels: Tensor,
        soft: Tensor | None,
        teaching: float,
        averaging: float,
    ) -> None:
        super().__init__()
        self.generator, self.fast, self.averaging = generator, fast, averaging
        self.teaching = teaching if soft is not None else 0.0
        self._labels = labels
        self._soft = None if soft is None else torch.softmax(soft / _SOFTNESS, dim=1)
        self.mean = copy.deepcopy(generator) if averaging else None

    def schedule(self) -> list[Phase]:
        """One phase, the encoder's."""
        chosen = {id(weight) for weight in under_batch_norm(self.generator)}
        # Whatever does not lie before the evidence gets no gradient, and so is not moved.
        parameters = list(self.generator.parameters())
        groups = [
            Group([p for p in parameters if id(p) in chosen], MATRIX_RATE, muon=True),
            Group([p for p in parameters if id(p) not in chosen], _RATE),
        ]
        return [Phase("labels", 1.0, groups, self._loss)]

    def _loss(self, x: Tensor, index: Tensor, step: int) -> float:
        self._average(step)
        y = self._labels[index]
        with self.fast:
            scores = self.generator.look(x)
        scores = scores.float()
        loss = nn.functional.cross_entropy(scores, y)
        if self._soft is not None and self.teaching:
            taught = nn.functional.cross_entropy(scores / _SOFTNESS, self._soft[index]) * _SOFTNESS
            loss = (1 - self.teaching) * loss + self.teaching * taught
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    @torch.no_grad()
    def _average(self, step: int) -> None:
        """Takes the weights that the last step left into the running mean, quickly at first."""
        if self.mean is None:
            return
        kept = min(self.averaging, (step + 1) / (step + 10))
        for mine, theirs in zip(self.mean.state_dict().values(), self.generator.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.mul_(kept).add_(theirs, alpha=1 - kept)
            else:
                mine.copy_(theirs)

    def finish(self) -> None:
        """Puts the running mean in the generator's place."""
        if self.mean is not None:
            self.generator.load_state_dict(self.mean.state_dict())
