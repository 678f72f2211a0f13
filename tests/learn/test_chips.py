"""Chips to train on, to choose by and to judge by never meet."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from nfkit.faults import EVALUATION_CHIPS, TRAINING_CHIPS, VALIDATION_CHIPS, BitErrors, Chip, Iid
from nfkit.graph.memory.sites import fault_sites
from nfkit.learn.chips import PerturbedCopies
from nfkit.learn.gradients.frozen import FrozenGraph

ERRORS = BitErrors(0.02)


class Witness:
    """A layout that remembers which chips were asked for."""

    def __init__(self):
        self.seeds = []

    def faulty(self, seed, memory, errors):
        self.seeds.append(seed)
        return Iid().faulty(seed, memory, errors)

    def __str__(self):
        return "witness"


@pytest.fixture
def copies(exact):
    def make(seed=0, layout=None):
        sites = fault_sites(exact)
        return PerturbedCopies(exact, sites, FrozenGraph(exact, sites), ERRORS, layout or Iid(), seed)

    return make


def test_the_ranges_of_chips_are_disjoint():
    ranges = sorted([EVALUATION_CHIPS, TRAINING_CHIPS, VALIDATION_CHIPS], key=lambda r: r.start)
    assert all(before.stop <= after.start for before, after in pairwise(ranges))


@pytest.mark.parametrize("seed", [0, 1, 7, 428, 12_345_678_901])
def test_training_takes_training_chips_alone(copies, seed):
    layout = Witness()
    made = copies(seed, layout)
    for index in (0, 1, 1000, 10**12):
        made.training(index)
    assert all(chip in TRAINING_CHIPS for chip in layout.seeds)
    assert len(set(layout.seeds)) == 4


def test_runs_of_other_seeds_train_on_other_chips(copies):
    seen = []
    for seed in (0, 1):
        layout = Witness()
        made = copies(seed, layout)
        for index in range(20):
            made.training(index)
        seen.append(set(layout.seeds))
    assert [len(chips) for chips in seen] == [20, 20]
    assert not seen[0] & seen[1]


def test_validation_takes_validation_chips_alone_and_the_same_for_every_run(copies):
    seen = []
    for seed in (0, 1):
        layout = Witness()
        assert len(copies(seed, layout).validation(4)) == 4
        seen.append(set(layout.seeds))
    assert seen[0] == seen[1]
    assert len(seen[0]) == 4
    assert all(chip in VALIDATION_CHIPS for chip in seen[0])


def test_weights_are_those_of_the_chip(exact, copies, images, read_by):
    frozen, x = FrozenGraph(exact, fault_sites(exact)), images(8, 2, 4, 4)
    read = read_by(exact, Chip(VALIDATION_CHIPS[0]), ERRORS)
    expected = frozen(x, frozen.weights(read))
    made = copies()
    assert torch.equal(made.frozen(x, made.validation(1)[0]), expected)
    assert not np.array_equal(expected, frozen(x))


@pytest.mark.parametrize(
    "errors",
    [BitErrors(0.02, storage="gray"), BitErrors(0.02, ecc="secded-32-zero"), BitErrors(0.02, "flip", protected_top=3)],
    ids=["gray", "secded", "robust"],
)
def test_memories_of_all_sorts_are_trained_on(exact, images, read_by, errors):
    sites = fault_sites(exact)
    frozen, x = FrozenGraph(exact, sites), images(8, 2, 4, 4)
    made = PerturbedCopies(exact, sites, frozen, errors, Iid(), 0)
    expected = frozen(x, frozen.weights(read_by(exact, Chip(VALIDATION_CHIPS[0]), errors)))
    assert torch.equal(frozen(x, made.validation(1)[0]), expected)
    plain = frozen(x, frozen.weights(read_by(exact, Chip(VALIDATION_CHIPS[0]), BitErrors(0.02, errors.kind))))
    assert not torch.equal(expected, plain)


def test_the_same_index_is_the_same_chip(copies, images):
    x = images(8, 2, 4, 4)
    first, second = copies(3), copies(3)
    assert torch.equal(first.frozen(x, first.training(5)), second.frozen(x, second.training(5)))
