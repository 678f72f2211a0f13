"""From what a user says about data, or does not say, to data that fits a model and has been doubted.

The one way in for everything that trains or measures: named or found, labelled or not, numbered as the model does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.data.found import find_data, find_for_training, require_data
from nfkit.data.plausibility import Doubt, match_classes, refuse
from nfkit.errors import DataError, OptionError
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import split
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import fault_sites
from nfkit.measure.labels import label_by
from nfkit.measure.normalisation import tell_range
from nfkit.measure.plausibility import Examination, class_names, examine, refuse_reconstruction
from nfkit.measure.symmetry import look_in_mirror
from nfkit.model import ModelLike
from nfkit.workflows import inputs
from nfkit.workflows.inputs import DataLike

LabelSource = Literal["data", "base"]
"""Whose labels: the data's own, or the clean base's answers."""

_ACCURACY = ("near chance", "below record")


@dataclass(frozen=True)
class Intake:
    """Data to measure on.

    Attributes:
        test: The data.
        spec: The model's input; its range told by the data where neither graph nor user says.
        examination: How the clean base does on it.
        doubts: What is doubtful about it.
        sentences: What to say before the work begins: what was found, and how the base does.
    """

    test: Dataset
    spec: InputSpec
    examination: Examination
    doubts: tuple[Doubt, ...]
    sentences: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The doubts as sentences, for a record."""
        return tuple(doubt.sentence for doubt in self.doubts)


@dataclass(frozen=True)
class TrainingIntake(Intake):
    """Data to train on, and to measure on; the examination is of the former.

    Attributes:
        train: What to train on.
    """

    train: Dataset


def data_for_measuring(
    model: ir.Model,
    origin: ModelLike,
    source: DataLike | None,
    spec: InputSpec,
    *,
    labels: LabelSource = "data",
    samples: int | None = None,
    level: Level = "all",
) -> Intake:
    """Data to measure a model on.

    Args:
        model: A frozen base, or a fused model.
        origin: What it was read from; data is looked for beside a file.
        source: The data, as `nfkit.evaluate` takes it; None to look for it.
        spec: The model's input.
        labels: Whose labels.
        samples: Use only so many of the first samples.
        level: Optimisation level of ONNX Runtime.

    Raises:
        NfkitError: There is no data, it does not fit, or a doubt about it is serious. Data in memory, and so few
            samples as were asked for, are doubted and never refused for that.
    """
    fault_sites(split(model)[1] if is_fused(model) else model)  # a model that stores nothing is refused before its data
    said = []
    if source is None:
        found = find_data(_file_of(origin), "test", model, spec.image_shape)
        data, said = found.data, [found.sentence]
    else:
        data = inputs.find_data(source, "test", spec)
    data = data.take(min(samples, len(data))) if samples else data
    spec, told = _with_range(model, data, spec, labels, level)
    data, doubts = _with_labels(model, data, spec, labels, level)
    examination = examine(model, data, spec, "measure", level=level)
    # A base at chance is measured, and the record says so.
    if not _in_memory(source):
        refuse(d for d in examination.doubts if d.kind not in _ACCURACY and not (samples and d.kind == "few samples"))
    return Intake(data, spec, examination, (*doubts, *examination.doubts), (*said, *told))


def data_for_training(
    model: ir.Model,
    origin: ModelLike,
    source: DataLike | None,
    test: DataLike | None,
    spec: InputSpec,
    seed: int,
    *,
    labels: LabelSource = "data",
    allow_low_accuracy: bool = False,
    level: Level = "all",
) -> TrainingIntake:
    """Data to protect a model with: what to train on, and what to measure on, which share no sample.

    Args:
        model: A frozen base.
        origin: What it was read from; data is looked for beside a file.
        source: The data, as `nfkit.protect` takes it; None to look for it.
        test: What to measure on, if it is elsewhere.
        spec: The model's input.
        seed: Seed by which a source without parts is divided.
        labels: Whose labels.
        allow_low_accuracy: Go on where the clean base is no better than chance.
        level: Optimisation level of ONNX Runtime.

    Raises:
        NfkitError: There is no data, it does not fit, or a doubt about it is serious; data in memory is doubted only.
    """
    said = []
    if source is None:
        train, held_back, sentence = find_for_training(_file_of(origin), seed, spec.image_shape)
        if test is not None:
            held_back = inputs.find_data(test, "test", spec)
        said = [sentence]
    else:
        train, held_back = inputs.find_training_data(source, test, seed, spec)
    spec, told = _with_range(model, train, spec, labels, level)
    (train, first), (held_back, second) = (_with_labels(model, d, spec, labels, level) for d in (train, held_back))
    examination = examine(model, train, spec, "train", level=level)
    measured = examine(model, held_back, spec, "measure", level=level)
    doubts = tuple(dict.fromkeys((*first, *second, *examination.doubts, *measured.doubts)))
    if not _in_memory(source):
        _refuse_to_train(doubts, allow_low_accuracy)
    return TrainingIntake(held_back, spec, examination, doubts, (*said, *told, examination.sentence()), train)


