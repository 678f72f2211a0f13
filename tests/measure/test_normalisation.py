"""The normalisation that a float base was trained with is told by labelled images, and stated."""

from dataclasses import replace

import numpy as np
import pytest

from nfkit.access.runtime import Runner
from nfkit.data import Dataset, load
from nfkit.errors import OptionError
from nfkit.measure.normalisation import customary, tell_range
from nfkit.workflows.intake import data_for_measuring, data_for_training, range_by_data


class Renormalised:
    """The zoo's base behind another normalisation: it takes (v - mean) / std of images v in [0, 1]."""

    def __init__(self, zoo, mean, std):
        self.base, self.spec, self.mean, self.std = Runner(zoo.model), zoo.spec, mean, std

    def classify(self, x):
        pixels = np.clip((x.astype(np.float64) * self.std + self.mean) * 255, 0, 255)
        images = np.rint(pixels).astype(np.uint8).transpose(0, 2, 3, 1)
        return self.base.classify(self.spec.encode(images))


@pytest.fixture(scope="module")
def images(zoo):
    return load(zoo.images, "test").take(300)


@pytest.fixture
def unknown(zoo):
    return replace(
        zoo.spec, dtype="float32", layout="NCHW", shape=zoo.spec.image_shape, low=None, high=None, source="unknown"
    )


@pytest.mark.parametrize(
    ("mean", "std", "option"),
    [
        (0.5, 0.5, "--range -1 1"),
        (0.0, 1 / 255, "--range 0 255"),
        (0.0, 1.0, "--range 0 1"),
        (0.2860, 0.3530, "--mean 0.286 --std 0.353"),
    ],
)
def test_the_way_that_the_base_was_trained_with_is_found(zoo, images, unknown, mean, std, option):
    base = Renormalised(zoo, mean, std)
    spec, sentence = tell_range(base, images, unknown)
    assert (spec.low[0], spec.high[0]) == pytest.approx((-mean / std, (1 - mean) / std))
    right = (base.classify(spec.encode(images.x)) == images.y).mean()
    assert right == (Runner(zoo.model).classify(zoo.spec.encode(images.x)) == images.y).mean()
    assert f"({100 * right:.1f} % of 300 samples; next" in sentence
    assert option in sentence


def test_nothing_is_told_by_labels_that_fit_no_way(zoo, images, unknown):
    shuffled = images.changed(y=np.random.default_rng(0).permutation(images.y))
    assert tell_range(Runner(zoo.model), shuffled, unknown) is None
    one_class = images.select(np.flatnonzero(images.y == 3))
    assert tell_range(Runner(zoo.model), one_class, unknown) is None


def test_a_range_that_is_known_stays_and_a_calibrated_one_gives_way_to_a_clearly_better_one(zoo, images, unknown):
    base = Renormalised(zoo, 0.2860, 0.3530)
    assert tell_range(base, images, replace(unknown, low=(0.0,), high=(9.0,), source="given")) is None
    calibrated = replace(unknown, low=(0.0,), high=(1.0,), source="codes of 'q'")
    found, _ = tell_range(base, images, calibrated)
    assert found.high[0] == pytest.approx((1 - 0.2860) / 0.3530)
    close = replace(found, low=(found.low[0] * 1.01,), source="codes of 'q'")
    assert tell_range(base, images, close) is None


def test_samples_in_the_models_own_space_span_the_range(zoo, unknown):
    x = np.linspace(-2.5, 3.0, 2 * np.prod(unknown.shape), dtype=np.float32).reshape(2, *unknown.shape)
    spec, sentence = tell_range(Runner(zoo.model), Dataset("floats", x, np.array([0, 1])), unknown)
    assert (spec.low, spec.high) == ((-2.5,), (3.0,))
    assert "-2.5 to 3, as in floats" in sentence


def test_colour_and_grey_images_have_their_own_customs(unknown):
    assert {way.name for way in customary(unknown)} >= {"mean and deviation of MNIST"}
    colour = replace(unknown, shape=(3, 32, 32))
    assert {way.name for way in customary(colour)} >= {"mean and deviation of ImageNet"}
    assert not {way.name for way in customary(colour)} & {"mean and deviation of MNIST"}


def test_measuring_and_training_take_what_the_data_tells(zoo, images, tmp_path):
    unknown = replace(zoo.spec, low=None, high=None, source="unknown")
    taken = data_for_measuring(zoo.model, zoo.model, images, unknown)
    assert (taken.spec.low, taken.spec.high) == ((-1.0,), (1.0,))
    assert any("--range -1 1 says the same" in sentence for sentence in taken.sentences)
    assert data_for_training(zoo.model, zoo.model, images, None, unknown, 0).spec == taken.spec
    assert range_by_data(zoo.model, zoo.model, images, unknown, 0) == taken.spec
    with pytest.raises(OptionError, match="cannot be told from the graph"):
        data_for_measuring(zoo.model, zoo.model, images, unknown, labels="base")
