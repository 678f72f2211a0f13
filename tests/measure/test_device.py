"""The bit error rate of a device, from its answers: estimates meet the truth, and intervals hold what they promise."""

import math

import numpy as np
import pytest

from nfkit.access.base import GraphBase
from nfkit.access.chip import put_on_chip
from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Chip, Iid
from nfkit.measure.device import (
    Calibration,
    RateEstimate,
    calibrate,
    estimate_device,
    estimate_rate,
    measure_departures,
)

RATES = (0.001, 0.003, 0.01, 0.03)
CLEAN = np.tile(np.array([[1.0, 0.0, -1.0]], np.float32), (1000, 1))


def scores_at(departure):
    """Answers that depart from the clean ones by so much, in the mean of the scores."""
    return CLEAN + np.float32(departure) * np.float32(2 / 3)  # the clean scores lie 2/3 from their mean, on average


def synthetic(random, chips=8, spread=0.4):
    """Chips whose scores depart by 20 times the rate, times a lognormal factor of their own."""
    seen = 20 * np.array(RATES)[:, None] * np.exp(random.normal(0, spread, (4, chips)))
    return Calibration(CLEAN, RATES, {"scores": seen, "answers": seen}, {})


def test_departures():
    assert measure_departures(CLEAN, CLEAN) == {"scores": 0.0, "answers": 0.0}
    assert measure_departures(scores_at(0.3), CLEAN)["scores"] == pytest.approx(0.3, rel=1e-5)
    assert measure_departures(scores_at(0.3), CLEAN)["answers"] == 0
    turned = CLEAN.copy()
    turned[:100] = turned[:100, ::-1]
    assert measure_departures(turned, CLEAN)["answers"] == 0.1


@pytest.mark.parametrize("rate", [0.0004, 0.001, 0.002, 0.01, 0.025])
def test_without_a_spread_the_rate_is_found_exactly(rate):
    calibration = synthetic(np.random.default_rng(0), spread=0)
    found = estimate_rate(calibration, scores_at(20 * rate), "scores")
    assert found.rate == pytest.approx(rate, rel=1e-3)
    assert found.low == pytest.approx(found.high, rel=1e-6)


def test_intervals_hold_the_rate_as_often_as_they_say():
    random, held, runs = np.random.default_rng(1), 0, 400
    for _ in range(runs):
        calibration, rate = synthetic(random), math.exp(random.uniform(math.log(0.002), math.log(0.015)))
        shown = 20 * rate * math.exp(random.normal(0, 0.4))
        found = estimate_rate(calibration, scores_at(shown), "scores")
        assert found.low <= found.rate <= found.high
        held += found.low <= rate <= found.high
    assert 0.93 * runs <= held  # 95 % are promised; a spread that is never believed to be small gives some more


def test_no_errors_and_more_than_were_simulated():
    calibration = synthetic(np.random.default_rng(2))
    none = estimate_rate(calibration, CLEAN, "scores")
    assert (none.rate, none.low) == (0, 0)
    assert none.high < 0.001
    most = estimate_rate(calibration, scores_at(50), "scores")
    assert (most.rate, most.high) == (0.03, math.inf)
    assert most.to_dict()["high"] is None
    assert "to more than was simulated" in most.sentence()


def test_noisy_means_are_made_monotone():
    seen = np.array([[0.02] * 4, [0.1] * 4, [0.08] * 4, [0.5] * 4])
    calibration = Calibration(CLEAN, RATES, {"scores": seen, "answers": seen}, {})
    found = [estimate_rate(calibration, scores_at(d), "scores").rate for d in np.linspace(0.01, 0.6, 30)]
    assert found == sorted(found)


def test_scores_of_another_arithmetic_are_not_believed():
    sharp, far = RateEstimate("scores", 0.2, 0.01, 0.009, 0.011), RateEstimate("answers", 0.1, 0.001, 0.0005, 0.002)
    assert not sharp.overlaps(far)
    calibration = Calibration(
        CLEAN, RATES, {"scores": np.full((4, 4), 1e-3) * np.arange(1, 5)[:, None], "answers": synthetic(
            np.random.default_rng(0)).departures["answers"][:, :4]}, {},
    )  # fmt: skip
    device = estimate_device(calibration, scores_at(0.9), "scores")  # far off, and yet no answer differs
    assert device.contradictory
    assert device.best.measure == "answers"
    assert "compute otherwise than ONNX Runtime" in device.sentence()
    assert [e["measure"] for e in device.to_dict()["estimates"]] == ["scores", "answers"]


def test_a_simulated_device(zoo):
    x = zoo.spec.encode(zoo.test.x[:60])
    clean = GraphBase(zoo.model)(x)
    done = []
    calibration = calibrate(
        zoo.model, x, clean, BitErrors(0.0), Iid(), rates=(0.03, 0.0003, 0.003), chips=range(50_000, 50_003),
        on_rate=done.append,
    )  # fmt: skip
    assert done == [0.0003, 0.003, 0.03]
    seen = calibration.departures["scores"]
    assert seen.shape == (3, 3)
    assert np.all(np.diff(seen, axis=0) > 0)  # faults of a chip at a lower rate are some of those at a higher one
    answers = put_on_chip(zoo.model, Chip(50_001), BitErrors(0.003)).base(x)
    assert measure_departures(answers, clean)["scores"] == seen[1, 1]
    device = estimate_device(calibration, put_on_chip(zoo.model, Chip(7), BitErrors(0.003)).base(x), "scores")
    assert device.best.low < 0.003 < device.best.high
    blind = estimate_device(calibration, np.eye(10, dtype=np.float32)[answers.argmax(1)], "top-1")
    assert blind.by_scores is None
    assert blind.best.measure == "answers"


@pytest.mark.parametrize(
    ("rates", "chips"), [((0.01, 0.02), range(5)), ((0.01, 0.02, 0.0), range(5)), (RATES, range(2))]
)
def test_too_little_to_calibrate_by(zoo, rates, chips):
    x = zoo.spec.encode(zoo.test.x[:2])
    with pytest.raises(OptionError, match="at least 3 of each"):
        calibrate(zoo.model, x, np.zeros((2, 10), np.float32), BitErrors(0.0), Iid(), rates=rates, chips=chips)
