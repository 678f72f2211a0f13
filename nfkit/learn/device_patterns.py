"""Class patterns for one device, whose faulty cells are known: EOPM with a single copy, the weights that it holds.

    loss = CE(M_device(clip(x + enlarge(shares(x) @ patterns))), y)

What sees the image stays as it is, and so do its shares of the classes; only the patterns learn, a few hundred numbers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import Tensor, nn

from nfkit.data import Dataset
from nfkit.graph.fusion.patterns import ClassPatterns
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import WeightSite
from nfkit.learn.batches import Batches
from nfkit.learn.config import TrainConfig
from nfkit.learn.gradients.steps import Environment
from nfkit.learn.objective import bounded_cross_entropy
from nfkit.learn.subject import Subject, make_subject
from nfkit.learn.train import choose_dtype
from nfkit.progress import OnProgress, Progress

RATE = 1e-2
"""Peak learning rate of Adam, as of patterns in EOPM."""
HELD_OUT = 512
"""Images that choose the best state, a tenth of the data at most."""
LOOKS = 10
"""How often a run measures itself on held-out images; each measurement may become the best so far."""
_SHARES = 1000  # in which it is told how far a run has come


@dataclass(frozen=True, eq=False)
class Device:
    """A frozen model as one device holds it, behind patterns.

    Attributes:
        subject: The model, and the way to its input.
        weights: What the device's cells make of its weights.
        shares: Samples in the model's input space [N, ...] -> the share of each class's pattern, [N, classes].
        step: Side of the square of pixels that a value of a pattern stands for.
    """

    subject: Subject
    weights: Environment
    shares: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]
    step: int

    def scores(self, x: Tensor, patterns: Tensor) -> Tensor:
        """What the device answers: images [N, C, H, W] in [-1, 1] and patterns [classes, C, ...] -> [N, classes]."""
        entry = self.subject.entry
        seen_by_generator = entry(x).cpu().numpy().astype(entry.spec.dtype)
        shares = torch.from_numpy(self.shares(seen_by_generator)).to(x.device)
        mixed = (shares @ patterns.flatten(1)).reshape(-1, *patterns.shape[1:])
        large = nn.functional.interpolate(mixed, scale_factor=float(self.step), mode="nearest")
        protected = torch.clamp(x + large[..., : x.shape[-2], : x.shape[-1]], -1.0, 1.0)
        protected = protected.contiguous(memory_format=torch.channels_last)
        return self.subject.frozen(entry(protected), self.weights, scores=True).reshape(len(x), -1)


@dataclass(frozen=True, eq=False)
class Learned:
    """Patterns for a device.

    Attributes:
        values: They, [classes, channels, rows, columns].
        before: Accuracy on held-out images with the patterns that training started from.
        after: With those.
        steps: Steps of training.
        seconds: Time that it took.
        interrupted: Whether Ctrl-C ended it.
    """

    values: npt.NDArray[np.float32]
    before: float
    after: float
    steps: int
    seconds: float
    interrupted: bool


def learn_patterns(
    base: ir.Model,
    sites: list[WeightSite],
    spec: InputSpec,
    data: Dataset,
    chip: int,
    start: ClassPatterns,
    shares: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]],
    config: TrainConfig,
    on_progress: OnProgress,
) -> Learned:
    """Trains patterns for a device.

    Args:
        base: The frozen model.
        sites: Its weight sites, which err.
        spec: Its input.
        data: Samples to train on; some are held out to choose the best state.
        chip: The device.
        start: The patterns to start from.
        shares: Samples in the model's input space [N, ...] -> shares of the classes [N, classes].
        config: Errors, layout, budget, batch, seed and largest value of a pattern.
        on_progress: Told how far it is.

    Returns:
        The best patterns by held-out accuracy, those of the start included. Ctrl-C ends the run early, with the best so
        far.

    Raises:
        UnsupportedError: When the model has operators without a gradient.
    """
    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    subject = make_subject(
        "device", base, sites, spec, config.errors, config, choose_dtype(config.precision, place), place
    )
    device = Device(subject, subject.copies.chip(chip), shares, start.step)
    rest, held = data.hold_out(min(0.1, HELD_OUT / len(data)), config.seed)
    batches = Batches(
        rest, spec, size=config.batch, seed=config.seed, mirror=config.mirror, shift=config.shift, device=place
    )
    x = torch.from_numpy(spec.normalise(spec.encode(held.x))).to(place)
    y = torch.from_numpy(held.y).to(place)
    return _train(device, start.values, batches, (x, y), config, on_progress)


def _train(
    device: Device,
    start: npt.NDArray[np.float32],
    batches: Batches,
    held_out: tuple[Tensor, Tensor],
    config: TrainConfig,
    on_progress: OnProgress,
) -> Learned:
    """The loop."""
    patterns = nn.Parameter(torch.from_numpy(start.copy()).to(held_out[0].device))
    optimiser = torch.optim.Adam([patterns], betas=(0.9, 0.99))
    before = best = _accuracy(device, patterns, *held_out)
    found, step, looks, interrupted = patterns.detach().clone(), 0, 1, False
    seconds = None if config.minutes is None else config.minutes * 60
    steps = math.ceil((config.epochs or 0.0) * batches.per_epoch)
    begun = time.monotonic()
    try:
        for x, y in batches.starting_at(0):
            spent = time.monotonic() - begun
            done = step / steps if seconds is None else spent / seconds
            if done * LOOKS >= looks or done >= 1:
                looks = math.floor(done * LOOKS) + 1
                if (now := _accuracy(device, patterns, *held_out)) > best:
                    best, found = now, patterns.detach().clone()
            if done >= 1:
                break
            for group in optimiser.param_groups:
                group["lr"] = RATE * (0.5 + 0.5 * math.cos(math.pi * done))
            optimiser.zero_grad()
            loss = bounded_cross_entropy(device.scores(x, patterns), y) / len(y)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            with torch.no_grad():
                patterns.clamp_(-config.amplitude, config.amplitude)
            step += 1
            left = spent / max(done, 1e-3) * (1 - done)
            detail = f"step {step}, loss {loss.item():.3f}; held out: {100 * best:.1f} %"
            on_progress(Progress("training: patterns", round(_SHARES * done), _SHARES, left, detail))
    except KeyboardInterrupt:
        interrupted = True
    return Learned(found.cpu().numpy(), before, best, step, time.monotonic() - begun, interrupted)


@torch.no_grad()
def _accuracy(device: Device, patterns: Tensor, x: Tensor, y: Tensor) -> float:
    parts = [device.scores(part, patterns).argmax(1) for part in torch.split(x, 128)]
    return float((torch.cat(parts) == y).float().mean())
