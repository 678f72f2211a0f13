"""What a training run depends on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Iid, Layout
from nfkit.models.generators import is_hint

_LARGEST_SEED = 2**63 - 1
"""That torch takes."""


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
        answer: Who answers: the `base`, as published, or `both` base and generator.
        residual: Whether the generator changes the base's input; it must where the base answers.
        teaching: Weight of the clean base's soft answers against the labels, where the generator only looks.
        averaging: Share that the running mean of the weights keeps a step, where the generator only looks; 0 for none.
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
    answer: Literal["base", "both"] = "base"
    residual: bool = True
    teaching: float = 0.0
    averaging: float = 0.0
    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        self._check_errors()
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
        if self.seed > _LARGEST_SEED:
            raise OptionError(f"--seed {self.seed}: give a whole number from 0 to 2^63 - 1")
        if not 1 <= self.passes <= self.copies:
            raise OptionError(
                f"passes {self.passes}: each sample is seen by 1 to {self.copies} (--copies) of the copies"
            )
        if self.answer not in ("base", "both"):
            raise OptionError(f"unknown answer {self.answer!r}: choose base or both")
        if self.answer == "base" and not self.residual:
            raise OptionError("where the base answers, the generator has to change its input: give --answer both")
        for name in ("teaching", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)}: give a number from 0 to below 1")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise OptionError(f"unknown precision {self.precision!r}: choose auto, float32 or bfloat16")

    def _check_errors(self) -> None:
        if not self.errors.rate:
            raise OptionError(
                "a bit error rate of 0 has no errors to protect against: give --ber above 0, such as 0.01, or --vdd "
                "below 1; nfkit evaluate measures without errors"
            )

    @property
    def looks_only(self) -> bool:
        """Whether the generator leaves the base's input alone, so that nothing of the base is run in training."""
        return self.answer == "both" and not self.residual

    def to_dict(self) -> dict[str, Any]:
        """The configuration for records and checkpoints."""
        errors = {"rate": self.errors.rate, **self.errors.to_dict()}
        return asdict(self) | {"errors": errors, "layout": str(self.layout)}


@dataclass(frozen=True)
class EvidenceConfig(TrainConfig):
    """What a run depends on where the base only answers: nothing is known of its errors, so the generator only looks.

    The attributes are those of `TrainConfig` without errors, layout, and who answers.
    """

    errors: BitErrors = field(default=BitErrors(0.0), init=False)
    layout: Layout = field(default_factory=Iid, init=False)
    precision: str = field(default="float32", init=False)
    answer: Literal["base", "both"] = field(default="both", init=False)
    residual: bool = field(default=False, init=False)

    def _check_errors(self) -> None:
        if not is_hint(self.generator):
            raise OptionError(f"{self.generator} has no evidence of its own: choose a hint, such as hint-32")
