"""Mistakes that give a plausible number are named, and data without any is not doubted."""

import json

import numpy as np
import pytest

from nfkit.access.runtime import Runner
from nfkit.data import Dataset, load
from nfkit.data.found import DATA_KEY
from nfkit.errors import UnsupportedError
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.input.discovery import find_input
from nfkit.measure.bench import Bench
from nfkit.measure.labels import label_by
from nfkit.measure.plausibility import class_names, examine, near_perfect


def kinds(examination):
    return [doubt.kind for doubt in examination.doubts]


def sentence(examination, kind):
    return next(doubt.sentence for doubt in examination.doubts if doubt.kind == kind)


@pytest.fixture(scope="module")
def test_data(zoo):
    return load(zoo.images, "test").take(400)


def test_good_data_is_not_doubted(zoo, test_data):
    result = examine(zoo.model, test_data, zoo.spec, "measure")
    x = zoo.spec.encode(test_data.x)
    answers = Runner(zoo.model).classify(x)
    assert result.accuracy == (answers == test_data.y).mean()
    by_class = [(answers == c).mean() * (test_data.y == c).mean() for c in range(10)]
    assert result.chance == pytest.approx(sum(by_class))
    assert result.doubts == ()


def test_labels_that_are_shuffled_are_no_better_than_chance(zoo, test_data):
    shuffled = test_data.changed(y=np.random.default_rng(0).permutation(test_data.y))
    result = examine(zoo.model, shuffled, zoo.spec, "measure")
    assert kinds(result) == ["near chance"]
    assert result.doubts[0].stops


def test_a_missing_class_folder_is_named(zoo, test_data):
    kept = test_data.select(np.flatnonzero(test_data.y != 3))
    shifted = kept.changed(y=np.where(kept.y > 3, kept.y - 1, kept.y))
    result = examine(zoo.model, shifted, zoo.spec, "measure")
    assert "missing classes" in kinds(result)
    words = sentence(result, "class order")
    assert "a class before 3 seems to be missing" in words
    assert "label 3 is the model's 4" in words
    # What it promises is what the base really scores with the labels put right.
    right = (Runner(zoo.model).classify(zoo.spec.encode(kept.x)) == kept.y).mean()
    assert f"right on {100 * right:.1f} %" in words


def test_two_classes_in_each_others_place_are_named(zoo, test_data):
    swap = np.array([0, 2, 1, 3, 4, 5, 6, 7, 8, 9])
    swapped = test_data.changed(y=swap[test_data.y], classes=[f"c{i}" for i in range(10)])
    words = sentence(examine(zoo.model, swapped, zoo.spec, "measure"), "class order")
    assert "label 1 ('c1') is the model's 2, 2 ('c2') is the model's 1;" in words


def test_unit_images_into_a_symmetric_model_are_named(zoo, test_data):
    unit = test_data.changed(x=test_data.x.astype(np.float32) / 255)
    result = examine(zoo.model, unit, zoo.spec, "measure")
    assert "look like images in [0, 1]" in sentence(result, "value range")


def test_a_wrong_range_is_named_with_the_right_one(zoo, test_data):
    wrong = find_input(zoo.model, value_range=(-60.0, -50.0))
    result = examine(zoo.model, test_data, wrong, "measure")
    assert "near chance" in kinds(result)
    assert "give --range -1 1" in sentence(result, "value range")


COLOUR = """
<ir_version: 8, opset_import: ["" : 18]>
colour (float[N, 3, 2, 2] image) => (float[N, 3] scores)
<float s = {0.0078125}, int8 z = {0}>
{
    q = QuantizeLinear (image, s, z)
    f = DequantizeLinear (q, s, z)
    w_f = DequantizeLinear (w, s)
    c = Conv (f, w_f)
    p = GlobalAveragePool (c)
    scores = Flatten (p)
}
"""


@pytest.fixture(scope="module")
def colour(parse):
    """A model that answers with the strongest channel, and images of one colour each."""
    model = parse(COLOUR, w=np.eye(3, dtype=np.int8).reshape(3, 3, 1, 1) * 100)
    random = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = random.integers(0, 100, (120, 2, 2, 3), np.uint8)
    x[np.arange(120), :, :, y] += 100
    return model, Dataset("colours", x, y), find_input(model)


