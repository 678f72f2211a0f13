"""`nfkit.workflows.search`: generators of several sizes for one frozen model, each trained, measured and kept.

What a search has finished is told by the records in its folder, so a search that was killed goes on when it is started
again with the same settings; within a candidate, the checkpoint of `protect` goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from nfkit.access.runtime import Level
from nfkit.data import Dataset
from nfkit.errors import OptionError, OutputError
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import fault_sites
from nfkit.model import sha256
from nfkit.outputs import write_atomically
from nfkit.plans.candidates import find_candidates
from nfkit.plans.front import mark_front
from nfkit.plans.operating_points import Scale
from nfkit.plans.tolerance import CONFIDENCE, check_confidence, check_tolerance
from nfkit.progress import OnProgress, silent
from nfkit.remedies.neuralfuse import refuse_protected, require_torch
from nfkit.reports import reading
from nfkit.reports.protection import Protection
from nfkit.reports.search import Found, Search
from nfkit.reports.tradeoff import draw, tradeoffs_of
from nfkit.workflows import inputs
from nfkit.workflows.candidate_files import CandidateFile
from nfkit.workflows.configuring import configure, with_answer
from nfkit.workflows.inputs import DataLike
from nfkit.workflows.intake import LabelSource, data_for_training, mirrors
from nfkit.workflows.memory import divide
from nfkit.workflows.protection import protect
from nfkit.workflows.within import BUDGET, RATE, as_means, may_answer_early

if TYPE_CHECKING:
    from nfkit.learn.config import TrainConfig
    from nfkit.learn.train import Progress as TrainingProgress


def search(
    model: str | Path,
    data: DataLike | None,
    folder: str | Path,
    *,
    test: DataLike | None = None,
    spec: InputSpec | None = None,
    widths: Sequence[int] = (),
    generators: Sequence[str] = (),
    energy_budget: float | None = None,
    labels: LabelSource = "data",
    allow_low_accuracy: bool = False,
    ber: float | None = None,
    vdd: float | None = None,
    minutes: float | None = None,
    epochs: float | None = None,
    mirror: bool | None = None,
    max_loss: float | None = None,
    can: str | Iterable[str] = (),
    confidence: float = CONFIDENCE,
    chips: int = inputs.DEFAULT_CHIPS,
    level: Level = "all",
    force: bool = False,
    command: str = "",
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: OnProgress = silent,
    on_training: Callable[[TrainingProgress], None] | None = None,
    **settings: Any,
) -> Search:
    """Trains generators of several sizes, and says which give the most accuracy for the energy that they save.

    Args:
        model: The frozen model's file.
        data: Samples to train on; None to look for them beside the model.
        folder: Where to write; made if there is none.
        test: Labelled samples to measure on; the test part of `data` by default, or a tenth of it.
        spec: The model's input; found in the file by default.
        widths: Widths of hint generators; by default the widest within the budget, and halves of it.
        generators: Names of generators besides.
        energy_budget: Largest weight accesses of a generator over those of the base; by default half of what the
            voltage saves, or 15 % with `max_loss`.
        labels: Whose labels: the data's own, or the clean base's answers; accuracy then means agreement with it.
        allow_low_accuracy: Whether to go on where the clean base is no better than chance on data from a file.
        ber: Bit error rate per cell to train against; 0.01 by default.
        vdd: Supply voltage over Vmin in place of a rate.
        minutes: Training budget of a candidate; 10 by default.
        epochs: Budget in epochs instead: reproducible.
        mirror: Whether to mirror half of the images; by default as the data set says, or else where the base
            knows mirrored ones as well.
        max_loss: Accuracy, a share, that may be lost: every candidate is planned for the least energy within it, as
            `nfkit.protect` does, early answers included. By default candidates are made for a bit error rate.
        can: What the chip can do for such plans besides a lower voltage: names of `nfkit.plans.means.MEANS`.
        confidence: How surely the loss has to be within `max_loss`.
        chips: How many unseen chips to measure on.
        level: Optimisation level of the measurement.
        force: Whether to replace candidates of other settings.
        command: The command line behind the call, for the records.
        on_stage: Called with a sentence when a new stage begins.
        on_progress: Told how far each stage is.
        on_training: Called after each training step.
        settings: Further settings of the training, of the memory and of the input, as for `nfkit.protect`.

    Raises:
        NfkitError: When something does not fit; before any training where the folder holds files of other settings.
    """
    require_torch()
    aim = None if max_loss is None else Aim(max_loss, as_means(can), confidence)
    if aim is not None:
        ber = RATE if ber is None and vdd is None else ber
        energy_budget = BUDGET if energy_budget is None else energy_budget
    source = inputs.as_path(model, "the model of a search")
    graph = inputs.find_model(source)
    refuse_protected(graph)
    fault_sites(graph)  # as `protect`, before anything is promised
    memory, form, training = divide(settings)
    known, scale = spec or inputs.find_spec(graph, **form), memory.scale(graph)
    (strength, *_), _ = inputs.find_strengths(scale, ber, vdd)
    config = configure("auto", strength.errors, memory.cells, minutes, epochs, training)
    candidates, left_out = find_candidates(
        graph, known.image_shape, strength, scale.curve, budget=energy_budget, widths=widths, generators=generators
    )
    taken = data_for_training(
        graph, source, data, test, known, config.seed, labels=labels, allow_low_accuracy=allow_low_accuracy, level=level
    )
    train, held_back, known = taken.train, taken.test, taken.spec
    turned, why = mirrors(graph, train, known, mirror, level)
    config = replace(config, mirror=turned)
    if why:
        on_stage(why)
    for sentence in taken.sentences:
        on_stage(sentence)
    for saving in candidates:
        on_stage(saving.verdict)
    if left_out:
        on_stage(f"beyond the energy budget, so left out: {', '.join(left_out)}")
    return train_candidates(
        source, train, held_back, known, config, scale, [saving.name for saving in candidates],
        inputs.as_path(folder, "the folder of a search"), left_out=left_out, aim=aim, given=training, chips=chips,
        level=level, force=force,
        command=command, on_stage=on_stage, on_progress=on_progress, on_training=on_training,
    )  # fmt: skip


@dataclass(frozen=True)
class Aim:
    """What every candidate of a search may lose.

    Attributes:
        max_loss: Accuracy, a share.
        can: What the chip can do besides a lower voltage.
        confidence: How surely the loss has to be within it.

    Raises:
        OptionError: When the loss or the confidence is no share.
    """

    max_loss: float
    can: tuple[str, ...]
    confidence: float

    def __post_init__(self) -> None:
        check_tolerance(self.max_loss)
        check_confidence(self.confidence)


def train_candidates(
    source: Path,
    data: Dataset,
    test: Dataset,
    spec: InputSpec,
    config: TrainConfig,
    scale: Scale,
    generators: Sequence[str],
    folder: Path,
    *,
    left_out: Sequence[str] = (),
    aim: Aim | None = None,
    given: Mapping[str, Any] = MappingProxyType({}),
    chips: int = inputs.DEFAULT_CHIPS,
    level: Level = "all",
    force: bool = False,
    command: str = "",
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: OnProgress = silent,
    on_training: Callable[[TrainingProgress], None] | None = None,
) -> Search:
    """Trains and measures every candidate that the folder does not hold yet.

    Writes, in the folder, `MODEL.GENERATOR.nf.onnx` and its record `MODEL.GENERATOR.nf.json` for each candidate,
    `front.json` after each of them, and in the end the picture `front.svg` where matplotlib is installed.

    Args:
        source: The frozen model's file.
        data: Labelled samples to train on.
        test: Labelled samples to measure on.
        spec: The model's input.
        config: Training settings; each candidate takes the place of its generator.
        scale: What rates stand for.
        generators: Names of the candidates, in the order to train them.
        folder: Where to write; made if there is none.
        left_out: Names that did not fit the budget, for the record.
        aim: What each may lose, so that it is planned for that; None to make it for the rate of the settings.
        given: Settings that the user gave, in place of those that suit a generator that only looks.
        chips: How many unseen chips to measure on.
        level: Optimisation level of the measurement.
        force: Whether to replace candidates of other settings.
        command: The command line behind the call, for the records.
        on_stage: Called with a sentence when a new stage begins.
        on_progress: Told how far each stage is.
        on_training: Called after each training step.

    Raises:
        NfkitError: When something does not fit; before any training where the folder holds files of other settings.
    """
    _make(folder)
    shared = {
        "model": sha256(source), "data": data.sha256, "test": test.sha256, "input": spec.to_dict(),
        "chips": chips, "level": level, "curve": scale.curve.name,
    }  # fmt: skip
    configs, tolerance = [replace(config, generator=name) for name in generators], {}
    if aim is not None:
        base = inputs.find_model(source)
        early, tolerance = may_answer_early(base), asdict(aim)
        configs = [with_answer(each, "auto", None, base, spec, early, dict(given))[0] for each in configs]
        shared |= tolerance
        tolerance["early"] = early
    candidates = [CandidateFile.of(source, folder, each, shared) for each in configs]
    for candidate in candidates:
        candidate.check(force)
    strength = scale.at_rate(config.errors.rate)
    result = Search(
        ber=strength.rate, voltage=strength.voltage, curve=scale.facts, left_out=tuple(left_out),
        max_loss=None if aim is None else aim.max_loss, command=command or None,
    )  # fmt: skip
    records: list[Protection] = []
    for number, candidate in enumerate(candidates, 1):
        record, name = candidate.finished(), candidate.config.generator
        reused = record is not None
        on_stage(f"candidate {number} of {len(candidates)}: {name}" + (", made before" if reused else ""))
        if record is None:
            record = protect(
                source, data, test, spec, candidate.config, candidate.output,
                curve=scale.curve, extrapolate=scale.extrapolate, chips=chips, level=level, force=True,
                record=candidate.path, search=candidate.settings, command=command or None, **tolerance,
                on_stage=on_stage, on_progress=on_progress, on_training=on_training,
            )  # fmt: skip
        records.append(record)
        points = mark_front([*result.points, Found.of(record, reused=reused)])
        result = msgspec.structs.replace(result, points=points, interrupted=record.interrupted)
        reading.write(result, folder / "front.json")
        if result.interrupted:
            on_stage(f"the search ends here; the same command trains {name} anew and goes on")
            break
    try:
        at_trained = [point for record in records for point in tradeoffs_of(record, str(record.output))[:1]]
        write_atomically(folder / "front.svg", draw(at_trained, "svg"))
    except OptionError as error:  # the picture is an extra, and the search is not lost for want of it
        on_stage(f"no front.svg: {error}; then give the same command again")
    return msgspec.structs.replace(result, folder=str(folder))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{folder}' ({error.strerror}): choose another with -o") from error
