"""`nfkit.protect_device`: a protected file for one device whose faulty cells are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.deploy.figures import TRAINING_KEY, read_errors
from nfkit.errors import ModelError, OptionError
from nfkit.faults import EVALUATION_CHIPS, BitErrors
from nfkit.graph.fusion.fused import DEVICE_KEY, GENERATOR_KEY, is_fused, refuse_modes
from nfkit.graph.fusion.patterns import read_patterns, shares_of, with_patterns
from nfkit.measure.bench import Bench
from nfkit.measure.statistics import difference_spread, share
from nfkit.model import ModelLike, check_output, save
from nfkit.progress import OnProgress, Progress, silent
from nfkit.remedies.neuralfuse import require_torch
from nfkit.reports import reading
from nfkit.reports.device import DeviceFile, Systems
from nfkit.reports.figures import Spread, unpack
from nfkit.reports.operating_point import Row
from nfkit.reports.provenance import Provenance
from nfkit.workflows import inputs
from nfkit.workflows.inputs import CurveLike, DataLike
from nfkit.workflows.intake import data_for_training
from nfkit.workflows.memory import foreign_curve

MINUTES = 2.0
"""Training budget where none is given: a few hundred numbers need no more."""
OTHERS = 4
"""Other chips on which the file is measured, too."""


def protect_device(
    model: ModelLike,
    data: DataLike | None = None,
    chip: int = 0,
    *,
    test: DataLike | None = None,
    output: str | Path | None = None,
    ber: float | None = None,
    vdd: float | None = None,
    layout: str | None = None,
    curve: CurveLike = "stutz-2021",
    minutes: float | None = None,
    epochs: float | None = None,
    batch: int = 128,
    mirror: bool = False,
    seed: int = 0,
    level: Level = "all",
    force: bool = False,
    record: str | Path | None = None,
    command: str | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: OnProgress = silent,
) -> DeviceFile:
    """Makes of a protected file one for a single device: its class patterns are trained for what the device holds.

        nfkit.protect_device("model.nf.onnx", "train.npz", chip=7, layout="measured:maps/", vdd=0.85)

    Args:
        model: A protected file whose generator is a hint that changes the image; never changed.
        data: Samples to train on, as for `nfkit.protect`.
        chip: The device: the place of the weights in measured maps, or the seed of a simulated chip.
        test: Samples to measure on.
        output: Where to write; beside the file by default, with the chip in its name.
        ber: Bit error rate at which the device works; by default that which the file was trained for.
        vdd: Or its supply voltage over Vmin.
        layout: How its cells hold weights; by default as in the file's training.
        curve: Voltage curve, by name or path.
        minutes: Training budget; 2 by default.
        epochs: Budget in epochs instead: reproducible.
        batch: Samples a step.
        mirror: Whether half of the images are mirrored in training.
        seed: Seed of the training.
        level: Optimisation level of the measurement.
        force: Whether to replace an existing output.
        record: Where to write the record as JSON.
        command: The command line behind the call, for the record.
        on_stage: Called with a sentence when a new stage begins.
        on_progress: Told how far each stage is.

    Returns:
        The record: accuracies of base, general file and this one on the device, and on other chips.

    Raises:
        NfkitError: When something does not fit; nothing is written then.
    """
    require_torch()
    from nfkit.learn.config import TrainConfig
    from nfkit.learn.device_patterns import learn_patterns

    if chip < 0:
        raise OptionError(f"--chip {chip}: give a seed from 0 on")
    general = inputs.find_model(model)
    if not is_fused(general):
        raise ModelError("a device's file is made from a protected one: protect the base first, then give that file")
    refuse_modes(general)
    patterns = read_patterns(general)
    path = _find_output(model, output, chip)
    check_output(path, model, force)
    trained, known = read_errors(general)
    cells = known if layout is None else inputs.find_layout(layout)
    rate = trained.rate if ber is None and vdd is None else ber
    scale = inputs.scale_of(general, trained, curve)
    (strength,), _ = inputs.find_strengths(scale, rate, vdd)
    errors, spec = strength.errors, inputs.find_spec(general)
    config = TrainConfig(
        _generator(general), errors, cells, epochs=epochs, minutes=None if epochs else minutes or MINUTES, batch=batch,
        mirror=mirror, amplitude=_amplitude(general), seed=seed,
    )  # fmt: skip
    taken = data_for_training(general, model, data, test, spec, seed, allow_low_accuracy=True, level=level)
    for sentence in taken.sentences:
        on_stage(sentence)
    chips = (chip, *[other for other in EVALUATION_CHIPS[: OTHERS + 1] if other != chip][:OTHERS])
    on_stage(f"measuring the general file on chip {chip} and {OTHERS} others")
    bench = Bench(general, taken.test, taken.spec, layout=cells, level=level)
    before = _measure(bench, errors, chips, on_progress)
    on_stage(
        f"training {patterns.values.size:,} numbers for chip {chip} at a bit error rate of {100 * errors.rate:.3g} %"
    )
    learned = learn_patterns(
        bench.base, bench.sites, taken.spec, taken.train, chip, patterns, Runner(shares_of(general), level=level),
        config, on_progress,
    )  # fmt: skip
    stated = {"chip": chip, "layout": str(cells), "errors": asdict(errors)}
    made = with_patterns(general, learned.values, {DEVICE_KEY: json.dumps(stated, sort_keys=True)})
    on_stage("measuring the device's file")
    after = _measure(Bench(made, taken.test, taken.spec, layout=cells, level=level), errors, chips, on_progress)
    images, of = len(taken.test), Provenance.of(model, general, taken.test)
    systems = [_systems(one, other, images) for one, other in zip(before, after, strict=True)]
    result = DeviceFile(
        output=str(path), generator=config.generator, ber=errors.rate, kind=errors.kind, layout=str(cells),
        clean=share(bench.clean_base), device=systems[0], others=tuple(systems[1:]),
        gain=_gain(before[0], after[0], images), held_out=(learned.before, learned.after),
        numbers=int(patterns.values.size), steps=learned.steps, seconds=learned.seconds, seed=seed, model=of.model,
        data=of.data, versions=of.versions, interrupted=learned.interrupted,
        warnings=(*foreign_curve(cells, scale.curve), *taken.warnings),
        command=command,
    )  # fmt: skip
    if record is not None:
        reading.write(result, inputs.as_path(record, "the record"))
    save(made, path)
    return result


def device_output(source: Path, chip: int) -> Path:
    """Where a device's file goes by default: `model.chip7.nf.onnx` beside `model.nf.onnx`."""
    stem = source.name.removesuffix(".onnx").removesuffix(".nf")
    return source.with_name(f"{stem}.chip{chip}.nf.onnx")


