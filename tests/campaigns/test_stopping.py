"""The stop rule: what it spends, and that what it reports is true as often as it says."""

import numpy as np
import pytest

from nfkit.campaigns.stopping import MISS, StopRule, half_width
from nfkit.measure.statistics import Tally, accuracy_interval, accuracy_spread, difference_interval


def tally_of(correct):
    tally = Tally(correct.shape[1])
    for row in correct:
        tally.add(row)
    return tally


def draw(random, chips, images, mean=0.8, chip_spread=0.05, image_spread=0.3):
    """Answers of chips and images that differ, [chips, images], whose mean over all chips and images is known."""
    by_chip = chip_spread * random.uniform(-1, 1, (chips, 1))
    by_image = image_spread * random.choice([-1, 1], (1, images))
    return random.random((chips, images)) < np.clip(mean - 0.15 + by_chip + by_image / 2, 0, 1)


def test_looks_grow_by_half_and_spend_no_more_than_is_there():
    looks = list(StopRule(10, 0.01, 1000).looks())
    assert [look.chips for look in looks] == [10, 15, 23, 35, 53, 80, 120, 180, 270, 405, 608, 912, 1000]
    assert looks[0].level == pytest.approx(1 - MISS / 2)
    spent = sum(1 - look.level for look in looks)
    assert spent == pytest.approx(MISS * len(looks) / (len(looks) + 1))


def test_without_a_half_width_there_is_one_look_at_95_percent():
    assert [(look.chips, look.level) for look in StopRule(12, None, 12).looks()] == [(12, 0.95)]


def test_a_tally_knows_what_the_matrix_knows():
    correct = draw(np.random.default_rng(3), 7, 40)
    tally = tally_of(correct)
    assert (tally.chips, tally.images) == (7, 40)
    assert tally.interval() == pytest.approx(accuracy_interval(correct))
    assert tally.interval(0.99)[0] < tally.interval()[0]
    spread, expected = tally.spread(), accuracy_spread(correct)
    assert (spread.mean, spread.std, spread.worst) == pytest.approx((expected.mean, expected.std, expected.worst))


def test_a_tally_of_differences_has_the_paired_interval():
    random = np.random.default_rng(9)
    correct = draw(random, 6, 50)
    difference = (random.random(50) < 0.9).astype(np.int8) - correct.astype(np.int8)
    tally = Tally(50, differences=True)
    for row in difference:
        tally.add(row)
    assert tally.interval() == pytest.approx(difference_interval(difference))
    assert tally.spread().mean == pytest.approx(difference.mean())
    assert sum(tally.variances()) == pytest.approx(difference.var(ddof=1), rel=0.1)


def test_variances_are_those_of_the_two_way_analysis():
    random = np.random.default_rng(4)
    correct = draw(random, 300, 400, chip_spread=0.1)
    chip, image, rest = tally_of(correct).variances()
    assert chip == pytest.approx(0.1**2 / 3, rel=0.2)  # of a uniform number in +- 0.1
    assert image == pytest.approx(0.15**2, rel=0.1)
    assert chip + image + rest == pytest.approx(correct.var(), rel=0.02)
    with pytest.raises(ValueError, match="two chips"):
        tally_of(correct[:1]).variances()


def test_a_pilot_tells_how_many_chips_and_images_it_takes():
    rule, random = StopRule(10, 0.05, 1000), np.random.default_rng(5)
    pilot = tally_of(draw(random, 8, 400, chip_spread=0.1))
    needed = rule.chips_needed(pilot)
    assert needed in [look.chips for look in rule.looks()]
    look = next(look for look in rule.looks() if look.chips == needed)
    assert half_width(pilot, needed, None, look.level) <= 0.05
    narrow = StopRule(10, 0.011, 1000)
    assert narrow.chips_needed(pilot) is None
    images = narrow.images_needed(pilot)
    *_, last = narrow.looks()
    assert images > 400
    assert half_width(pilot, 1000, images, last.level) <= 0.011 < half_width(pilot, 1000, images - 1, last.level)
    assert StopRule(10, 1e-9, 10).images_needed(pilot) is None  # so few chips never tell


def test_the_interval_at_the_stop_holds_the_truth_as_often_as_it_says():
    """600 campaigns whose truth is known, stopped as soon as they may be: at least 95 % hold it, and few are wasted.

    By chance 95 % of 600 is 570 +- 5.3: a share below 0.93 would be a rule that fails, not a bad draw.
    """
    rule, random, holds, ends = StopRule(6, 0.02, 60), np.random.default_rng(6), 0, []
    for _ in range(600):
        correct = draw(random, 60, 600, chip_spread=0.06, image_spread=0.1)
        truth = 0.65
        for look in rule.looks():
            tally = tally_of(correct[: look.chips])
            if rule.settles(tally, look):
                break
        low, high = tally.interval(look.level)
        holds += low <= truth <= high
        ends.append(look.number)
    assert holds / 600 >= 0.93
    assert len(set(ends)) > 1  # it did look repeatedly, and ended at different looks