def range_by_data(
    model: ir.Model, origin: ModelLike, source: DataLike | None, spec: InputSpec, seed: int, *, level: Level = "all"
) -> InputSpec:
    """The input with a range, told by the training data where neither graph nor user says.

    For what has to know it before the data is taken; `data_for_training` says the same again, in a sentence.
    """
    if spec.stated:
        return spec
    if source is None:
        train, _, _ = find_for_training(_file_of(origin), seed, spec.image_shape)
    else:
        train = inputs.find_data(source, "train", spec)
    return _with_range(model, train, spec, "data", level)[0]


def mirrors(base: ir.Model, train: Dataset, spec: InputSpec, wanted: bool | None, level: Level) -> tuple[bool, str]:
    """Whether to mirror half of the images in training.

    Args:
        base: The frozen base.
        train: What is trained on.
        spec: The model's input.
        wanted: What the user says; None for what the data says, or where it says nothing, the base.
        level: Optimisation level of ONNX Runtime.

    Returns:
        (whether, a sentence where the base decided).
    """
    said = train.mirror if wanted is None else wanted
    if said is not None:
        return said, ""
    seen = look_in_mirror(Runner(base, level=level).classify, train, spec)
    return (False, "") if seen is None else (seen.keeps_labels, str(seen))


def require_found(origin: ModelLike) -> None:
    """Refuses, before any work is done, to look for data where there is none.

    Raises:
        DataError: Nothing lies beside the model, or it is in memory.
    """
    require_data(_file_of(origin), "train")


def _refuse_to_train(doubts: tuple[Doubt, ...], allow_low_accuracy: bool) -> None:
    serious = [doubt for doubt in doubts if doubt.stops]
    refuse(doubt for doubt in serious if doubt.kind not in _ACCURACY)
    if serious and not allow_low_accuracy:
        # The likely cause, where one was found, belongs to the refusal.
        causes = [d.sentence for d in doubts if d.kind in ("class order", "channel order", "value range")]
        sentences = [*(doubt.sentence for doubt in serious), *causes, "add --allow-low-accuracy to go on all the same"]
        raise DataError("; ".join(sentences))


def _file_of(origin: ModelLike) -> Path:
    path = inputs.source_path(origin)
    if path is None:
        raise DataError("a model in memory has no folder to look for data in: give the data")
    return path


def _in_memory(source: DataLike | None) -> bool:
    return isinstance(source, (Dataset, tuple))


def _with_range(
    model: ir.Model, data: Dataset, spec: InputSpec, labels: LabelSource, level: Level
) -> tuple[InputSpec, tuple[str, ...]]:
    """The input, and a sentence where its range was told by data."""
    if spec.stated or labels != "data" or is_fused(model):
        return spec, ()
    # Classes are numbered as the model does first; which range helps to find that out does not matter.
    trial = spec if spec.low is not None else replace(spec, low=(-1.0,), high=(1.0,))
    numbered, _ = _with_labels(model, data, trial, labels, level)
    told = tell_range(Runner(model, level=level), numbered, spec)
    return (spec, ()) if told is None else (told[0], (told[1],))


def _with_labels(
    model: ir.Model, data: Dataset, spec: InputSpec, labels: LabelSource, level: Level
) -> tuple[Dataset, tuple[Doubt, ...]]:
    """The data with the labels asked for, numbered as the model does where both name their classes."""
    if labels not in get_args(LabelSource):
        raise OptionError(f"--labels {labels}: choose data (the data's own) or base (the clean base's answers)")
    if labels == "base":
        return label_by(model, data, spec, level=level), ()
    _ = data.y  # says so where there are none
    base = split(model)[1] if is_fused(model) else model
    classes = refuse_reconstruction(Runner(base, level=level), spec.encode(data.x[:1]), data)
    names = class_names(model, classes)
    if names is None:
        return data, ()
    matched, doubts = match_classes(data, names)
    return matched, tuple(doubts)