def test_channels_in_reverse_are_named(colour):
    model, data, spec = colour
    assert kinds(examine(model, data, spec, "measure")) == []
    reverse = data.changed(x=data.x[..., ::-1], y=np.where(data.y == 1, 1, data.y))
    result = examine(model, reverse, spec, "measure")
    assert "right on 100.0 % with the channels in reverse, against 33.3 %" in sentence(result, "channel order")


def test_a_record_of_better_days_is_held_against_the_data(zoo, test_data, residual_generator):
    fused = fuse(residual_generator(1, 28, 28), zoo.model, zoo.spec, {DATA_KEY: json.dumps({"clean_base": 0.99})})
    y = test_data.y.copy()
    y[:60] = (y[:60] + 1 + np.arange(60) % 8) % 10
    result = examine(fused, test_data.changed(y=y), zoo.spec, "measure")
    assert "when it was protected it was on 99.0 %" in sentence(result, "below record")
    assert kinds(examine(zoo.model, test_data.changed(y=y), zoo.spec, "measure")) == []


def test_samples_of_the_training_are_recognised(zoo, test_data, residual_generator):
    training = json.dumps({"data": {"sha256": test_data.sha256}})
    fused = fuse(residual_generator(1, 28, 28), zoo.model, zoo.spec, {"nfkit.training": training})
    assert kinds(examine(fused, test_data, zoo.spec, "measure")) == ["trained on"]


@pytest.mark.parametrize("key", ["nfkit.training", DATA_KEY])
@pytest.mark.parametrize("value", ["", "[]", "{}", '{"data": 3, "clean_base": "x"}', '{"clean_base": -1}'])
def test_damaged_records_raise_no_doubt(zoo, test_data, residual_generator, key, value):
    fused = fuse(residual_generator(1, 28, 28), zoo.model, zoo.spec, {key: value})
    assert examine(fused, test_data, zoo.spec, "measure").doubts == ()


AUTOENCODER = """
<ir_version: 8, opset_import: ["" : 18]>
auto (float[N, 640] x) => (float[N, 640] y)
<float s = {0.01}>
{ w_f = DequantizeLinear (w, s)
  y = MatMul (x, w_f) }
"""


def test_an_autoencoder_is_no_classifier(parse):
    model = parse(AUTOENCODER, w=np.eye(640, dtype=np.int8))
    spec = find_input(model, value_range=(-1.0, 1.0))
    x = np.random.default_rng(0).uniform(-1, 1, (60, 640)).astype(np.float32)
    data = Dataset("sounds", x, np.arange(60) % 2)
    for call, more in ((examine, ("measure",)), (Bench, ()), (label_by, ())):
        with pytest.raises(UnsupportedError, match="gives back 640 values of the shape of its input"):
            call(model, data, spec, *more)
    # Labels that name most of the outputs are those of a classifier.
    assert examine(model, Dataset("n", np.eye(640, dtype=np.float32), np.arange(640)), spec, "measure").accuracy == 1.0


@pytest.mark.parametrize(
    "text",
    [
        '["cat", "dog"]', "['cat', 'dog']", "{0: 'cat', 1: 'dog'}", '{"1": "dog", "0": "cat"}', "cat,dog", "cat\ndog\n",
    ],
)  # fmt: skip
def test_class_names_in_the_metadata(colour, text):
    model = colour[0].clone()
    model.metadata_props["names"] = text
    assert class_names(model, 2) == ["cat", "dog"]
    assert class_names(model, 3) is None


def test_the_bases_own_answers_as_labels(zoo, test_data):
    unlabelled = test_data.changed(y=None)
    labelled = label_by(zoo.model, unlabelled, zoo.spec)
    assert labelled.labels == "base"
    assert labelled.y.tolist() == Runner(zoo.model).classify(zoo.spec.encode(test_data.x)).tolist()
    assert examine(zoo.model, labelled, zoo.spec, "measure").accuracy is None


@pytest.mark.parametrize(("right", "n", "doubted"), [(1000, 1000, True), (991, 1000, True), (990, 1000, False)])
def test_a_base_that_is_right_on_all_that_chooses_was_most_likely_trained_on_it(right, n, doubted):
    found = near_perfect("val.npz", np.arange(n) < right)
    assert [doubt.kind for doubt in found] == (["near perfect"] if doubted else [])
    assert all("give samples that it has not seen" in doubt.sentence for doubt in found)


def test_too_few_samples_cannot_tell_perfect_from_good():
    assert near_perfect("few.npz", np.ones(50, np.bool_)) == []
