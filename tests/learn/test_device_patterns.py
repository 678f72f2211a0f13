"""Patterns that are trained for what one device holds."""

import numpy as np
import pytest

from nfkit.access.runtime import Runner
from nfkit.faults import BitErrors, Chip, Iid
from nfkit.graph.fusion.patterns import ClassPatterns
from nfkit.graph.injection.inject import inject
from nfkit.learn.config import TrainConfig
from nfkit.learn.device_patterns import learn_patterns

CHIP, ERRORS = 60_000, BitErrors(0.01)


def learn(zoo, told, **changes):
    """Patterns behind a generator that sees what the clean base sees, and what was told on the way."""
    clean = Runner(zoo.model)
    start = ClassPatterns(np.zeros((10, 1, 14, 14), np.float32), 2)
    config = TrainConfig("hint-8", ERRORS, Iid(), **{"epochs": 0.5, **changes})
    return learn_patterns(
        zoo.model, zoo.sites, zoo.spec, zoo.train, CHIP, start,
        lambda x: np.eye(10, dtype=np.float32)[clean.classify(x)], config, told.append,
    )  # fmt: skip


@pytest.fixture(scope="module")
def learned(zoo, one_thread):
    told = []
    return learn(zoo, told), told


def test_a_device_is_driven_to_the_right_classes(zoo, learned):
    found, told = learned
    assert found.after > found.before + 0.1
    assert found.steps == 21  # half of 5,488 images, 128 a step; 512 are held out
    assert [entry.done for entry in told] == sorted(entry.done for entry in told)
    x = zoo.spec.encode(zoo.test.x)
    classes = Runner(zoo.model).classify(x)
    faulty = Runner(inject(zoo.model, zoo.sites, Chip(CHIP), ERRORS, "baked"))
    changed = zoo.spec.normalise(x) + found.values[classes].repeat(2, 2).repeat(2, 3)
    before = (faulty.classify(x) == zoo.test.y).mean()
    after = (faulty.classify(zoo.spec.denormalise(np.clip(changed, -1, 1))) == zoo.test.y).mean()
    assert after > before + 0.1  # on images and in a runtime that training did not see


def test_patterns_keep_to_their_amplitude(zoo, one_thread):
    found = learn(zoo, [], amplitude=0.02, epochs=0.2)
    assert np.abs(found.values).max() <= np.float32(0.02)
    assert (np.abs(found.values) == np.float32(0.02)).mean() > 0.1


def test_what_trains_for_nothing_keeps_its_start(zoo, one_thread):
    found = learn(zoo, [], amplitude=1e-9, epochs=0.1)
    assert found.after == found.before
    assert not found.values.any()
