"""The part of a step that runs the frozen model: alone, or divided among processes."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from nfkit.learn.answer import FusedAnswer
from nfkit.learn.distributed import Driven, ProcessGroup, Share
from nfkit.learn.objective import bounded_cross_entropy, cross_entropy, eopm_gradient
from nfkit.learn.subject import Subject


@dataclass(frozen=True)
class Terms:
    """Of what the EOPM loss is the sum.

    Attributes:
        copies: Perturbed copies a step, N.
        passes: How many of them see each sample.
        weight: Weight of the perturbed copies against the clean model, lambda.
        clean_share: Share of the samples that the clean model sees.
    """

    copies: int
    passes: int
    weight: float
    clean_share: float


@dataclass(frozen=True, eq=False)
class Pull:
    """What a step asks of a frozen model.

    Attributes:
        step: Number of the step, from which its chips follow.
        protected: F(x), [N, C, H, W].
        y: Labels [N].
        bounded: Whether a sample's loss is bounded.
        evidence: The generator's own scores [N, classes] where both ends answer; its gradient is left in it.
        answer: How they answer; the gradients of its numbers are left in them.
    """

    step: int
    protected: Tensor
    y: Tensor
    bounded: bool
    evidence: Tensor | None = None
    answer: FusedAnswer | None = None

    def to(self, device: torch.device | str) -> Pull:
        """The same elsewhere, without any graph or gradient."""
        evidence = None if self.evidence is None else self.evidence.detach().to(device).requires_grad_()
        protected = self.protected.detach().to(device)
        answer = None if self.answer is None else copy.deepcopy(self.answer).to(device)
        return Pull(self.step, protected, self.y.to(device), self.bounded, evidence, answer)


@dataclass(frozen=True, eq=False)
class Setup:
    """What processes are told before a run.

    Attributes:
        driven: The frozen models, which take turns.
        terms: The terms of the loss.
    """

    driven: list[Driven]
    terms: Terms


def pull(subject: Subject, terms: Terms, asked: Pull, group: ProcessGroup | None = None) -> tuple[Tensor, float]:
    """Loss and its gradient at F(x), at the evidence and at the numbers of the answer.

    Args:
        subject: The frozen model.
        terms: The terms of the loss.
        asked: What is asked.
        group: The processes that divide the terms among themselves; each calls this with the same.

    Returns:
        (gradient at F(x), [N, C, H, W], loss).
    """
    share = Share() if group is None else group.share
    first = asked.step * terms.copies
    # The chips of another process are not drawn.
    fresh = (subject.copies.training(first + i) if share.has(1 + i) else {} for i in range(terms.copies))
    combine, evidence, together = asked.answer, asked.evidence, None
    if combine is not None and evidence is not None:
        together = lambda scores, part: combine(scores, evidence[part])  # noqa: E731
    gradient, loss = eopm_gradient(
        subject.frozen, subject.entry, asked.protected, asked.y, fresh, terms.weight, terms.passes, terms.clean_share,
        bounded_cross_entropy if asked.bounded else cross_entropy, together, share.has,
    )  # fmt: skip
    if group is None:
        return gradient, loss
    total = torch.tensor(loss, dtype=torch.float64)
    sides = [] if together is None or combine is None or evidence is None else [evidence, *combine.parameters()]
    for side in sides:
        if side.grad is None:
            side.grad = torch.zeros_like(side)
    group.add([gradient, total, *(side.grad for side in sides if side.grad is not None)])
    return gradient, float(total)


def take_part(group: ProcessGroup) -> None:
    """Takes its share of every step of every run, until the first process says that there are no more.

    Raises:
        AccessError: When that one ends otherwise.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    subjects, setup = list[Subject](), None
    while (message := group.receive()) is not None:
        if isinstance(message, Setup):
            setup, subjects = message, [driven.subject(device) for driven in message.driven]
        elif setup is not None:
            pull(subjects[message.step % len(subjects)], setup.terms, message.to(device), group)
