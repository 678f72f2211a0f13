"""Intervals over chips and images: against other computations, and how often they hold the truth."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit

from nfkit.measure.statistics import (
    accuracy_interval,
    accuracy_spread,
    chip_spread,
    difference_interval,
    difference_spread,
    share,
    wilson,
)
from nfkit.reports.figures import Spread, unpack


@pytest.mark.parametrize(("correct", "count"), [(0, 7), (1, 1), (8, 10), (500, 1000), (1000, 1000)])
def test_wilson_is_that_of_scipy(correct, count):
    expected = stats.binomtest(correct, count).proportion_ci(0.95, "wilson")
    assert wilson(correct, count) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_share_keeps_its_samples():
    correct = np.array([True, False, True, True, False, True, True, True, True])
    found = share(correct)
    assert found.accuracy == pytest.approx(7 / 9)
    assert found.ci95 == wilson(7, 9)
    assert (unpack(found.correct, 9) == correct).all()


def two_way(answers):
    """Variance of the mean and its degrees of freedom, by the textbook's sums over every cell."""
    chips, images = answers.shape
    mean, by_chip, by_image = answers.mean(), answers.mean(1, keepdims=True), answers.mean(0, keepdims=True)
    square_chips = (images * (by_chip - mean) ** 2).sum() / (chips - 1)
    square_images = (chips * (by_image - mean) ** 2).sum() / (images - 1)
    square_rest = ((answers - by_chip - by_image + mean) ** 2).sum() / ((chips - 1) * (images - 1))
    total = max(square_chips + square_images - square_rest, square_rest / 2)
    degrees = total**2 / (
        square_chips**2 / (chips - 1) + square_images**2 / (images - 1) + square_rest**2 / ((chips - 1) * (images - 1))
    )
    return total / answers.size, max(degrees, min(chips, images) - 1)


@pytest.fixture
def answers():
    """Two systems on 6 chips and 40 images, some images and some chips harder than others."""
    random = np.random.default_rng(3)
    ease = random.normal(0.8, 1.5, (1, 40)) + random.normal(0, 0.7, (6, 1))
    return [random.random((6, 40)) < expit(ease + shift) for shift in (0.6, 0.0)]


def test_the_interval_of_a_difference_is_the_textbooks(answers):
    one, other = answers
    difference = one.astype(int) - other.astype(int)
    variance, degrees = two_way(difference.astype(float))
    reach = stats.t.ppf(0.975, degrees) * variance**0.5
    mean = difference.mean()
    assert difference_interval(difference) == pytest.approx((mean - reach, mean + reach))
    spread = difference_spread(one, other)
    assert spread.ci95 == pytest.approx((mean - reach, mean + reach))
    assert spread.mean == pytest.approx(mean)
    assert difference_spread(other, one).ci95 == pytest.approx((-mean - reach, -mean + reach))


def test_the_interval_of_an_accuracy_is_made_on_the_logit_scale(answers):
    mean = answers[0].mean()
    variance, degrees = two_way(answers[0].astype(float))
    reach = stats.t.ppf(0.975, degrees) * variance**0.5 / (mean * (1 - mean))
    expected = [expit(np.log(mean / (1 - mean)) + end) for end in (-reach, reach)]
    assert accuracy_interval(answers[0]) == pytest.approx(expected)
    mirrored = accuracy_interval(~answers[0])
    assert mirrored == pytest.approx([1 - end for end in reversed(expected)])


def test_a_spread_over_chips(answers):
    by_chip = answers[0].mean(axis=1)
    spread = accuracy_spread(answers[0])
    assert spread.mean == pytest.approx(by_chip.mean())
    assert spread.std == pytest.approx(by_chip.std(ddof=1))
    assert (spread.worst, spread.low) == (by_chip.min(), pytest.approx(np.quantile(by_chip, 0.1)))
    assert spread.worst <= spread.low <= spread.mean


def test_one_chip_or_one_image_has_no_interval(answers):
    single = accuracy_spread(answers[0][:1])
    assert single == Spread(answers[0][0].mean(), worst=answers[0][0].mean())
    assert single.std is single.ci95 is single.low is None
    assert accuracy_interval(answers[0][:, :1]) is None
    assert difference_spread(answers[0][:1], answers[1][:1]).ci95 is None
    assert chip_spread([0.25]).std is None


def test_where_nothing_varies_the_images_are_what_is_left():
    right = np.ones((5, 50), bool)
    assert accuracy_interval(right) == wilson(50, 50)
    assert accuracy_interval(~right) == wilson(0, 50)
    assert difference_interval(np.zeros((5, 50))) == (0.0, 0.0)


def test_equal_chips_are_an_interval_over_images():
    images = np.arange(200) < 150
    low, high = accuracy_interval(np.tile(images, (8, 1)))
    by_wilson = wilson(150, 200)
    assert (low, high) == pytest.approx(by_wilson, abs=0.005)


def test_a_system_that_no_chip_changes_is_paired_by_image(answers):
    alone = answers[1][:1]
    assert difference_spread(answers[0], alone) == difference_spread(answers[0], np.repeat(alone, 6, axis=0))


def test_figures_of_which_no_answers_are_known():
    assert chip_spread([0.5, 0.7]).percent() == "60.0 ± 14.1"
    assert chip_spread([0.05]).percent(signed=True) == "+5.0"
    assert chip_spread([0.5, 0.7]).ci95 is None
    assert chip_spread([0.5, 0.7]).interval() == "–"


@pytest.mark.parametrize(
    ("accuracy", "chip", "image", "chips", "images"),
    [(0.5, 1.2, 2.5, 10, 200), (0.9, 0.3, 2.5, 5, 200), (0.2, 0.6, 2.0, 20, 300), (0.8, 0.05, 3.0, 10, 500)],
)
def test_intervals_hold_the_truth_as_often_as_they_say(accuracy, chip, image, chips, images):
    # Logits of every chip and image are normal; nodes and weights of their product give the true mean.
    random, nodes = np.random.default_rng(5), np.polynomial.hermite_e.hermegauss(61)
    weights = np.outer(nodes[1], nodes[1]) / nodes[1].sum() ** 2
    spread = chip * nodes[0][:, None] + image * nodes[0]
    centre = brentq(lambda c: float((weights * expit(c + spread)).sum()) - accuracy, -20, 20)
    pair = brentq(lambda c: float((weights * expit(c + spread)).sum()) - accuracy + 0.03, -20, 20)
    held = [0, 0]
    for _ in range(300):
        ease = chip * random.normal(size=(chips, 1)) + image * random.normal(size=(1, images))
        one, other = (random.random((chips, images)) < expit(c + ease) for c in (centre, pair))
        low, high = accuracy_interval(one)
        held[0] += low <= accuracy <= high
        low, high = difference_spread(one, other).ci95
        held[1] += low <= 0.03 <= high
    # Three standard errors of 300 runs: 3.8 points.
    assert all(0.91 <= count / 300 <= 0.99 for count in held), held
