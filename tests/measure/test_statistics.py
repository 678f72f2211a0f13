"""Intervals over chips and images: against other computations, and how often they hold the truth."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq, minimize_scalar
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


def likeliest_variance(up, down, mean):
    """Variance of a difference by the likeliest shares whose difference is `mean`, found by search."""

    def unlikely(less):
        shares = (less + mean, less, 1 - 2 * less - mean)
        return -sum(
            seen * math.log(share) for seen, share in zip((up, down, 1 - up - down), shares, strict=True) if seen
        )

    least, most = max(0.0, -mean), (1 - mean) / 2
    less = minimize_scalar(unlikely, bounds=(least + 1e-12, most - 1e-12), options={"xatol": 1e-12}).x
    return 2 * less + mean - mean**2


def test_the_interval_of_a_difference_is_the_score_interval_of_as_many_independent_answers(answers):
    one, other = answers
    difference = one.astype(int) - other.astype(int)
    up, down, mean = (difference == 1).mean(), (difference == -1).mean(), difference.mean()
    variance, degrees = two_way(difference.astype(float))
    independent = difference.var() / variance
    interval = difference_interval(difference)
    for end in interval:
        reach = stats.t.ppf(0.975, degrees) * (likeliest_variance(up, down, end) / independent) ** 0.5
        assert abs(end - mean) == pytest.approx(reach, rel=1e-4)
    assert interval[0] < mean < interval[1]
    spread = difference_spread(one, other)
    assert (spread.ci95, spread.mean) == (interval, pytest.approx(mean))
    assert difference_spread(other, one).ci95 == pytest.approx((-interval[1], -interval[0]))


def test_where_many_answers_differ_the_score_interval_is_the_textbooks():
    random = np.random.default_rng(1)
    difference = random.choice([-1, 0, 1], p=[0.2, 0.55, 0.25], size=(10, 4000))
    variance, degrees = two_way(difference.astype(float))
    reach = stats.t.ppf(0.975, degrees) * variance**0.5
    assert difference_interval(difference) == pytest.approx(
        (difference.mean() - reach, difference.mean() + reach), rel=0.01
    )


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
    low, high = difference_interval(np.zeros((5, 50)))
    assert (-low, high) == pytest.approx((wilson(0, 50)[1],) * 2)
    assert difference_interval(np.zeros((5, 50)), 5 * 50)[1] == pytest.approx(wilson(0, 250)[1])
    assert difference_interval(np.zeros((5, 50)), math.inf) == (0.0, 0.0)  # of a system with itself


@pytest.mark.parametrize("lost", [1, 3, 8])
def test_few_losses_without_a_gain_have_wilsons_interval(lost):
    difference = np.tile(np.arange(500) < lost, (4, 1)).astype(np.int8)
    assert difference_interval(difference)[1] == pytest.approx(wilson(lost, 500)[1], rel=0.01)
    assert difference_interval(-difference)[0] == pytest.approx(-wilson(lost, 500)[1], rel=0.01)


@pytest.mark.parametrize(("lost", "gained"), [(0.0025, 0.0), (0.005, 0.0), (0.01, 0.0), (0.01, 0.005), (0.02, 0.01)])
def test_a_small_loss_is_seldom_called_smaller_than_it_is(lost, gained):
    """Losses by image, as those of early answers are: the upper end lies below the truth in 2.5 % of the cases."""
    random, missed, runs = np.random.default_rng(7), 0, 2000
    for _ in range(runs):
        drawn = random.random(500)
        difference = np.where(drawn < lost, 1, np.where(drawn < lost + gained, -1, 0)).astype(np.int8)
        missed += difference_interval(np.tile(difference, (3, 1)))[1] < lost - gained
    assert missed / runs <= 0.04  # four standard errors above 2.5 %


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
