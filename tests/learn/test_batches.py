"""Batches follow from seed and step alone, and augmentation moves pixels without inventing any."""

from itertools import chain, islice

import numpy as np
import pytest
import torch

from nfkit.data import Dataset
from nfkit.graph.input.spec import InputSpec
from nfkit.learn.batches import Batches

SPEC = InputSpec("image", "float32", "NCHW", (2, 4, 6), "N", (0.0,), (1.0,), "given")


def numbered(count=20):
    """Images that differ, labelled by their own number."""
    x = np.random.default_rng(0).integers(0, 256, (count, 4, 6, 2), np.uint8)
    return Dataset("numbered", x, np.arange(count))


def batches(data=None, *, size=5, seed=0, mirror=False, shift=0, spec=SPEC):
    return Batches(
        data or numbered(), spec, size=size, seed=seed, mirror=mirror, shift=shift, device=torch.device("cpu")
    )


def levels(data):
    return torch.from_numpy(SPEC.normalise(SPEC.encode(data.x)))


@pytest.mark.parametrize("start", [1, 4, 5, 11])
def test_a_batch_depends_on_its_step_alone(start):
    whole = list(islice(batches(mirror=True, shift=1).starting_at(0), 14))
    later = list(islice(batches(mirror=True, shift=1).starting_at(start), 14 - start))
    for (x, y), (other_x, other_y) in zip(whole[start:], later, strict=True):
        assert torch.equal(x, other_x)
        assert torch.equal(y, other_y)


def test_an_epoch_visits_every_sample_once_each_time_in_another_order():
    made = batches()
    assert made.per_epoch == 4
    labels = [y.tolist() for _, y in islice(made.starting_at(0), 8)]
    first, second = list(chain(*labels[:4])), list(chain(*labels[4:]))
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second


def test_a_remainder_waits_for_another_epoch():
    made = batches(size=6)
    assert made.per_epoch == 3
    labels = [y.tolist() for _, y in islice(made.starting_at(0), 3)]
    assert [len(batch) for batch in labels] == [6, 6, 6]
    assert len(set(chain(*labels))) == 18


def test_a_batch_larger_than_the_data_is_the_data():
    made = batches(size=64)
    assert made.per_epoch == 1
    assert sorted(next(made.starting_at(0))[1].tolist()) == list(range(20))


def test_other_seeds_have_other_orders():
    orders = [[y.tolist() for _, y in islice(batches(seed=seed).starting_at(0), 4)] for seed in (0, 1)]
    assert orders[0] != orders[1]


def test_images_are_those_of_the_data_in_the_generators_space():
    expected = levels(numbered())
    x, y = next(batches().starting_at(0))
    assert x.dtype is torch.float32
    assert y.dtype is torch.int64
    assert torch.equal(x, expected[y])
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_mirror_turns_about_half_of_the_images_left_to_right():
    expected = levels(numbered(200))
    (x, y) = next(batches(numbered(200), size=200, mirror=True).starting_at(0))
    same = [torch.equal(image, expected[label]) for image, label in zip(x, y, strict=True)]
    turned = [torch.equal(image, expected[label].flip(-1)) for image, label in zip(x, y, strict=True)]
    assert [a != b for a, b in zip(same, turned, strict=True)] == [True] * 200
    assert 65 <= sum(turned) <= 135  # 100 ± 5 standard deviations of a fair coin


def test_shift_moves_images_over_their_own_edge():
    expected = levels(numbered())
    padded = torch.nn.functional.pad(expected, (2, 2, 2, 2), mode="replicate")
    windows = {
        (down, right): padded[..., down : down + 4, right : right + 6] for down in range(5) for right in range(5)
    }
    seen = set()
    for x, y in islice(batches(shift=2).starting_at(0), 40):
        for image, label in zip(x, y, strict=True):
            offsets = {offset for offset, window in windows.items() if torch.equal(image, window[label])}
            assert offsets
            seen |= offsets
    assert seen == set(windows)  # 200 draws of 25 offsets: all of them, from this seed


def test_the_data_stays_as_it_is():
    data = numbered()
    before = data.sha256
    list(islice(batches(data, mirror=True, shift=2).starting_at(0), 8))
    fresh = Dataset("copy", data.x, data.y)
    assert fresh.sha256 == before


def test_float_data_that_needs_no_conversion_stays_as_it_is():
    spec = InputSpec("image", "float32", "NCHW", (2, 4, 6), "N", (-1.0,), (1.0,), "given")
    x = np.random.default_rng(0).uniform(-1, 1, (20, 2, 4, 6)).astype(np.float32)
    data = Dataset("floats", x.copy(), np.arange(20))
    list(islice(batches(data, spec=spec, mirror=True, shift=1).starting_at(0), 4))
    assert np.array_equal(data.x, x)
