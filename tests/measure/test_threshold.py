"""The least threshold that loses no more than is allowed, counted again by hand."""

import numpy as np
import pytest
from scipy.special import softmax

from nfkit.graph.fusion.trust import Trust, combine
from nfkit.measure.threshold import CANDIDATES, choose_threshold

TRUST = Trust(sharpness=1.2, doubt=0.1, weight=0.8, temperature=1.3)


@pytest.fixture(scope="module")
def case():
    """Evidence that is right as often as it says, and two bases that are right more often."""
    random = np.random.default_rng(0)
    y = random.integers(0, 5, 2000)
    evidence = random.normal(size=(2000, 5)) + 2.0 * np.eye(5)[y]
    scores = random.normal(size=(2, 2000, 5)) + 3.0 * np.eye(5)[y]
    return scores, evidence, y


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05])
def test_by_hand(case, loss):
    scores, evidence, y = case
    chosen = choose_threshold(scores, evidence, y, TRUST, loss)
    p = softmax(evidence / TRUST.temperature, axis=1)

    def accuracy(threshold):
        right = 0
        for chip in range(2):
            joined = combine(scores[chip], evidence, TRUST).argmax(1)
            right += sum((p[i].argmax() if p[i].max() >= threshold else joined[i]) == y[i] for i in range(len(y)))
        return right / (2 * len(y))

    always = accuracy(1.1)
    fitting = [t for t in CANDIDATES if accuracy(t) >= always - loss]
    assert chosen.threshold == fitting[0]
    assert chosen.accuracy == pytest.approx(accuracy(chosen.threshold))
    assert chosen.always == pytest.approx(always)
    assert chosen.spared == pytest.approx((p.max(1) >= chosen.threshold).mean())


def test_more_may_be_spared_where_more_may_be_lost(case):
    spared = [choose_threshold(*case, TRUST, loss).spared for loss in (0.0, 0.01, 0.05)]
    assert spared == sorted(spared)
    assert spared[0] < spared[-1]


def test_evidence_that_is_sure_and_wrong(case):
    scores, _, y = case
    assert choose_threshold(scores, 9.0 * np.eye(5)[(y + 1) % 5], y, Trust(weight=0.01), 0.01) is None


def test_evidence_that_is_never_sure(case):
    scores, evidence, y = case
    assert choose_threshold(scores, evidence / 100, y, TRUST, 0.01) is None
