"""Thresholds of early answers, the share that they answer, and the energy that follows."""

import numpy as np
import pytest
from scipy.stats import binom

from nfkit.errors import DataError
from nfkit.graph.fusion.trust import Trust, combine
from nfkit.measure.early import NEVER, EarlyShare, choose_threshold, sureness


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 2000)
    strength = rng.uniform(0, 4, (2000, 1))  # some images are easy
    evidence = rng.normal(size=(2000, 4)) + strength * np.eye(4)[y]
    base = np.array([rng.normal(size=(2000, 4)) + 3.5 * np.eye(4)[y] for _ in range(3)])
    return base, evidence * 2, y


def accuracy(s, z, y, trust, threshold):
    sure = sureness(z, trust) >= threshold
    both = combine(s, z, trust).argmax(2) == y
    return float(np.where(sure, z.argmax(1) == y, both).mean())


@pytest.mark.parametrize("tolerance", [0.0, 0.005, 0.02, 0.05])
def test_the_loss_stays_within_the_tolerance(made, tolerance):
    s, z, y = made
    trust = Trust()
    threshold = choose_threshold(s, z, y, trust, tolerance)
    assert accuracy(s, z, y, trust, NEVER) - accuracy(s, z, y, trust, threshold) <= tolerance + 1e-12


def test_more_tolerance_answers_more(made):
    s, z, y = made
    thresholds = [choose_threshold(s, z, y, Trust(), tolerance) for tolerance in (0.0, 0.01, 0.03, 1.0)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] > thresholds[2]
    assert (sureness(z, Trust()) >= thresholds[-1]).all()


def test_evidence_that_only_errs_never_answers(made):
    s, _, y = made
    wrong = -10 * np.eye(4)[y]
    assert choose_threshold(s, wrong, y, Trust(weight=0), 0.0001) == NEVER


def test_sureness_is_the_largest_share():
    z = np.array([[0.0, 0.0], [np.log(3.0) * 2, 0.0]])
    np.testing.assert_allclose(sureness(z, Trust(temperature=2.0)), [0.5, 0.75])


def test_the_share_has_wilsons_interval():
    share = EarlyShare.of(0.9, np.arange(200) < 120)
    z, p, n = 1.959964, 0.6, 200
    centre, half = (p + z**2 / (2 * n)), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    ends = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    assert (share.low, share.high) == pytest.approx(ends)
    assert binom.cdf(120, 200, share.low) > 0.95


def test_the_saving_is_an_expectation():
    share = EarlyShare(0.8, 0.7, 0.65, 0.75, 1000)
    expected, low, high = share.saving(0.9, 15.0, 100.0)
    # By hand: three of ten images pay 0.9 of the base, all pay the generator's 0.15.
    assert expected == pytest.approx(1 - 0.3 * 0.9 - 0.15)
    assert (low, high) == pytest.approx((1 - 0.35 * 0.9 - 0.15, 1 - 0.25 * 0.9 - 0.15))
    assert EarlyShare(NEVER, 0, 0, 0, 10).saving(0.7, 10, 100)[0] == pytest.approx(0.2)  # as for any fused file


def test_no_images_are_refused():
    with pytest.raises(DataError, match="no images"):
        EarlyShare.of(0.9, np.zeros(0, bool))
