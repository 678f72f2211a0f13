"""What can be wrong with data for a model, found by asking the model: doubts with their likely cause.

Checked is the clean base on at most `SAMPLES` samples spread over the data:

* its accuracy against what chance gives (binomial test), and against the accuracy that a protected file records;
* against plausible mistakes that would explain the answers better (`nfkit.measure.likely_causes`).
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.data.found import DATA_KEY
from nfkit.data.plausibility import Doubt, Purpose, check_counts, check_values
from nfkit.errors import UnsupportedError
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import split
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.likely_causes import other_channels, other_order, other_range

SAMPLES = 500
"""Samples that the clean base is tried on."""
_SIGNIFICANCE = 1e-3
_MODERATE = 0.4  # Cohen's kappa from which agreement counts as moderate (Landis and Koch, 1977)
_PERFECT = 0.99
_GAP = 0.05  # points of accuracy from which a difference matters
_RECONSTRUCTION = 16  # values from which an output shaped like the input is one

_NAME_KEYS = ("names", "classes", "class_names", "labels", "id2label", "categories")


@dataclass(frozen=True)
class Examination:
    """How the clean base does on data, and what is doubtful about it.

    Attributes:
        accuracy: Share of the tried samples that the base gets right; None without labels of the data's own.
        n: How many samples were tried.
        chance: What independent answers and labels would give.
        doubts: What is doubtful.
    """

    accuracy: float | None
    n: int
    chance: float
    doubts: tuple[Doubt, ...]

    def sentence(self) -> str:
        """The accuracy in words."""
        if self.accuracy is None:
            return "accuracy means agreement with the clean base"
        return (
            f"the base without errors is right on {100 * self.accuracy:.1f} % of {self.n:,} samples "
            f"(chance: {100 * self.chance:.1f} %)"
        )


def class_names(model: ir.Model, classes: int) -> list[str] | None:
    """What the model's metadata calls its classes, where it names as many as there are outputs."""
    for key in _NAME_KEYS:
        text = model.metadata_props.get(key)
        if text is None or len(text) > 10**6:
            continue
        names = _parse_names(text)
        if names is not None and len(names) == classes:
            return names
    return None


def refuse_reconstruction(runner: Runner, x: npt.NDArray[Any], data: Dataset) -> int:
    """Number of the model's classes, unless its output is a reconstruction of its input.

    Raises:
        UnsupportedError: The first output is no score a class: of another shape than [N, classes], or of the input's
            own shape with more than 16 values, of which the labels name less than half.
    """
    classes = runner.classes(x)
    scores = runner(x[:1])
    labels = int(data.y.max()) + 1 if data.labelled and data.labels == "data" else 0
    if scores.shape[1:] == x.shape[1:] and classes > _RECONSTRUCTION and labels <= classes // 2:
        raise UnsupportedError(
            f"the model gives back {classes} values of the shape of its input, as an autoencoder does, and no score a "
            "class: accuracy means nothing there; nfkit treats classifiers"
        )
    return classes


def examine(model: ir.Model, data: Dataset, spec: InputSpec, purpose: Purpose, *, level: Level = "all") -> Examination:
    """Tries the clean base on the data, and looks for what is doubtful.

    Args:
        model: A frozen base, or a fused model.
        data: The data.
        spec: The model's input.
        purpose: What the data is for.
        level: Optimisation level of ONNX Runtime.

    Raises:
        DataError: The data does not fit the model.
        ModelError: The model is no classifier, or ONNX Runtime fails.
    """
    base = split(model)[1] if is_fused(model) else model
    runner = Runner(base, level=level)
    tried = data.spread(SAMPLES)
    x = spec.encode(tried.x)
    classes = refuse_reconstruction(runner, x, data)
    doubts = [Doubt("changed by reading", f"{data.name}: {note}") for note in data.notes]
    if data.labelled:
        data.check_labels(classes)
    doubts += check_counts(data, classes, purpose)
    low, high = (None, None) if spec.low is None or spec.high is None else (min(spec.low), max(spec.high))
    doubts += check_values(data.name, tried.x, low, high)
    if purpose == "measure":
        doubts += _trained_on(model, data)
    if data.labels != "data":
        return Examination(None, len(tried), 1.0 / classes, tuple(doubts))
    answers, y = runner.classify(x), tried.y
    right = answers == y
    chance = _chance(answers, y, classes)
    causes = other_order(data, answers, y, classes) + other_channels(runner, x, y, right, spec)
    lost = _near_chance(data, right, chance) + _below_record(model, data, right)
    if lost:
        causes += other_range(runner, tried, y, right, spec)
    return Examination(float(right.mean()), len(tried), chance, (*doubts, *lost, *causes))


