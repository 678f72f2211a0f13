"""What a training run depends on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Layout


@dataclass(frozen=True)
class TrainConfig:
    """What a training run depends on, besides model and data.

    Attributes:
        generator: Name of the architecture.
        errors: Bit errors to train against, at a rate above 0.
        layout: How chips hold the weights.
        epochs: Budget in passes over the training data; a run is reproducible to the bit on one machine.
        minutes: Budget in minutes instead; how many steps fit depends on the machine.
        copies: Perturbed copies a step, N.
        passes: How many of them see each sample; 1 divides the batch among them, N is the published loop.
        weight: Weight of the perturbed copies against the clean model, lambda.
        batch: Samples a step.
        warm_start: Whether to prepare the generator before EOPM; see `nfkit.learn.phases`.
        amplitude: Bound of the class patterns, in units of the input's half range.
        caution: How fast the patterns of a hint fade where it is not sure of the class.
        mirror: Whether to mirror half of the images.
        shift: Largest random shift in pixels.
        seed: Seed of everything random.
        precision: `float32`, `bfloat16`, or `auto` for bfloat16 where the processor computes in it.
    """

    generator: str
    errors: BitErrors
    layout: Layout
    epochs: float | None = None
    minutes: float | None = None
    copies: int = 4
    passes: int = 1
    weight: float = 3.0
    batch: int = 128
    warm_start: bool = True
    amplitude: float = 1.0
    caution: float = 4.0
    mirror: bool = False
    shift: int = 0
    seed: int = 0
    precision: str = "auto"
    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        if not self.errors.rate:
            raise OptionError(
                "a bit error rate of 0 has no errors to protect against: give --ber above 0, such as 0.01, or --vdd "
                "below 1; nfkit evaluate measures without errors"
            )
        if (self.epochs is None) == (self.minutes is None):
            raise OptionError("give the training budget either as --epochs or as --minutes")
        positive = {
            "epochs": self.epochs,
            "minutes": self.minutes,
            "amplitude": self.amplitude,
            "caution": self.caution,
        }
        for name, value in positive.items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise OptionError(f"--{name} {value}: give a number above 0")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise OptionError(f"--weight {self.weight}: give a number from 0 on")
        least = {"copies": 1, "batch": 2, "seed": 0, "shift": 0}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise OptionError(f"--{name} {getattr(self, name)}: give a whole number from {minimum} on")
        if not 1 <= self.passes <= self.copies:
            raise OptionError(
                f"passes {self.passes}: each sample is seen by 1 to {self.copies} (--copies) of the copies"
            )
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise OptionError(f"unknown precision {self.precision!r}: choose auto, float32 or bfloat16")

    def to_dict(self) -> dict[str, Any]:
        """The configuration for records and checkpoints."""
        errors = {"rate": self.errors.rate, **self.errors.to_dict()}
        return asdict(self) | {"errors": errors, "layout": str(self.layout)}
