"""From what a user says about data, or does not say, to data that fits a model and has been doubted.

The one way in for everything that trains or measures: named or found, labelled or not, numbered as the model does.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal, get_args

import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset, load, load_for_training
from nfkit.data.found import find_data, find_for_training
from nfkit.data.plausibility import Doubt, match_classes, refuse
from nfkit.errors import OptionError
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import split
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import fault_sites
from nfkit.measure.labels import label_by
from nfkit.measure.plausibility import Examination, class_names, examine, refuse_reconstruction

LabelSource = Literal["data", "base"]
"""Whose labels: the data's own, or the clean base's answers."""

_ACCURACY = ("near chance", "below record")
Source = str | os.PathLike[str]


@dataclass(frozen=True)
class Intake:
    """Data to measure on.

    Attributes:
        test: The data.
        examination: How the clean base does on it.
        doubts: What is doubtful about it.
        sentences: What to say before the work begins: what was taken, how the base does, and every doubt.
    """

    test: Dataset
    examination: Examination
    doubts: tuple[Doubt, ...]
    sentences: tuple[str, ...]

    def to_record(self) -> dict[str, Any]:
        """The doubts for a record; nothing where there are none."""
        return {"doubts": [doubt.to_dict() for doubt in self.doubts]} if self.doubts else {}


@dataclass(frozen=True)
class TrainingIntake(Intake):
    """Data to train on, and to measure on; the examination is of the former.

    Attributes:
        train: What to train on.
    """

    train: Dataset


def data_for_measuring(
    model: ir.Model,
    path: Source,
    source: Source | None,
    spec: InputSpec,
    *,
    labels: LabelSource = "data",
    samples: int | None = None,
    level: Level = "all",
) -> Intake:
    """Data to measure a model on.

    Args:
        model: A frozen base, or a fused model.
        path: Its file, beside which data is looked for.
        source: What `load` takes; None to look for it.
        spec: The model's input.
        labels: Whose labels.
        samples: Use only so many of the first samples; so few were asked for then.
        level: Optimisation level of ONNX Runtime.

    Raises:
        NfkitError: There is no data, it does not fit, or a doubt about it is serious.
    """
    fault_sites(split(model)[1] if is_fused(model) else model)  # a model that stores nothing is refused before its data
    said = []
    if source is None:
        found = find_data(path, "test", model, spec.image_shape)
        data, said = found.data, [found.sentence]
    else:
        data = load(source, "test", spec.image_shape)
    whole = len(data)
    data = data.take(min(samples, whole)) if samples else data
    data, doubts = _with_labels(model, data, spec, labels, level)
    examination = examine(model, data, spec, "measure", level=level)
    # A number is what was asked for, however small; a base at chance is measured, and the record says so.
    serious = [d for d in examination.doubts if d.kind not in _ACCURACY and not (d.kind == "few samples" and samples)]
    refuse(serious)
    doubts = (*doubts, *examination.doubts)
    return Intake(data, examination, doubts, (*said, *_sentences(doubts)))


def data_for_training(
    model: ir.Model,
    path: Source,
    source: Source | None,
    test_source: Source | None,
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
        path: Its file, beside which data is looked for.
        source: What `load_for_training` takes; None to look for it.
        test_source: Where the samples to measure on are, if elsewhere.
        spec: The model's input.
        seed: Seed by which a source without splits is divided.
        labels: Whose labels.
        allow_low_accuracy: Go on where the clean base is no better than chance.
        level: Optimisation level of ONNX Runtime.

    Raises:
        NfkitError: There is no data, it does not fit, or a doubt about it is serious.
    """
    said = []
    if source is None:
        train, test, sentence = find_for_training(path, seed, spec.image_shape)
        if test_source is not None:
            test = load(test_source, "test", spec.image_shape)
        said = [sentence]
    else:
        train, test = load_for_training(source, test_source, seed, spec.image_shape)
    (train, first), (test, second) = (_with_labels(model, d, spec, labels, level) for d in (train, test))
    examination = examine(model, train, spec, "train", level=level)
    measured = examine(model, test, spec, "measure", level=level)
    doubts = tuple(dict.fromkeys((*first, *second, *examination.doubts, *measured.doubts)))
    serious = [doubt for doubt in doubts if doubt.stops]
    refuse(doubt for doubt in serious if doubt.kind not in _ACCURACY)
    if allow_low_accuracy:
        serious = []
    elif serious:
        # The likely cause, where one was found, belongs to the refusal.
        serious += [d for d in doubts if d.kind in ("class order", "channel order", "value range")]
        serious.append(Doubt("near chance", "add --allow-low-accuracy to go on all the same", stops=True))
    refuse(Doubt(doubt.kind, doubt.sentence, stops=True) for doubt in serious)
    sentences = (*said, examination.sentence(), *_sentences(doubts))
    return TrainingIntake(test, examination, doubts, sentences, train)


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


def _sentences(doubts: tuple[Doubt, ...]) -> list[str]:
    return [f"note: {doubt.sentence}" for doubt in doubts]
