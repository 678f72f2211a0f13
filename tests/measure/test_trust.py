"""Trust numbers recovered from scores of a known make, and never a worse fit than base or generator alone."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.special import log_softmax, softmax

from nfkit.errors import DataError, OptionError
from nfkit.graph.fusion.trust import Trust, combine
from nfkit.measure.trust import _Problem, fit_temperature, fit_trust, unseen_weights

CLASSES = 5


def scores_of(rng, y, strength, noise=1.0):
    """Scores whose softmax, at factor `strength / noise^2`, is the posterior of y: Gaussian with the class's mean."""
    return noise * rng.normal(size=(len(y), CLASSES)) + strength * np.eye(CLASSES)[y]


def answer_accuracy(scores, evidence, y, trust):
    return (combine(scores, evidence, trust).argmax(-1) == y).mean()


@pytest.fixture(scope="module")
def made():
    """Images of known make: a base that knows nothing of 30 % of them, and evidence too sure of itself by 2."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, 3000)
    base = []
    for _ in range(3):
        said = np.where(rng.random(len(y)) < 0.3, rng.integers(0, CLASSES, len(y)), y)
        base.append(scores_of(rng, said, 3.0) * 3.0 / 0.5)  # true posterior at t = 0.5
    evidence = scores_of(rng, y, 1.5) * 1.5 * 2.0  # true posterior at T = 2
    return np.array(base), evidence, y


def test_known_numbers_are_recovered(made):
    s, z, y = made
    fit = fit_trust(s, z, y)
    assert fit.trust.temperature == pytest.approx(2.0, rel=0.05)
    assert fit.trust.sharpness == pytest.approx(0.5, rel=0.1)
    assert fit.trust.doubt == pytest.approx(0.3, abs=0.03)
    assert fit.trust.weight == pytest.approx(1.0, rel=0.1)
    assert (fit.samples, fit.chips) == (3000, 3)


def test_the_fit_beats_both_special_cases(made):
    s, z, y = made
    fit = fit_trust(s, z, y)
    assert fit.nll < min(fit.base_nll, fit.generator_nll) - 0.05
    alone = max((s.argmax(2) == y).mean(), (z.argmax(1) == y).mean())
    assert answer_accuracy(s, z, y, fit.trust) > alone + 0.03


def test_useless_evidence_is_left_out(made):
    s, z, y = made
    noise = np.random.default_rng(1).normal(size=z.shape)
    fit = fit_trust(s, noise, y)
    assert fit.nll <= fit.base_nll + 1e-9
    assert answer_accuracy(s, noise, y, fit.trust) == pytest.approx((s.argmax(2) == y).mean(), abs=0.005)


def test_a_dead_base_is_left_out(made):
    s, z, y = made
    dead = np.random.default_rng(2).normal(size=s.shape) * 10
    fit = fit_trust(dead, z, y)
    assert fit.nll <= fit.generator_nll + 1e-9
    assert answer_accuracy(dead, z, y, fit.trust) == pytest.approx((z.argmax(1) == y).mean(), abs=0.005)


@pytest.mark.parametrize("unit", [1e-3, 0.01, 50.0, 1e3])
def test_sharpness_does_not_depend_on_the_unit_of_the_scores(made, unit):
    # e^-3 to e^3 were the ends of the search: true sharpness is 0.5 over the unit, beyond both.
    s, z, y = made[0][:2, :800], made[1][:800], made[2][:800]
    plain, other = fit_trust(s, z, y), fit_trust(s * unit, z, y)
    assert not np.exp(-3) <= other.trust.sharpness <= np.exp(3)
    assert other.trust.sharpness * unit == pytest.approx(plain.trust.sharpness, rel=0.02)
    assert other.trust.doubt == pytest.approx(plain.trust.doubt, abs=0.005)
    assert other.nll == pytest.approx(plain.nll, abs=1e-4)
    low, high = np.exp(_Problem(s * unit, z, y, np.full(len(y), 1 / len(y))).sharpnesses)
    assert 10 * low < other.trust.sharpness < high / 10


@pytest.mark.parametrize("seed", range(6))
def test_never_less_likely_than_either_alone(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, 60)
    strength = rng.uniform(0, 4, 2)
    s = np.array([scores_of(rng, y, strength[0]) * rng.uniform(0.1, 20) for _ in range(2)])
    z = scores_of(rng, y, strength[1]) * rng.uniform(0.1, 20)
    fit = fit_trust(s, z, y)
    assert fit.nll <= min(fit.base_nll, fit.generator_nll) + 1e-9


def test_temperature_is_that_of_the_least_likelihood_loss(made):
    _, z, y = made
    grid = np.linspace(1, 4, 301)
    losses = [-log_softmax(z / t, axis=1)[np.arange(len(y)), y].mean() for t in grid]
    assert fit_temperature(z, y) == pytest.approx(grid[int(np.argmin(losses))], abs=0.011)


def test_gradients_agree_with_finite_differences(made):
    s, z, y = made[0][:2, :40], made[1][:40], made[2][:40]
    share = np.random.default_rng(3).uniform(0.5, 2, 40)
    problem = _Problem(s, log_softmax(z, axis=1), y, share / share.sum())
    for point in np.random.default_rng(4).uniform(-1, 1, (5, 4)):
        assert check_grad(lambda p: problem(p)[0], lambda p: problem(p)[1], point) < 1e-5


def test_the_nll_is_that_of_the_answer(made):
    s, z, y = made[0][:, :50], made[1][:50], made[2][:50]
    problem = _Problem(s, log_softmax(z / 2, axis=1), y, np.full(50, 1 / 50))
    trust = Trust(0.7, 0.2, 0.6 / 1.3, 2.0)
    value, _ = problem(np.array([np.log(0.7), np.log(0.2 / 0.8), np.log(1.3), 0.6]))
    by_hand = -log_softmax(1.3 * combine(s, z, trust), axis=2)[:, np.arange(50), y].mean()
    assert value == pytest.approx(by_hand, rel=1e-12)


def test_weights_count_as_copies_do(made):
    s, z, y = made[0][:, :300], made[1][:300], made[2][:300]
    weights = np.where(np.arange(300) % 3 == 0, 2.0, 1.0)
    twice = np.r_[np.arange(300), np.arange(0, 300, 3)]
    one, other = fit_trust(s, z, y, weights), fit_trust(s[:, twice], z[twice], y[twice])
    # The temperature is that of the images as they are.
    assert one.trust.doubt == pytest.approx(other.trust.doubt, abs=0.02)


def test_errors_of_a_base_on_its_own_images_are_weighed_up():
    correct = np.r_[np.ones(98, bool), np.zeros(2, bool)]
    weights = unseen_weights(correct, 0.9)
    assert weights.mean() == pytest.approx(1)
    assert np.average(correct, weights=weights) == pytest.approx(0.9)
    np.testing.assert_array_equal(unseen_weights(correct, 0.99), np.ones(100))


@pytest.mark.parametrize("accuracy", [0.0, 1.0, 91.0, -0.1])
def test_an_accuracy_is_a_share(accuracy):
    with pytest.raises(OptionError, match="base accuracy"):
        unseen_weights(np.array([True, False]), accuracy)


def test_a_base_without_errors_cannot_be_weighed():
    with pytest.raises(DataError, match="makes no error"):
        unseen_weights(np.ones(5, bool), 0.9)


@pytest.mark.parametrize(
    ("s", "z", "y"),
    [
        (np.zeros((1, 4, 3)), np.zeros((3, 3)), np.zeros(3, int)),
        (np.zeros((4, 3)), np.zeros((4, 3)), np.zeros(4, int)),
        (np.zeros((1, 0, 3)), np.zeros((0, 3)), np.zeros(0, int)),
        (np.zeros((1, 4, 3)), np.zeros((4, 3)), np.zeros(5, int)),
    ],
)
def test_what_does_not_fit_is_refused(s, z, y):
    with pytest.raises(DataError, match="shape"):
        fit_trust(s, z, y)


@pytest.mark.parametrize(
    "numbers",
    [{"sharpness": 0}, {"temperature": -1}, {"doubt": 1.1}, {"doubt": -0.1}, {"weight": -1}, {"sharpness": np.nan}],
)
def test_numbers_outside_their_range_are_refused(numbers):
    with pytest.raises(OptionError, match="give a number"):
        Trust(**numbers)


def test_the_formula_at_its_ends():
    rng = np.random.default_rng(5)
    s, z = rng.normal(size=(3, 40, CLASSES)), rng.normal(size=(40, CLASSES))
    np.testing.assert_array_equal(combine(s, z, Trust(doubt=0.3, weight=0)), s)
    alone = combine(s, z, Trust(doubt=1))
    np.testing.assert_allclose(softmax(alone, axis=2), np.broadcast_to(softmax(z, axis=1), s.shape), rtol=1e-12)
    product = softmax(combine(s, z, Trust()), axis=2)
    by_hand = softmax(s, axis=2) * softmax(z, axis=1)
    np.testing.assert_allclose(product, by_hand / by_hand.sum(2, keepdims=True), rtol=1e-12)
