"""Training a generator for a frozen model: the loop, in one visible file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch

from nfkit.data import Dataset
from nfkit.faults.kinds import MAX_RATE
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import WeightSite
from nfkit.learn.batches import Batches
from nfkit.learn.checkpoint import Checkpoint, Mark
from nfkit.learn.config import TrainConfig
from nfkit.learn.distributed import Driven, present
from nfkit.learn.eopm_step import Setup
from nfkit.learn.judge import AskingJudge, Judge, LookingJudge
from nfkit.learn.looking import Looking
from nfkit.learn.memory import keep_freed_memory
from nfkit.learn.optimiser import Optimiser
from nfkit.learn.phases import Losses
from nfkit.learn.subject import SURROGATE_FACTOR, Surrogates
from nfkit.models.generators import build
from nfkit.models.generators.base import Generator
from nfkit.progress import Progress as Stage

MARKS = 60
"""How often a run notes its loss for the record."""
REPORTS = 20
"""How often a run measures itself on held-out data; each measurement may become the best so far."""
SAVE_EVERY = 60.0
"""Seconds between checkpoints."""
_ITSELF = "the model itself"
_SHARES = 1000  # in which it is told how far a run has come, since a budget in minutes has no steps to count


@dataclass(frozen=True)
class Progress:
    """How far a run has come: what a progress display needs.

    Attributes:
        phase: Name of the phase.
        step: Steps done in all.
        done: Share of the budget that is used up.
        loss: Running mean of the loss.
        clean: Clean accuracy on held-out data with the generator; None between measurements.
        perturbed: The same on held-out chips.
        seconds_left: Estimated time to the end.
        by_model: Running mean of the EOPM loss of each surrogate; empty without.
    """

    phase: str
    step: int
    done: float
    loss: float
    clean: float | None
    perturbed: float | None
    seconds_left: float
    by_model: Mapping[str, float] = field(default_factory=dict)

    def stage(self) -> Stage:
        """The same for a display that knows no training."""
        detail = f"step {self.step}, loss {self.loss:.3f}"
        if self.clean is not None and self.perturbed is not None:
            detail += f"; held out: clean {self.clean:.1%}, faulty {self.perturbed:.1%}"
        detail += "".join(f"; {name} {loss:.3f}" for name, loss in self.by_model.items())
        return Stage(f"training: {self.phase}", round(_SHARES * self.done), _SHARES, self.seconds_left, detail)


@dataclass(frozen=True)
class Trained:
    """The result of a run: the best generator found, in evaluation mode, and how it went."""

    generator: Generator
    steps: int
    seconds: float
    clean: float
    perturbed: float
    interrupted: bool
    precision: str
    by_model: Mapping[str, float] = field(default_factory=dict)
    course: Sequence[Mark] = ()


def train(
    model: ir.Model | None,
    sites: list[WeightSite],
    spec: InputSpec,
    data: Dataset,
    held_out: Dataset,
    config: TrainConfig,
    *,
    classes: int,
    checkpoint: Path | None = None,
    identity: str = "",
    soft: npt.NDArray[np.float32] | None = None,
    surrogates: Surrogates | None = None,
    on_start: Callable[[str], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Trains a generator by EOPM, or, where it only looks at the image, as `nfkit.learn.looking` says.

    Args:
        model: The frozen model; None where there is none to read: the generator only looks then, or others stand in.
        sites: Weight sites that err.
        spec: The model's input.
        data: Samples to train on.
        held_out: Samples to choose the best state by.
        config: The settings.
        classes: Number of classes.
        checkpoint: File to keep the state of the run in; a run of the same settings goes on from it.
        identity: Digest of model and data, so that a checkpoint is not continued on others.
        soft: Log scores of the clean model for the training samples, [len(data), classes]; they teach a generator
            that only looks.
        surrogates: What stands in for a model without gradients, with stronger errors; the model itself is asked only
            which state is best.
        on_start: Called with a sentence where there is a checkpoint: that this run goes on from it, or why not.
        on_progress: Called after every step.

    Returns:
        The best generator by held-out accuracy. Ctrl-C ends the run early, with the best so far.

    Raises:
        UnsupportedError: When the model has operators without a gradient.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = choose_dtype(config.precision, device)
    keep_freed_memory()
    torch.manual_seed(config.seed)
    driven = _find_driven(model, sites, spec, config, surrogates, dtype)
    subjects, group = [each.subject(device) for each in driven], present()
    channels, height, width = spec.image_shape
    generator = build(
        config.generator, channels, (height, width), classes, config.amplitude, config.caution, config.answer == "both"
    ).to(device)
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    losses: Losses | Looking
    judge: Judge | AskingJudge | LookingJudge
    if not subjects:
        fast = torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)
        labels = torch.from_numpy(data.y).to(device)
        opinions = None if soft is None else torch.from_numpy(soft).float().to(device)
        losses = Looking(generator, fast, labels, opinions, config.teaching, config.averaging).to(device)
        phases = losses.schedule()
        judge = LookingJudge(generator, spec, held_out, device)
    else:
        losses = Losses(
            generator, subjects, spec.image_shape,
            classes=classes, per_step=config.copies, passes=config.passes, weight=config.weight,
            amplitude=config.amplitude, both=config.answer == "both", group=group if group and group.together else None,
        ).to(device)  # fmt: skip
        if losses.group:
            losses.group.send(Setup(driven, losses.terms))
        phases = losses.schedule(config.warm_start)
        if surrogates is None:
            judge = Judge(generator, subjects[0], spec, held_out, losses.answer)
        else:
            judge = AskingJudge(generator, surrogates.answers, spec, held_out, device)
    batches = Batches(
        data,
        spec,
        size=config.batch,
        seed=config.seed,
        mirror=config.mirror,
        shift=config.shift,
        device=device,
        labels=np.arange(len(data)) if config.looks_only else None,
    )
    budget = config.minutes * 60 if config.minutes else math.ceil(config.epochs * batches.per_epoch)  # type: ignore[operator]

    state = Checkpoint.resume(checkpoint, {**config.to_dict(), "identity": identity}, losses)
    if state.note and on_start:
        on_start(state.note)
    started, interrupted, loss = time.monotonic() - state.seconds, False, math.nan
    saved = time.monotonic()
    try:
        while state.phase < len(phases):
            phase = phases[state.phase]
            begin = sum(p.share for p in phases[: state.phase])
            optimiser = Optimiser(phase.groups)
            state.restore(optimiser)
            for x, y in batches.starting_at(state.step):  # x [N, C, H, W] in [-1, 1], y [N]
                used = (time.monotonic() - started) if config.minutes else state.step
                done = used / budget
                if done >= begin + phase.share - 1e-9:
                    break
                optimiser.zero_grad()
                value = phase.loss(x, y, state.step)
                optimiser.step(_rate((done - begin) / phase.share))
                state.step += 1
                loss = value if math.isnan(loss) else 0.98 * loss + 0.02 * value
                clean = perturbed = None
                due = phase.name in ("paint", "eopm") and done * REPORTS >= state.reports
                # Short runs cannot afford to measure often; runs by epochs must not depend on the clock.
                if due and (config.epochs or judge.seconds <= 0.1 * (time.monotonic() - started)):
                    state.reports = math.floor(done * REPORTS) + 1
                    clean, perturbed = judge()
                    state.judge(generator, _score(clean, perturbed, config.weight), clean, perturbed)
                if clean is not None or done * MARKS >= len(state.course):
                    state.course.append((phase.name, state.step, round(done, 4), round(loss, 5), clean, perturbed))
                if time.monotonic() - saved > SAVE_EVERY:
                    state.seconds, saved = time.monotonic() - started, time.monotonic()
                    state.save(losses, optimiser)
                if on_progress:
                    spent = time.monotonic() - started
                    left = budget - spent if config.minutes else spent / max(done, 1e-3) * (1 - done)
                    so_far = _by_model(losses)
                    on_progress(Progress(phase.name, state.step, done, loss, clean, perturbed, max(0.0, left), so_far))
            state.seconds = time.monotonic() - started
            state.phase, loss = state.phase + 1, math.nan
            state.save(losses, None)
    except KeyboardInterrupt:
        interrupted = True
    if isinstance(losses, Looking):
        losses.finish()
    clean, perturbed = judge()
    state.judge(generator, _score(clean, perturbed, config.weight), clean, perturbed)
    generator.load_state_dict(state.best)
    generator.eval()
    return Trained(
        generator.cpu(), state.step, time.monotonic() - started, state.clean, state.perturbed, interrupted,
        str(dtype).removeprefix("torch."), _by_model(losses), tuple(state.course),
    )  # fmt: skip


def _by_model(losses: Losses | Looking) -> dict[str, float]:
    """The loss of each surrogate so far; empty where the model itself is driven, or none."""
    if isinstance(losses, Looking):
        return {}
    return {name: loss for name, loss in losses.by_model.items() if name != _ITSELF}


def _find_driven(
    model: ir.Model | None,
    sites: list[WeightSite],
    spec: InputSpec,
    config: TrainConfig,
    surrogates: Surrogates | None,
    dtype: torch.dtype,
) -> list[Driven]:
    """What is driven: nothing where the generator only looks, else the model, or what stands in for it."""
    if config.looks_only:
        return []
    if surrogates is None:
        assert model is not None, "without a model to read there is nothing to drive"
        return [Driven(_ITSELF, model, sites, spec, config.errors, config, dtype)]
    # Which sites or bits of the base are robust says nothing of those of others.
    stronger = config.errors.at(min(SURROGATE_FACTOR * config.errors.rate, MAX_RATE))
    errors = replace(stronger, protected_sites=())
    return [Driven(s.name, s.model, s.sites, s.spec, errors, config, dtype) for s in surrogates.models]


def _rate(part: float) -> float:
    """Share of the peak learning rate over a phase: a short warm-up, then half a cosine down to zero."""
    return min(1.0, part / 0.05 + 0.05) * (0.5 + 0.5 * math.cos(math.pi * min(part, 1.0)))


def _score(clean: float, perturbed: float, weight: float) -> float:
    """What the best state is chosen by: the accuracies, weighed as the loss weighs them."""
    return (clean + weight * perturbed) / (1 + weight)


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The floating type to train in: for `auto` bfloat16 where the processor computes in it."""
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    # Without the instructions, bfloat16 is emulated and slower than float32.
    return torch.bfloat16 if torch.backends.cpu.get_cpu_capability() in _BF16 and _has_bf16() else torch.float32


_BF16 = ("AVX512", "AVX512_VNNI", "AMX")


def _has_bf16() -> bool:
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(known and known())
