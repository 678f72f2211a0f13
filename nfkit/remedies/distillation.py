"""A surrogate distilled from a base's own answers: a small network that imitates it, whose codes can err.

Where nobody has another model of the task, the base itself gives one: it is asked for its answers to training samples,
each a query, and a network of int8 weights learns to answer alike. What is trained through that network is trained
through an imitation: how well it imitates, on samples that it has not seen, stands in the record.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.errors import NfkitError, OptionError
from nfkit.graph.fusion.scores import form_of
from nfkit.graph.input.spec import InputSpec
from nfkit.model import load, save
from nfkit.outputs import check_writable
from nfkit.progress import OnProgress, silent
from nfkit.remedies.neuralfuse import CALIBRATION_SAMPLES, CHECKPOINT_SUFFIX
from nfkit.remedies.surrogates import DISTILLED_KEY, distillation_of
from nfkit.reports.protection import Distillation

if TYPE_CHECKING:
    from nfkit.learn.config import TrainConfig

Settings = TypeVar("Settings", bound="TrainConfig")

STUDENT = "hint-128"
"""What imitates: the encoder of the widest hint that trains in minutes, and its head."""
SHARE = 0.3
"""Share of the minutes of a training that the imitation takes."""
LEAST = 100
"""Answers without which nothing is learned."""
BASIS_KEY = "nfkit.distilled_from"
"""Metadata key: what the file depends on, so that a run that goes on need not make it again."""
_TEACHING = 0.9  # of the loss: soft answers say more than the best class, where the base gives them
_AVERAGING = 0.998
_OPSET = 18


def distil(
    ask: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]],
    identity: str,
    data: Dataset,
    spec: InputSpec,
    samples: int,
    config: TrainConfig,
    output: Path,
    *,
    level: Level = "all",
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: OnProgress = silent,
) -> Distillation:
    """Makes a surrogate of a base that only answers, and writes it.

    Args:
        ask: The base: samples in its own input space -> scores [N, classes]; 1 and 0 where it names its best class.
        identity: Digest of whatever its answers depend on.
        data: Samples of the task; their labels are not used.
        spec: The base's input.
        samples: How many of them it is asked for; a tenth of these judges the imitation.
        config: Settings of the training that the surrogate is for: its budget in epochs, or `SHARE` of its minutes, its
            batch, augmentation and seed.
        output: Where to write the surrogate. One of the same base, data and settings is taken as it is.
        level: Optimisation level of ONNX Runtime.
        on_stage: Called with a sentence when a new stage begins.
        on_progress: Told how far the training is.

    Returns:
        How many answers it is made of, and how often it agrees with the base.

    Raises:
        OptionError: When there are too few samples.
        NfkitError: When the base does not answer, or the file cannot be written.
    """
    from nfkit.learn.config import EvidenceConfig
    from nfkit.learn.export import export_generator
    from nfkit.learn.train import train

    if samples < LEAST or len(data) < LEAST:
        raise OptionError(
            f"{min(samples, len(data))} answers are too few to imitate a base by: give {LEAST} or more to --distil, "
            "and as many samples"
        )
    minutes = None if config.minutes is None else SHARE * config.minutes
    settings = EvidenceConfig(
        STUDENT, epochs=config.epochs, minutes=minutes, batch=config.batch, mirror=config.mirror, shift=config.shift,
        seed=config.seed, teaching=_TEACHING, averaging=_AVERAGING,
    )  # fmt: skip
    basis = json.dumps([identity, data.sha256, samples, settings.to_dict()], sort_keys=True)
    found = _found(output)
    if found is not None and found.metadata_props.get(BASIS_KEY) == basis and (made := distillation_of(found)):
        on_stage(f"the imitation of the base in '{output.name}' is of the same answers: taken as it is")
        return made
    check_writable(output)
    chosen = data.spread(samples)
    on_stage(f"asking the base for its answers to {len(chosen)} samples of {data.name}, to imitate it")
    scores = ask(spec.encode(chosen.x))
    names_best = bool(np.isin(scores, (0.0, 1.0)).all())
    answered = Dataset(chosen.name, chosen.x, scores.argmax(1), chosen.mirror, labels="base")
    order = Dataset("order", np.arange(len(chosen))[:, None], None)  # the same division for samples and scores
    rest, held_out = answered.hold_out(0.1, config.seed)
    soft = None if names_best else form_of(scores).log_scores(scores)[order.hold_out(0.1, config.seed)[0].x[:, 0]]
    on_stage(f"training {STUDENT} to answer as the base does")
    checkpoint = output.with_name(f"{output.name}{CHECKPOINT_SUFFIX}")
    trained = train(
        None, [], spec, rest, held_out, replace(settings, teaching=0.0) if names_best else settings,
        classes=scores.shape[1], checkpoint=checkpoint, identity=basis,
        soft=None if soft is None else soft.astype(np.float32), on_progress=lambda now: on_progress(now.stage()),
    )  # fmt: skip
    x = spec.normalise(spec.encode(rest.x[:CALIBRATION_SAMPLES]))
    student = export_generator(
        trained.generator, spec.image_shape, opset=_OPSET, batch="N", calibration=x, residual=False,
        bits=8,  # errors are simulated in it, as in a base
    )  # fmt: skip
    made = Distillation(len(chosen), len(held_out), _agreement(student, held_out, spec, level))
    student.metadata_props[BASIS_KEY] = basis
    student.metadata_props[DISTILLED_KEY] = json.dumps(msgspec.to_builtins(made), sort_keys=True)
    save(student, output)
    checkpoint.unlink(missing_ok=True)
    return made


def imitation_of(output: Path) -> Path:
    """Where the imitation is kept that an output was trained through."""
    return output.with_name(f"{output.name.removesuffix('.onnx')}.surrogate.onnx")


def after_distilling(config: Settings) -> Settings:
    """The settings of a training with the minutes that the imitation leaves."""
    return config if config.minutes is None else replace(config, minutes=(1 - SHARE) * config.minutes)


def _agreement(student: ir.Model, held_out: Dataset, spec: InputSpec, level: Level) -> float:
    """Share of samples that the student classifies as the base did."""
    images = spec.normalise(spec.encode(held_out.x))
    return float((Runner(student, level=level).classify(images) == held_out.y).mean())


def _found(output: Path) -> ir.Model | None:
    """An imitation that was made before; None where there is no such file.

    Raises:
        OptionError: When the file is something else, which is not replaced.
    """
    if not output.exists():
        return None
    try:
        model = load(output)
    except NfkitError:
        model = None
    if model is None or BASIS_KEY not in model.metadata_props:
        raise OptionError(f"'{output}' is no imitation of a base that nfkit made: move it away, or choose another -o")
    return model
