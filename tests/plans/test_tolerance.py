"""The lowest voltage within a tolerance, on systems whose answers are known."""

from dataclasses import dataclass

import numpy as np
import pytest

from nfkit.energy import load_curve
from nfkit.errors import OptionError
from nfkit.faults import BitErrors
from nfkit.plans.ladder import grid, ladder
from nfkit.plans.operating_points import Scale
from nfkit.plans.tolerance import certainty, check_confidence, check_tolerance, choose, confirm, upper_end

CURVE = load_curve("stutz-2021")
SCALE = Scale(BitErrors(0.0, "flip"), 1.0, CURVE)
LADDER = ladder(SCALE, lambda strength: strength.point.energy)
IMAGES = 400


@dataclass
class Known:
    """Loses `lost[step]` images, the same on every chip; remembers what it was asked."""

    lost: list[int]
    seen: list[tuple[int, int]]
    chips: range = range(5)

    @property
    def clean(self):
        return np.ones((1, IMAGES), np.bool_)

    def answers(self, rung, chips):
        step = LADDER.index(rung)
        self.seen.append((step, chips))
        right = np.ones((chips, IMAGES), np.bool_)
        right[:, : self.lost[step]] = False
        return right

    def independent(self, rung):
        return 5 * IMAGES


def known(first_bad, lost=40, else_lost=0):
    return Known([else_lost if step < first_bad else lost for step in range(len(LADDER))], [])


def test_grid_lies_on_the_curve():
    volts = grid(CURVE)
    assert volts[0] == 0.969
    assert volts[-1] == 0.754
    assert volts[1:-1] == tuple(round(0.96 - 0.01 * i, 6) for i in range(21))
    assert grid(load_curve("neuralfuse")) == (0.833,)


def test_ladder_starts_at_vmin_and_falls():
    assert (LADDER[0].volts, LADDER[0].energy, LADDER[0].strength.rate) == (1.0, 1.0, 0.0)
    assert [rung.volts for rung in LADDER[1:]] == list(grid(CURVE))
    rates = [rung.strength.rate for rung in LADDER]
    assert rates == sorted(rates)
    assert rates[1:] == [CURVE.at_volts(volts).rate for volts in grid(CURVE)]


def test_ladder_leaves_out_what_a_kind_cannot_have():
    # Stuck cells flip half: 0.21 of flips are 0.42 of cells. Four times as many are no rate any more.
    assert len(ladder(Scale(BitErrors(0.0), 0.5, CURVE), lambda strength: 1.0)) == len(LADDER)
    short = ladder(Scale(BitErrors(0.0), 0.1, CURVE), lambda strength: 1.0)
    assert [rung.volts for rung in short[1:]] == [v for v in grid(CURVE) if CURVE.at_volts(v).rate <= 0.05]


@pytest.mark.parametrize("first_bad", range(1, len(LADDER) + 1))
def test_the_last_voltage_that_holds_is_chosen(first_bad):
    assert choose(known(first_bad), LADDER, 0.01) == first_bad - 1


def test_few_chips_steer():
    examiner = known(9)
    choose(examiner, LADDER, 0.01)
    assert sum(chips == 3 for _, chips in examiner.seen) <= 5  # of 24 voltages
    assert {step for step, chips in examiner.seen if chips == 5} == {8, 9}


def test_nothing_is_chosen_where_vmin_loses_too_much():
    assert choose(known(1, else_lost=40), LADDER, 0.01) is None


def test_the_interval_decides_and_not_the_mean():
    # 3 of 400 images lost on every chip: 0.75 points on average, and up to 2.2 (Wilson).
    lost = [0, 0, 0, *[3] * (len(LADDER) - 3)]
    assert choose(Known(lost, []), LADDER, 0.01) == 2
    assert choose(Known(lost, []), LADDER, 0.021) == 2
    assert choose(Known(lost, []), LADDER, 0.0225) == len(LADDER) - 1


def test_at_a_confidence_of_a_half_the_measured_loss_decides():
    lost = [0, 0, 0, *[3] * 5, *[5] * (len(LADDER) - 8)]  # 0.75 points, and 1.25
    assert choose(Known(lost, []), LADDER, 0.01, 0.5) == 7
    assert choose(Known(lost, []), LADDER, 0.01, 0.975) == choose(Known(lost, []), LADDER, 0.01) == 2
    confirmed = confirm(Known(lost, []), LADDER, 7, 0.01, confidence=0.5)
    assert (confirmed.found.step, confirmed.holds) == (7, True)
    assert not confirm(Known(lost, []), LADDER, 7, 0.01, steps_back=(2,)).holds


