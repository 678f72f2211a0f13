"""What EOPM drives: a frozen model, the way to its input, and copies of it with bit errors.

As a rule the one that is protected. One that only answers has no gradients: then other models of the same task stand in
for it (surrogates; the published restricted access), and it is asked only which state of the generator suits it best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch

from nfkit.faults import BitErrors
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import WeightSite
from nfkit.learn.chips import PerturbedCopies
from nfkit.learn.config import TrainConfig
from nfkit.learn.gradients.frozen import FrozenGraph
from nfkit.learn.objective import ModelInput

Answers = Callable[[npt.NDArray[Any]], npt.NDArray[np.int64]]
"""Samples in a model's own input space, [N, *shape] -> the classes that it answers, [N]."""

SURROGATE_FACTOR = 1.5
"""How much stronger the errors are that surrogates have: 1.5 % for 1 % at work (Sun et al., 2024, section 4.4)."""


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A model of the same task that stands in for one without gradients.

    Attributes:
        name: What it is called in reports.
        model: Its graph.
        sites: Weight sites of it that err.
        spec: Its input, of the same images.
    """

    name: str
    model: ir.Model
    sites: list[WeightSite]
    spec: InputSpec


@dataclass(frozen=True, eq=False)
class Surrogates:
    """What stands in for a model, and how that one is asked.

    Attributes:
        models: The surrogates.
        answers: The model itself: without errors first, then on chips that are held out to choose between states.
    """

    models: Sequence[Surrogate]
    answers: Sequence[Answers]


@dataclass(frozen=True, eq=False)
class Subject:
    """A frozen model as training sees it.

    Attributes:
        name: What it is called in reports.
        frozen: Its graph in torch.
        entry: The way from images in [-1, 1] to its input.
        copies: Source of copies with bit errors.
    """

    name: str
    frozen: FrozenGraph
    entry: ModelInput
    copies: PerturbedCopies


def make_subject(
    name: str,
    model: ir.Model,
    sites: list[WeightSite],
    spec: InputSpec,
    errors: BitErrors,
    config: TrainConfig,
    dtype: torch.dtype,
    device: torch.device,
) -> Subject:
    """A frozen model for training.

    Raises:
        UnsupportedError: When the model has operators without a gradient.
    """
    frozen = FrozenGraph(model, sites, dtype=dtype, device=device)
    copies = PerturbedCopies(model, sites, frozen, errors, config.layout, config.seed)
    return Subject(name, frozen, ModelInput(spec, device), copies)
