"""From the settings that a user gives to those of a training: which generator, who answers, and for how long."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Layout
from nfkit.graph.input.spec import InputSpec
from nfkit.plans.generator_choice import Choice, choose
from nfkit.plans.operating_points import Scale, Strength
from nfkit.remedies.both_ends import choose_answer

if TYPE_CHECKING:
    from nfkit.learn.config import TrainConfig

DEFAULT_MINUTES = 10.0
FOR_LOOKING: dict[str, Any] = {"teaching": 0.7}
"""Settings of a generator that only looks, where none are given."""
SHIFT = 2
"""Largest shift in pixels of its images, where they are large enough."""
_LARGE = 24


def configure(
    generator: str,
    errors: BitErrors,
    layout: Layout,
    minutes: float | None,
    epochs: float | None,
    training: dict[str, Any],
) -> TrainConfig:
    """Training settings by name, 10 minutes where no budget is given.

    Raises:
        OptionError: When a setting does not exist or is out of its range.
    """
    from nfkit.learn.config import TrainConfig

    names = {field.name for field in fields(TrainConfig) if field.init}
    if unknown := sorted(training.keys() - names):
        raise OptionError(
            f"there is no setting {', '.join(map(repr, unknown))}: of training there are {', '.join(sorted(names))}"
        )
    budget = DEFAULT_MINUTES if minutes is None and epochs is None else minutes
    return TrainConfig(generator, errors, layout, epochs=epochs, minutes=budget, **training)


def with_answer(
    config: TrainConfig,
    wanted: str,
    residual: bool | None,
    base: ir.Model,
    spec: InputSpec,
    early: bool,
    given: dict[str, Any],
) -> tuple[TrainConfig, str]:
    """Settings for who answers, and why, with those that suit a generator that only looks where none are given.

    Args:
        config: The settings so far.
        wanted: `base`, `both` or `auto`.
        residual: Whether the generator changes the base's input where both answer; by default what is no hint does.
        base: The base.
        spec: Its input.
        early: Whether early answers are wanted.
        given: Settings that the user gave, and that stay.

    Raises:
        NfkitError: As `nfkit.remedies.both_ends.choose_answer`.
    """
    hint = config.generator.lower().startswith("hint")
    who, why = choose_answer(wanted, base, spec, hint, early)
    if who == "base":
        return replace(config, answer="base", residual=True), why
    config = replace(config, answer="both", residual=not hint if residual is None else residual)
    if config.looks_only:
        suited: dict[str, Any] = {**FOR_LOOKING, "shift": SHIFT if min(spec.image_shape[1:]) >= _LARGE else 0}
        config = replace(config, **{name: value for name, value in suited.items() if name not in given})
    return config, why


def choose_generator(
    base: ir.Model,
    spec: InputSpec,
    config: TrainConfig,
    strength: Strength,
    scale: Scale,
    budget: float | None,
    allow_loss: bool,
    widest: int | None = None,
    *,
    looks_only: bool = False,
) -> Choice:
    """The generator to train.

    Args:
        base: The frozen base.
        spec: Its input.
        config: The settings so far, with the generator's name, or auto.
        strength: The operating point.
        scale: What rates stand for.
        budget: Largest share of the base's accesses that it may read, where it is chosen.
        allow_loss: Whether it may cost more energy than it saves.
        widest: The widest that is chosen.
        looks_only: Whether it will leave the base's input alone.

    Raises:
        OptionError: When there is no such generator, or it costs more than it saves.
    """
    choice = choose(
        base, spec.image_shape, config.generator, strength.point, scale.curve, budget=budget, widest=widest,
        looks_only=looks_only,
    )  # fmt: skip
    if choice.saving is not None and not choice.saving.pays and not allow_loss:
        instead = "Lower --energy-budget" if config.generator == "auto" else "Choose --generator auto"
        raise OptionError(f"{choice.reason}. {instead}, or add --allow-loss to go on")
    return choice