def near_perfect(name: str, right: npt.NDArray[np.bool_]) -> list[Doubt]:
    """Whether a base is so good on samples that choose that it was most likely trained on them.

    Args:
        name: What messages call the data.
        right: Which samples the base without errors gets right.
    """
    accuracy = float(right.mean())
    if accuracy <= _PERFECT or len(right) * (1 - _PERFECT) < 1:
        return []
    sentence = (
        f"{name}: the base without errors is right on {100 * accuracy:.1f} % of these {len(right):,} samples: if it "
        "was trained on them, it looks better than it is, and a plan trusts it too far; give samples that it has not "
        "seen"
    )
    return [Doubt("near perfect", sentence)]


def _chance(answers: npt.NDArray[np.int64], y: npt.NDArray[np.int64], classes: int) -> float:
    """Accuracy of the same answers to the same labels if the two were independent (the chance of Cohen's kappa)."""
    if len(np.unique(y)) == 1:
        return 1.0 / classes
    shares = [np.bincount(v[v >= 0], minlength=classes)[:classes] / len(v) for v in (answers, y)]
    return float(shares[0] @ shares[1])


def _near_chance(data: Dataset, right: npt.NDArray[np.bool_], chance: float) -> list[Doubt]:
    from scipy.stats import binomtest

    hits, n = int(right.sum()), len(right)
    # Few samples cannot reject chance; a base that is right on nearly all of them is not at it.
    kappa = (hits / n - chance) / (1 - chance) if chance < 1 else 0.0
    if kappa > _MODERATE or binomtest(hits, n, min(chance, 1.0), alternative="greater").pvalue <= _SIGNIFICANCE:
        return []
    sentence = (
        f"{data.name}: the base without errors is right on {100 * hits / n:.1f} % of {n:,} samples, no more than "
        f"chance ({100 * chance:.1f} %): the samples, their labels, or their normalisation are not those of this model"
    )
    return [Doubt("near chance", sentence, stops=True)]


def _below_record(model: ir.Model, data: Dataset, right: npt.NDArray[np.bool_]) -> list[Doubt]:
    """Whether the base does clearly worse than the file's own record says."""
    from scipy.stats import binomtest

    try:
        recorded = float(json.loads(model.metadata_props[DATA_KEY])["clean_base"])
    except (KeyError, ValueError, TypeError):
        return []
    accuracy, n = float(right.mean()), len(right)
    if not 0 < recorded <= 1 or recorded - accuracy < _GAP:
        return []
    if binomtest(int(right.sum()), n, recorded, alternative="less").pvalue > _SIGNIFICANCE:
        return []
    sentence = (
        f"{data.name}: the base without errors is right on {100 * accuracy:.1f} % of {n:,} samples; when it was "
        f"protected it was on {100 * recorded:.1f} %: check labels and normalisation, or say that the data is harder"
    )
    return [Doubt("below record", sentence)]


def _trained_on(model: ir.Model, data: Dataset) -> list[Doubt]:
    try:
        digest = json.loads(model.metadata_props["nfkit.training"])["data"]["sha256"]
    except (KeyError, ValueError, TypeError):
        return []
    if digest != data.sha256:
        return []
    sentence = f"{data.name}: these are the samples that the generator was trained on; accuracy on others will be lower"
    return [Doubt("trained on", sentence)]


def _parse_names(text: str) -> list[str] | None:
    """Names from a JSON or Python list or table, or from a list with commas or lines."""
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(value, dict):
            try:
                numbered = {int(key): str(name) for key, name in value.items()}
            except (ValueError, TypeError):
                return None
            return [numbered[i] for i in range(len(numbered))] if set(numbered) == set(range(len(numbered))) else None
        return [str(name) for name in value] if isinstance(value, (list, tuple)) else None
    return [part.strip() for part in (text.splitlines() if "\n" in text.strip() else text.split(","))]
