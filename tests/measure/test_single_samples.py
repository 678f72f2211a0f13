"""A model on single samples: the same answers as by hand, calibration counted by hand, maps that keep neighbours."""

import numpy as np
import onnx_ir as ir
import pytest
from scipy.special import softmax

from nfkit.access.runtime import Runner
from nfkit.data import Dataset
from nfkit.errors import ModelError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.injection.inject import inject
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import fault_sites
from nfkit.measure.calibration import calibrate
from nfkit.measure.score_map import MOST, map_scores
from nfkit.measure.single_samples import look
from nfkit.reports.single_samples import Answers

ERRORS, CHIP = BitErrors(0.05), Chip(3)


def faulted(model):
    return inject(model, fault_sites(model), CHIP, ERRORS, "baked")


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    x = random.uniform(-0.9, 0.9, (80, 2, 4, 4)).astype(np.float32)
    return Dataset("noise", x, random.integers(0, 3, 80), classes=("cat", "dog", "owl"))


@pytest.fixture(scope="module")
def seen(convnet, residual_generator, data):
    """A fused model, and what was seen of it."""
    base = convnet()
    spec = find_input(base, value_range=(-1, 1))
    fused = fuse(residual_generator(2, 4, 4), base, spec, {})
    return base, fused, look(fused, data, spec, ERRORS, CHIP, name="m")


def test_answers_are_those_of_injected_files(seen, data):
    base, fused, looks = seen
    for answers, model in (
        (looks.base, base),
        (looks.faulty, faulted(base)),
        (looks.protected, faulted(fused)),
    ):
        expected = softmax(Runner(model)(data.x).astype(np.float64), axis=1)
        np.testing.assert_allclose(answers.shares, expected, atol=1e-6)
    assert np.abs(looks.base.shares - looks.faulty.shares).max() > 1e-4  # the errors are in it


def test_flipped_bits_are_those_between_stored_and_injected_codes(seen):
    base, _, looks = seen
    injected = faulted(base)
    for name, counts in zip(looks.flipped.sites, looks.flipped.counts, strict=True):
        stored, read = (
            np.unpackbits(
                model.graph.initializers[name].const_value.numpy().reshape(-1, 1).view(np.uint8),
                axis=1, bitorder="little",
            )
            for model in (base, injected)
        )  # fmt: skip
        width = stored.shape[1]
        assert counts[:width].tolist() == (stored != read).sum(axis=0).tolist()
        assert (counts[width:] == -1).all()
    assert looks.flipped.counts.max() > 0


def test_the_transformed_input_is_what_the_generator_computes(seen, data, residual_generator):
    _, _, looks = seen
    kernel = residual_generator(2, 4, 4).graph.initializers["k"].const_value.numpy().astype(np.float64) / 256
    padded = np.pad(data.x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    expected = np.clip(data.x + np.einsum("nchwij,ocij->nohw", windows, kernel), -1, 1)
    np.testing.assert_allclose(looks.images, data.x, atol=1e-6)
    np.testing.assert_allclose(looks.transformed, expected, atol=1e-5)


def test_classes_errors_and_calibrations_are_named(seen):
    _, _, looks = seen
    assert looks.names == ("cat", "dog", "owl")
    assert looks.errors == "stuck errors at a bit error rate of 5 %, chip 3"
    assert [found.answers.name for found in looks.calibrations] == ["base with errors", "protected model with errors"]
    assert looks.evidence is None


def test_a_bare_base_and_inputs_of_unknown_range(convnet, data):
    base = convnet()
    spec = find_input(base)
    looks = look(base, data, spec, ERRORS, CHIP, name="m")
    assert looks.protected is None
    assert looks.judged is looks.faulty
    assert looks.transformed is None


def test_a_faulty_file_is_refused(convnet, data):
    faulty = faulted(convnet())
    with pytest.raises(ModelError):
        look(faulty, data, find_input(convnet()), ERRORS, CHIP, name="m")


def test_the_model_is_not_changed(seen, data, serialised):
    base, fused, _ = seen
    before = serialised(fused), serialised(base)
    look(fused, data, find_input(base, value_range=(-1, 1)), ERRORS, CHIP, name="m")
    assert (serialised(fused), serialised(base)) == before
    assert isinstance(fused, ir.Model)


def test_calibration_by_hand():
    shares = np.array([[0.95, 0.05], [0.93, 0.07], [0.4, 0.6], [0.32, 0.68], [1.0, 0.0]])
    found = calibrate(Answers("a", "base", shares), np.array([0, 1, 1, 1, 0]))
    assert [(b.count, b.accuracy) for b in found.bins] == [(2, 1.0), (3, pytest.approx(2 / 3))]
    assert found.bins[0].confidence == pytest.approx(0.64)
    expected = 2 / 5 * (1 - 0.64) + 3 / 5 * abs(2 / 3 - (0.95 + 0.93 + 1) / 3)
    assert found.error == pytest.approx(expected)


def three_groups(count, seed):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    scores = random.normal(0, 0.3, (count, 4))
    scores[np.arange(count), labels] += 8
    return Answers("a", "base", softmax(scores, axis=1)), labels


@pytest.mark.parametrize("count", [12, 90])
def test_a_map_keeps_neighbours_and_repeats(count):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    first, labels = three_groups(count, 0)
    second, _ = three_groups(count, 1)
    found = map_scores([first, second], seed=7)
    places = found.places.reshape(-1, 2)
    assert found.places.shape == (2, count, 2)
    groups = np.tile(labels, 2)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(len(places)) * 1e9
    assert (groups[distances.argmin(axis=1)] == groups).mean() > 0.95
    np.testing.assert_array_equal(map_scores([first, second], seed=7).places, found.places)


def test_a_map_has_evenly_spaced_samples():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    answers, _ = three_groups(2 * MOST + 1, 0)
    samples = map_scores([answers], seed=0).samples
    assert len(samples) <= MOST
    assert set(np.diff(samples)) == {3}
