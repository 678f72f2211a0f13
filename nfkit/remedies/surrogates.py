"""Models of the same task that stand in for a base without gradients: the published restricted access.

A generator that changes the base's input is trained by gradients through a model. Where the base gives none, it is
trained through others, at 1.5 times the rate, and the base is asked which state of it is best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.chip import put_on_chip
from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.errors import ModelError, OptionError
from nfkit.faults import VALIDATION_CHIPS, BitErrors, Chip, Layout
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.input.discovery import find_input
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import fault_sites
from nfkit.measure.normalisation import tell_range
from nfkit.model import ModelLike, load, sha256
from nfkit.reports.protection import Distillation, SurrogateFacts

if TYPE_CHECKING:
    from nfkit.learn.config import TrainConfig
    from nfkit.learn.subject import Answers, Surrogate, Surrogates

DISTILLED_KEY = "nfkit.distilled"
"""Metadata key of a surrogate that imitates a base: how it was made."""
CHIPS = VALIDATION_CHIPS[:4]
"""Chips of the base that the best state is chosen on."""
_SAMPLES = 500
_FLOOR = 2.0  # times the accuracy of chance, below which a surrogate has another task
_ROUNDING = 1e-3  # of the largest output: the joint graph may sum in another order


def load_surrogates(models: Sequence[ModelLike], spec: InputSpec, data: Dataset, classes: int) -> list[Surrogate]:
    """Reads surrogates, and refuses what cannot stand in for the base.

    Args:
        models: Paths or models.
        spec: The base's input: surrogates take images of the same shape, in a form of their own.
        data: Labelled samples of the task.
        classes: How many classes the base tells apart.

    Raises:
        OptionError: One takes other images, tells other classes apart, or knows nothing of the task.
        UnsupportedError: One has operators without a gradient.
        ModelError: One cannot be read, is protected, or holds faults.
    """
    from nfkit.learn.gradients.obstacles import refuse_unsupported
    from nfkit.learn.subject import Surrogate

    found: list[Surrogate] = []
    for number, source in enumerate(models, 1):
        model = load(source)
        name = Path(source).stem if isinstance(source, (str, Path)) else f"surrogate {number}"
        if any(other.name == name for other in found):
            name = f"{name} ({number})"
        refuse_faults(model)
        if is_fused(model):
            raise ModelError(f"surrogate {name} is protected: give its base, which nfkit split takes out")
        refuse_unsupported(model)
        form = find_input(model)
        if form.image_shape != spec.image_shape:
            wanted, given = ("x".join(map(str, s.image_shape)) for s in (spec, form))
            raise OptionError(f"surrogate {name} takes images of {given}, the base of {wanted}: give another")
        runner = Runner(model)
        told = tell_range(runner, data, form)
        form = form if told is None else told[0]
        form.bounds()
        tried = data.spread(_SAMPLES)
        if (count := runner.classes(form.encode(tried.x[:1]))) != classes:
            raise OptionError(f"surrogate {name} tells {count} classes apart, the base {classes}: give another")
        accuracy = float((runner.classify(form.encode(tried.x)) == tried.y).mean())
        if accuracy < _FLOOR / classes:
            why = (
                "the imitation has learned too little: give more answers to --distil, or more minutes"
                if distillation_of(model)
                else "it has another task, or other classes"
            )
            raise OptionError(
                f"surrogate {name} is right on {100 * accuracy:.1f} % of {len(tried)} samples of {data.name}: {why}"
            )
        found.append(Surrogate(name, model, fault_sites(model), form))
    return found


def stand_in_for(
    base: ir.Model,
    models: Sequence[ModelLike],
    spec: InputSpec,
    data: Dataset,
    config: TrainConfig,
    classes: int,
    level: Level,
) -> Surrogates:
    """Surrogates of a base, and how that one is asked; see `load_surrogates`."""
    from nfkit.learn.subject import Surrogates

    return Surrogates(load_surrogates(models, spec, data, classes), _ask(base, config.errors, config.layout, level))


def facts_of(surrogates: Sequence[Surrogate], losses: Mapping[str, float]) -> tuple[SurrogateFacts, ...]:
    """What a record says of surrogates, and how well the generator drives each."""
    return tuple(
        SurrogateFacts(s.name, sha256(s.model), losses.get(s.name), distillation_of(s.model)) for s in surrogates
    )


def distillation_of(model: ir.Model) -> Distillation | None:
    """How a surrogate was made that imitates a base; None where it was not, or does not say."""
    try:
        return msgspec.json.decode(model.metadata_props[DISTILLED_KEY], type=Distillation)
    except (KeyError, msgspec.MsgspecError):
        return None


def _ask(base: ir.Model, errors: BitErrors, layout: Layout, level: Level) -> list[Answers]:
    """The base without errors, and on the chips that choose: samples in its input space -> classes [N]."""

    def clean(x: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        return runner.classify(x)

    def on(chip: int) -> Answers:
        placed = put_on_chip(base, Chip(chip, layout), errors, level=level).base
        return lambda x: placed(x).reshape(len(x), -1).argmax(1)

    runner = Runner(base, level=level)
    return [clean, *(on(chip) for chip in CHIPS)]


def check_chain(fused: ir.Model, base: ir.Model, sample: npt.NDArray[Any]) -> float:
    """Compares a fused model with its generator and its base, run one after the other, at level `basic`.

    Returns:
        The largest difference at the output.

    Raises:
        ModelError: When it is more than rounding.
    """
    prefix, _ = split(fused)
    apart = Runner(base, level="basic")(Runner(prefix, level="basic")(sample))
    joint = Runner(fused, level="basic")(sample)
    lost = float(np.abs(joint.astype(np.float64) - apart.astype(np.float64)).max())
    if not lost <= _ROUNDING * max(1.0, float(np.abs(apart).max())):
        raise ModelError(f"the fused model differs by {lost:.3g} from its parts: please report the model")
    return lost