def _find_output(model: ModelLike, output: str | Path | None, chip: int) -> Path:
    if output is not None:
        return inputs.as_path(output, "the output")
    source = inputs.source_path(model)
    if source is None:
        raise OptionError("a model in memory has no file to write beside: give an output")
    return device_output(source, chip)


def _generator(general: ir.Model) -> str:
    return general.metadata_props.get(GENERATOR_KEY, "hint-64")


def _amplitude(general: ir.Model) -> float:
    """The largest value of a pattern, as in the file's training."""
    try:
        return float(json.loads(general.metadata_props[TRAINING_KEY])["config"]["amplitude"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"metadata '{TRAINING_KEY}' does not say how large patterns may be ({error})") from error


def _measure(bench: Bench, errors: BitErrors, chips: Sequence[int], on_progress: OnProgress) -> list[Row]:
    rows = []
    for row in bench.run([(errors, chip) for chip in chips]):
        rows.append(row)
        on_progress(Progress("measuring", len(rows), len(chips), None, f"chip {row.chip}"))
    return rows


def _right(packed: bytes | None, images: int) -> npt.NDArray[np.bool_]:
    assert packed is not None, "a row that was just measured has its answers"
    return unpack(packed, images)


def _systems(before: Row, after: Row, images: int) -> Systems:
    base, general, own = (
        share(_right(packed, images))
        for packed in (before.base_correct, before.protected_correct, after.protected_correct)
    )
    return Systems(before.chip, base, general, own)


def _gain(before: Row, after: Row, images: int) -> Spread:
    """By how much the device's file is more accurate, with an interval over images: of two chips that are alike."""
    own, general = (np.tile(_right(row.protected_correct, images), (2, 1)) for row in (after, before))
    return difference_spread(own, general, float(images))
