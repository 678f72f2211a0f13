"""Training a generator's evidence alone, from labels: the base is not run, so it may be anything that answers.

What is learned is the encoder of a hint and its head; its patterns stay zero, and do not go into the file.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nfkit.data import Dataset
from nfkit.errors import OptionError
from nfkit.graph.input.spec import InputSpec
from nfkit.learn.batches import Batches
from nfkit.learn.memory import keep_freed_memory
from nfkit.learn.optimiser import Group, Optimiser, under_batch_norm
from nfkit.learn.phases import MATRIX_RATE
from nfkit.models.generators import build
from nfkit.models.generators.hint import Hint
from nfkit.progress import OnProgress, Progress, silent

_RATE = 4e-3
_REPORTS = 20


@dataclass(frozen=True)
class EvidenceConfig:
    """How evidence is trained.

    Attributes:
        generator: Name of a hint.
        epochs: Budget in passes over the data; reproducible to the bit on one machine.
        minutes: Budget in minutes instead.
        batch: Samples a step.
        mirror: Whether to mirror half of the images.
        shift: Largest random shift in pixels.
        seed: Seed of everything random.
    """

    generator: str
    epochs: float | None = None
    minutes: float | None = None
    batch: int = 128
    mirror: bool = False
    shift: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.minutes is None):
            raise OptionError("give the training budget either as --epochs or as --minutes")
        budget = self.epochs if self.epochs is not None else self.minutes
        if budget is None or not (math.isfinite(budget) and budget > 0):
            raise OptionError(f"--epochs or --minutes {budget}: give a number above 0")


def train_evidence(
    spec: InputSpec,
    data: Dataset,
    held_out: Dataset,
    config: EvidenceConfig,
    classes: int,
    *,
    on_progress: OnProgress = silent,
) -> tuple[Hint, float]:
    """Trains the encoder of a hint to tell classes apart.

    Args:
        spec: The input.
        data: Labelled samples to train on.
        held_out: Labelled samples to choose the best state by.
        config: The settings.
        classes: Number of classes.
        on_progress: Told how far it is.

    Returns:
        The hint of the best state, in evaluation mode, and its accuracy on the held-out samples.

    Raises:
        OptionError: When the generator is no hint.
    """
    torch.manual_seed(config.seed)
    keep_freed_memory()
    channels, height, width = spec.image_shape
    hint = build(config.generator, channels, (height, width), classes)
    if not isinstance(hint, Hint):
        raise OptionError(f"{config.generator} has no evidence of its own: choose a hint, such as hint-32")
    chosen = {id(weight) for weight in under_batch_norm(hint)}
    learned = [*hint.encoder.parameters(), *hint.head.parameters()]
    optimiser = Optimiser(
        [
            Group([p for p in learned if id(p) in chosen], MATRIX_RATE, muon=True),
            Group([p for p in learned if id(p) not in chosen], _RATE),
        ]
    )
    device = torch.device("cpu")
    batches = Batches(
        data, spec, size=config.batch, seed=config.seed, mirror=config.mirror, shift=config.shift, device=device
    )
    images = torch.from_numpy(spec.normalise(spec.encode(held_out.x)))
    steps = None if config.epochs is None else max(1, math.ceil(config.epochs * batches.per_epoch))
    begun, best, state, reports = time.monotonic(), -1.0, hint.state_dict(), 0
    for step, (x, y) in enumerate(batches.starting_at(0)):
        spent = time.monotonic() - begun
        done = step / steps if steps is not None else spent / (60 * (config.minutes or 1.0))
        if done * _REPORTS >= reports or done >= 1:
            reports = math.floor(done * _REPORTS) + 1
            accuracy = _accuracy(hint, images, held_out)
            if accuracy >= best:
                best, state = accuracy, {k: v.clone() for k, v in hint.state_dict().items()}
            left = spent / done * (1 - done) if done > 0 else None
            on_progress(Progress("training the evidence", min(100, round(100 * done)), 100, left, f"{accuracy:.1%}"))
        if done >= 1:
            break
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(hint.evidence(hint.encode(hint.pad(x))), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step(min(1.0, done / 0.05 + 0.05) * (0.5 + 0.5 * math.cos(math.pi * done)))
    hint.load_state_dict(state)
    return hint.eval(), best


@torch.no_grad()
def _accuracy(hint: Hint, images: Tensor, data: Dataset) -> float:
    """Share of the held-out samples whose highest evidence is their label."""
    hint.eval()
    scores = torch.cat([hint.evidence(hint.encode(hint.pad(part))) for part in torch.split(images, 256)])
    hint.train()
    return float(np.mean(scores.argmax(1).numpy() == data.y))
