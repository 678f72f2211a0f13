"""`nfkit.protect`: from a frozen model to a protected file, measured, with a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nfkit.access.base import GraphBase
from nfkit.access.runtime import Level
from nfkit.errors import OptionError
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import fault_sites
from nfkit.measure.bench import RowCallback
from nfkit.model import ModelLike, check_output, default_output, sha256
from nfkit.models.generators import HINTS
from nfkit.outputs import check_writable
from nfkit.plans.tolerance import CONFIDENCE, check_confidence, check_tolerance
from nfkit.progress import OnProgress, silent
from nfkit.remedies.both_ends import TrustData
from nfkit.remedies.distillation import after_distilling, imitation_of
from nfkit.remedies.distillation import distil as imitate
from nfkit.remedies.neuralfuse import (
    CHECKPOINT_SUFFIX,
    GeneratorPrecision,
    refuse_protected,
    refuse_unprotectable,
    require_torch,
    shield,
)
from nfkit.reports.protection import Protection
from nfkit.reports.provenance import Provenance
from nfkit.workflows import inputs
from nfkit.workflows.configuring import choose_generator, configure, with_answer
from nfkit.workflows.finishing import Finishing, rates_around, write
from nfkit.workflows.forecast import Pace, of_protection
from nfkit.workflows.inputs import DataLike
from nfkit.workflows.intake import LabelSource, data_for_training, mirrors, range_by_data, require_found
from nfkit.workflows.memory import divide, foreign_curve
from nfkit.workflows.within import BUDGET, RATE, WIDEST, Tolerance, as_means, may_answer_early

if TYPE_CHECKING:
    from nfkit.learn.config import TrainConfig
    from nfkit.learn.train import Progress as TrainingProgress

DEFAULT_EARLY_LOSS = 0.005
_ALWAYS_PLANNED = 2
"""Remedies of a plan that need nothing of the chip: the base as it is, and held in offset binary."""


def protect(
    model: ModelLike,
    data: DataLike | None = None,
    test: DataLike | None = None,
    spec: InputSpec | None = None,
    config: TrainConfig | None = None,
    output: str | Path | None = None,
    *,
    ber: float | None = None,
    vdd: float | None = None,
    generator: str = "auto",
    energy_budget: float | None = None,
    allow_loss: bool = False,
    labels: LabelSource = "data",
    allow_low_accuracy: bool = False,
    minutes: float | None = None,
    epochs: float | None = None,
    mirror: bool | None = None,
    generator_precision: GeneratorPrecision = "int8",
    chips: int = inputs.DEFAULT_CHIPS,
    around: bool = True,
    answer: str = "auto",
    residual: bool | None = None,
    early: bool = False,
    early_loss: float = DEFAULT_EARLY_LOSS,
    trust_data: DataLike | None = None,
    base_accuracy: float | None = None,
    surrogates: Sequence[ModelLike] = (),
    distil: int | None = None,
    max_loss: float | None = None,
    can: str | Iterable[str] = (),
    confidence: float = CONFIDENCE,
    level: Level = "all",
    force: bool = False,
    record: str | Path | None = None,
    search: dict[str, Any] | None = None,
    command: str | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: OnProgress = silent,
    on_training: Callable[[TrainingProgress], None] | None = None,
    on_row: RowCallback | None = None,
    **settings: Any,
) -> Protection:
    """Protects a frozen model against bit errors in its weights: trains a generator, fuses, measures, writes.

        nfkit.protect("model.onnx", "train.npz", ber=0.01)

    The file and its record appear together: the record first, and neither before the other could be written. A run that
    was killed goes on when it is called again.

    Args:
        model: The frozen model: a path, a ModelProto or an onnx-ir model; never changed.
        data: Samples to train on: what `--data` takes, a `Dataset`, or arrays (x, y); by default looked for beside the
            model, as `nfkit.data.found` says. A tenth of them is held out to choose the best state.
        test: Samples to measure the result on; the test part of `data` by default, or a tenth of it.
        spec: The model's input; found in the file by default.
        config: All training settings at once, in place of those below.
        output: Where to write the fused model; beside the model by default.
        ber: Bit error rate per cell to train against; 0.01 by default.
        vdd: Supply voltage over Vmin in place of a rate.
        generator: Architecture, or auto for the widest hint within the energy budget.
        energy_budget: Largest share of the base's accesses that the generator may read.
        allow_loss: Whether to go on with a generator that costs more energy than it saves.
        labels: Whose labels: the data's own, or the clean base's answers; accuracy then means agreement with it.
        allow_low_accuracy: Whether to go on where the clean base is no better than chance on data from a file.
        minutes: Training budget; 10 by default.
        epochs: Budget in epochs instead: reproducible.
        mirror: Whether to mirror half of the images; by default as the data set says, or else where the base
            knows mirrored ones as well.
        generator_precision: Whether the generator is quantised to int8 weights and activations, or kept in float.
        chips: How many unseen chips to measure on.
        around: Whether to measure at lower and higher rates as well, from a tenth to twice the trained one.
        answer: Who answers: the `base`, as published, `both` base and generator, or auto for both where the generator
            has evidence and the base's output takes an answer.
        residual: Whether the generator changes the base's input where both answer; by default the published ones do.
        early: Whether the base is spared where the generator is sure.
        early_loss: Accuracy, a share, that this may cost.
        trust_data: Labelled samples that neither generator nor base has seen, to fit the trust of both; what is held
            out of `data` by default.
        base_accuracy: Accuracy, a share, of the base on samples that it has not seen, where it has seen `data`.
        surrogates: Models of the same task to train through, where the base has operators without a gradient.
        distil: How many training samples the base is asked for, to make a surrogate that imitates its answers; that is
            kept beside the output.
        max_loss: Accuracy, a share, that may be lost: what can be had without a generator is planned first, then what
            can be had with it, early answers included; the file is set to that. One half of the test data chooses, the
            other confirms and measures. By default the file is made for a bit error rate instead.
        can: What the chip can do for such a plan besides a lower voltage: names of `nfkit.plans.means.MEANS`.
        confidence: How surely the loss has to be within `max_loss`: at 0.5 the measured loss decides, at 0.975 the
            upper end of its 95 % interval.
        level: Optimisation level of the measurement.
        force: Whether to replace an existing output.
        record: Where to write the record as JSON; nowhere by default.
        search: The settings of the search behind the call, for the record.
        command: The command line behind the call, for the record.
        on_stage: Called with a sentence when a new stage begins.
        on_progress: Told how far each stage is.
        on_training: Called after each training step.
        on_row: Called with each measured chip.
        settings: Further settings of the training, such as `seed`, `batch` or `shift`, as `nfkit.TrainConfig` has them;
            what the memory does, as the attributes of `nfkit.workflows.memory.Memory` have it (kind, layout, storage,
            ecc, curve and more); and what the model takes, where its graph does not say: `input_layout`,
            `value_range`, `mean` and `std`, as `nfkit.find_input` has them.

    Returns:
        The whole record; `str`, a notebook and `to_pandas` show it.

    Raises:
        NfkitError: When model, data, options or output do not fit; nothing is written then.
    """
    require_torch()
    begun = time.monotonic()
    check_confidence(confidence)
    base = inputs.find_model(model)
    refuse_protected(base)
    fault_sites(base)  # a model that stores nothing to fault is refused before anything is promised
    path = _find_output(model, output)
    check_output(path, model, force)
    check_writable(checkpoint_of(path))
    if data is None:
        require_found(model)
    memory, form, training = divide(settings)
    known = spec or inputs.find_spec(base, **form)
    known = range_by_data(base, model, data, known, seed=0, level=level)
    if config is None:
        scale = memory.scale(base)
        if max_loss is not None:
            check_tolerance(max_loss)
            ber = RATE if ber is None and vdd is None else ber
            early, allow_loss = may_answer_early(base) and answer != "base", True
        strengths, _ = inputs.find_strengths(scale, ber, vdd)
        config = configure(generator, strengths[0].errors, memory.cells, minutes, epochs, training)
        budget = BUDGET if max_loss is not None and energy_budget is None and generator == "auto" else energy_budget
        widest = None if max_loss is None else WIDEST
        through = bool(surrogates) or distil is not None
        changes = True if residual is None and through else residual
        # Who answers decides what a hint costs, and it is a hint that is chosen for a user.
        asked = replace(config, generator=HINTS[0]) if config.generator == "auto" else config
        hint = asked.generator.lower().startswith("hint")
        looks = hint and with_answer(asked, answer, changes, base, known, early, training)[0].looks_only
        choice = choose_generator(
            base, known, config, strengths[0], scale, budget, allow_loss, widest, looks_only=looks
        )  # fmt: skip
        config, reason = replace(config, generator=choice.name), choice.reason
        on_stage(reason)
        config, why = with_answer(config, answer, changes, base, known, early, training)
        on_stage(why)
        if through and config.looks_only:
            raise OptionError(
                "surrogates train what changes the base's input: leave out --no-residual, or --surrogate and --distil"
            )
    else:
        scale, reason = inputs.scale_of(base, config.errors, memory.curve, extrapolate=memory.extrapolate), ""
        mirror = config.mirror
    if config.shift >= min(known.image_shape[1:]):
        _, height, width = known.image_shape
        raise OptionError(
            f"--shift {config.shift}: that moves images of {height} x {width} out of sight: give fewer pixels"
        )
    refuse_unprotectable(base, generator_precision, gradients=not (config.looks_only or surrogates or distil))
    taken = data_for_training(
        base, model, data, test, known, config.seed, labels=labels, allow_low_accuracy=allow_low_accuracy, level=level
    )
    for sentence in taken.sentences:
        on_stage(sentence)
    train, held_back = taken.train, taken.test
    turned, why = mirrors(base, train, known, mirror, level)
    config = replace(config, mirror=turned)
    if why:
        on_stage(why)
    rates = 1 + (len(rates_around(config.errors.rate)) if around else 0)
    on_stage(
        of_protection(
            Pace.of(base, train, known, level), config.minutes, train=len(train),
            asked=config.looks_only and config.teaching > 0,
            measured=len(held_back) if max_loss is None else len(held_back) // 2, rates=rates, chips=chips,
            planned=0 if max_loss is None else _ALWAYS_PLANNED,
        )
    )  # fmt: skip
    early = early and (max_loss is None or config.answer == "both")
    unseen = None if trust_data is None else inputs.find_data(trust_data, "train", known)
    aim = first = None
    if max_loss is not None:
        aim = Tolerance(
            max_loss, as_means(can), held_back, known, config.errors.at(0.0), scale.curve, config.layout, chips,
            config.seed, level, confidence, taken.warnings, on_progress,
        )  # fmt: skip
        choosing, held_back = aim.halves
        unseen = choosing if unseen is None else unseen
        on_stage("planning without a generator first")
        first = aim.before(base, Provenance.of(model, base, held_back).model)
        on_stage(first.brief())  # its rows stand in the table at the end, too
    if distil is not None:
        imitation = imitation_of(path)
        imitate(
            GraphBase(base, level=level), sha256(base), train.hold_out(0.1, config.seed)[0], known, distil, config,
            imitation, level=level, on_stage=on_stage, on_progress=on_progress,
        )  # fmt: skip
        surrogates, config = (*surrogates, imitation), after_distilling(config)
    trust = TrustData(unseen, base_accuracy, early_loss if early else None)
    made = shield(
        model, train, held_back, known, config, checkpoint_of(path),
        generator_precision=generator_precision, level=level, trust=trust, surrogates=surrogates, on_stage=on_stage,
        on_training=_telling(on_training, on_progress),
    )  # fmt: skip
    planned = None
    if aim is not None and first is not None:
        on_stage("planning with the generator")
        made, planned = aim.after(made, first, str(path))
        if planned.of_file is not None and planned.of_file.ber:
            config = replace(config, errors=config.errors.at(planned.of_file.ber))
    on_stage(f"measuring on {len(held_back)} samples of {held_back.name} and {chips} unseen chips")
    finishing = Finishing(
        train, held_back, known, config, scale, chips, around, level, on_progress, on_row,
        (*foreign_curve(config.layout, scale.curve), *taken.warnings),
        None if aim is None else aim.test,
    )  # fmt: skip
    result = finishing.measure(made, path, reason)
    result = msgspec.structs.replace(
        result, seconds=time.monotonic() - begun, plan=planned, search=search, command=command
    )  # fmt: skip
    write(made.fused, result, None if record is None else inputs.as_path(record, "the record"))
    return result


def checkpoint_of(output: Path) -> Path:
    """Where the state of the training is kept until the output is safe."""
    return output.with_name(f"{output.name}{CHECKPOINT_SUFFIX}")


def _find_output(model: ModelLike, output: str | Path | None) -> Path:
    if output is not None:
        return inputs.as_path(output, "the output")
    source = inputs.source_path(model)
    if source is None:
        raise OptionError("a model in memory has no file to write beside: give an output")
    return default_output(source)


def _telling(
    on_training: Callable[[TrainingProgress], None] | None, on_progress: OnProgress
) -> Callable[[TrainingProgress], None]:
    def tell(progress: TrainingProgress) -> None:
        on_progress(progress.stage())
        if on_training:
            on_training(progress)

    return tell
