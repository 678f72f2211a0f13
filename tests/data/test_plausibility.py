"""Doubts that the data alone gives rise to, at their stated numbers."""

from __future__ import annotations

import numpy as np
import pytest

from nfkit.data.dataset import Dataset
from nfkit.data.plausibility import Purpose, check_counts, check_values, match_classes, refuse
from nfkit.errors import DataError


def made(labels: list[int], classes: list[str] | None = None) -> Dataset:
    return Dataset("toy", np.zeros((len(labels), 2)), np.array(labels), classes=classes)


@pytest.mark.parametrize(
    ("n", "purpose", "kinds", "stops"),
    [
        (1, "train", ["few samples", "few classes"], True),
        (5, "train", ["few samples"], True),
        (31, "train", ["few samples"], True),
        (32, "train", ["few samples"], False),
        (499, "train", ["few samples"], False),
        (500, "train", [], False),
        (1, "measure", ["few samples", "few classes"], True),
        (3, "measure", ["few samples"], True),
        (9, "measure", ["few samples"], True),
        (10, "measure", ["few samples"], False),
        (99, "measure", ["few samples"], False),
        (100, "measure", [], False),
    ],
)
def test_floors(n: int, purpose: Purpose, kinds: list[str], stops: bool) -> None:
    doubts = check_counts(made([i % 3 for i in range(n)]), 3, purpose)
    assert [doubt.kind for doubt in doubts] == kinds
    assert any(doubt.stops for doubt in doubts) == stops


def test_classes_that_are_missing() -> None:
    one = check_counts(made([4] * 600), 10, "train")
    assert [(d.kind, d.stops) for d in one] == [("few classes", True)]
    assert [(d.kind, d.stops) for d in check_counts(made([4] * 600), 10, "measure")] == [("few classes", False)]
    two = check_counts(made([0, 1] * 300), 10, "train")
    assert [d.kind for d in two] == ["few classes"]
    assert check_counts(made([0, 1] * 300), 2, "train") == []
    absent = check_counts(made([i % 9 for i in range(600)]), 10, "measure")
    assert [d.kind for d in absent] == ["missing classes"]
    assert "no sample is of class 9, though the model has 10" in absent[0].sentence
    named = check_counts(made([i % 9 for i in range(600)], [f"c{i}" for i in range(9)]), 10, "measure")
    assert "names 9 classes, the model has 10" in named[0].sentence


def test_serious_doubts_refuse_in_one_sentence() -> None:
    refuse(check_counts(made([0, 1, 2] * 30), 3, "measure"))
    with pytest.raises(DataError, match="holds 3 samples, too few to train on: give at least 32"):
        refuse(check_counts(made([0, 1, 2]), 3, "train"))


def test_classes_are_numbered_by_the_models_names() -> None:
    data = made([0, 1, 2], ["big cat", "dog", "Owl"])
    same, doubts = match_classes(data, ["big_cat", "dog", "owl"])
    assert (same.y.tolist(), doubts) == ([0, 1, 2], [])
    other, doubts = match_classes(data, ["owl", "Big-Cat", "horse", "dog"])
    assert (other.y.tolist(), doubts) == ([1, 3, 0], [])
    assert other.classes == ("owl", "Big-Cat", "horse", "dog")
    assert other.notes == ("classes are numbered by their names in the model's metadata, not in sorted order",)
    strange, doubts = match_classes(data, ["cat", "dog", "owl"])
    assert strange.y.tolist() == [0, 1, 2]
    assert "1 of its 3 class names are none of the model's ('big cat'" in doubts[0].sentence


@pytest.mark.parametrize(
    ("x", "low", "high", "words"),
    [
        (np.array([0.0, 1.0]), -1.0, 1.0, "look like images in [0, 1] that were not normalised"),
        (np.array([-1.0, 1.0]), -1.0, 1.0, None),
        (np.array([0.0, 1.0]), 0.0, 1.0, None),
        (np.array([0.0, 1.0]), 0.0, 255.0, "span 0 to 1, the model takes 0 to 255"),
        (np.array([0.0, 200.0]), 0.0, 255.0, None),
        (np.array([-0.1, 0.1]), -1.0, 1.0, "check how the samples were normalised"),
        (np.array([0.0, 1.0]), None, None, None),
        (np.array([0, 1], np.uint8), -1.0, 1.0, "were they scaled to [0, 1] before? Give 0 to 255"),
        (np.array([0, 2], np.uint8), -1.0, 1.0, None),
        (np.array([0, 1], np.int8), -128.0, 127.0, None),
    ],
)
def test_values_against_the_range(x: np.ndarray, low: float | None, high: float | None, words: str | None) -> None:
    doubts = check_values("toy", x.reshape(1, -1), low, high)
    assert [doubt.kind for doubt in doubts] == ([] if words is None else ["value range"])
    assert words is None or words in doubts[0].sentence