def test_more_confidence_asks_for_less_loss():
    ends = [upper_end(0.01, (0.005, 0.015), confidence) for confidence in (0.5, 0.84134, 0.975, 0.999)]
    assert ends[0] == 0.01
    assert ends[1] == pytest.approx(0.01 + 0.005 / 1.959964, abs=1e-6)  # one standard error
    assert ends[2] == 0.015
    assert ends == sorted(ends)


@pytest.mark.parametrize(("tolerance", "expected"), [(0.01, 0.5), (0.02, 0.975), (0.006, 0.025), (0.0, 0.0)])
def test_how_sure_a_loss_is_within_a_tolerance(tolerance, expected):
    found = certainty(0.01, (0.006, 0.02), tolerance)
    assert found == pytest.approx(expected, abs=1e-6)
    if found >= 0.5:
        assert upper_end(0.01, (0.006, 0.02), found) == pytest.approx(tolerance)


def test_a_loss_without_an_interval_is_certain():
    assert certainty(0.0, (0.0, 0.0), 0.0) == certainty(0.01, (0.01, 0.01), 0.02) == 1.0
    assert certainty(0.01, (0.01, 0.01), 0.009) == 0.0


def test_tests_go_on_beyond_the_choice_where_that_is_said():
    examiner = known(15)
    confirmed = confirm(examiner, LADDER, 7, 0.01, last=10)
    assert (confirmed.found.step, confirmed.holds) == (10, True)
    assert examiner.seen == [(step, 5) for step in range(5, 11)]
    examiner = known(9)
    assert confirm(examiner, LADDER, 7, 0.01, last=10).found.step == 8
    assert examiner.seen == [(step, 5) for step in range(5, 10)]


@pytest.mark.parametrize("confidence", [0.4, 1.0, float("nan")])
def test_impossible_confidences_are_refused(confidence):
    with pytest.raises(OptionError, match="a confidence of"):
        check_confidence(confidence)


def test_all_may_be_lost():
    assert choose(known(1, lost=IMAGES), LADDER, 1.0) == len(LADDER) - 1


def test_confirming_goes_down_to_the_choice_and_no_further():
    examiner = known(20)
    confirmed = confirm(examiner, LADDER, 7, 0.01)
    assert (confirmed.chosen, confirmed.found.step, confirmed.holds) == (7, 7, True)
    assert examiner.seen == [(step, 5) for step in (5, 6, 7)]


def test_confirming_stops_at_the_first_failure():
    examiner = known(7)
    confirmed = confirm(examiner, LADDER, 7, 0.01)
    assert (confirmed.found.step, confirmed.holds) == (6, True)
    assert examiner.seen == [(step, 5) for step in (5, 6, 7)]


def test_confirming_begins_again_once():
    examiner = known(5)
    confirmed = confirm(examiner, LADDER, 8, 0.01)
    assert (confirmed.found.step, confirmed.holds) == (4, True)
    assert examiner.seen == [(step, 5) for step in (6, 3, 4, 5)]
    examiner = known(3)
    confirmed = confirm(examiner, LADDER, 8, 0.01)
    assert (confirmed.found.step, confirmed.holds, confirmed.found.loss.mean) == (3, False, 0.1)
    assert examiner.seen == [(step, 5) for step in (6, 3)]
    examiner = known(0)
    assert not confirm(examiner, LADDER, 1, 0.01).holds
    assert examiner.seen == [(0, 5)]


def test_what_was_not_chosen_is_not_confirmed():
    confirmed = confirm(known(1, else_lost=40), LADDER, None, 0.01)
    assert (confirmed.chosen, confirmed.found.step, confirmed.holds) == (None, 0, False)


@pytest.mark.parametrize("tolerance", [-0.01, 1.5, float("nan")])
def test_impossible_tolerances_are_refused(tolerance):
    with pytest.raises(OptionError, match="cannot be kept to"):
        check_tolerance(tolerance)
