"""One verdict: which of all rivals is named, at which rate, and when nothing is decided."""

import numpy as np
import pytest

from nfkit.energy import load_curve
from nfkit.faults import BitErrors
from nfkit.plans.operating_points import Scale
from nfkit.plans.rivals import Candidate, Rival
from nfkit.plans.verdicts import Fresh, Setting, judge_base, judge_pair

IMAGES = 600
SCALE = Scale(BitErrors(0.0), 0.5, load_curve("stutz-2021"))
RATES = (0.001, 0.002, 0.01)


def answers(share, seed=0, chips=8):
    """A system that is right about a share of a shuffled list of images, a few more or fewer on each chip."""
    random = np.random.default_rng(seed)
    order = np.random.default_rng(99).permutation(IMAGES)
    return np.stack([order < round(share * IMAGES) + e for e in random.integers(-3, 4, chips)])


def setting(rates=RATES, unchecked=()):
    return Setting(tuple(SCALE.at_rates(rates)), 0.9, 0.1, unchecked)


def candidate(point, pair, base, alone, milder, saving=0.2):
    """A protected model with its three rivals; accuracies as shares."""
    rivals = [Rival.of("the faulty base", "base", answers(base, 1), saving=0.3, ber=RATES[point])]
    rivals += [Rival.of("the generator alone", "alone", answers(alone, 2, 1))] if alone is not None else []
    if milder is not None:
        rivals.append(
            Rival.of("the bare base at 0.930 Vmin (bit error rate 0.01 %)", "milder", answers(milder, 3), saving=saving)
        )
    return Candidate(point, answers(pair), saving, tuple(rivals))


def judge(*candidates, again=None, **changes):
    return judge_pair(candidates, setting(**changes), again)


# --- the pair ---


def test_a_pair_ahead_of_all_three_is_recommended_at_its_surest_point():
    verdict = judge(
        candidate(0, 0.86, 0.85, 0.7, 0.8),
        candidate(1, 0.85, 0.7, 0.75, 0.78),  # 7 points ahead of the strongest
        candidate(2, 0.80, 0.5, 0.75, 0.7),  # 5 points
    )
    assert (verdict.choice, verdict.point) == ("pair", 1)
    assert verdict.sentence.startswith(
        "run the protected model at a bit error rate of 0.2 % (0.894 Vmin): it is 84.8 %"
    )
    assert "saves 20.0 % of the weight memory's energy" in verdict.sentence
    assert "the bare base at 0.930 Vmin (bit error rate 0.01 %), is 78." in verdict.sentence
    assert [entry.outcome for entry in verdict.comparisons] == ["ahead", "ahead", "ahead"]
    assert verdict.confirmed is None


def test_beating_two_of_three_is_not_enough():
    for rivals in ((0.9, 0.5, 0.5), (0.5, 0.9, 0.5), (0.5, 0.5, 0.9)):
        assert judge(candidate(1, 0.8, *rivals)).choice != "pair"


def test_a_lead_within_the_interval_is_no_lead():
    verdict = judge(candidate(1, 0.805, 0.6, 0.7, 0.8))
    assert verdict.choice == "undecided"
    assert verdict.sentence.startswith("not decided at a bit error rate of 0.2 % (0.894 Vmin): the protected model 80.")
    assert "measure more chips and images" in verdict.sentence


# --- instead of the pair ---


def test_the_bare_base_at_a_milder_voltage():
    verdict = judge(candidate(0, 0.86, 0.8, 0.6, 0.885), candidate(1, 0.84, 0.7, 0.6, 0.89))
    assert (verdict.choice, verdict.point) == ("milder", None)
    assert verdict.sentence.startswith(
        "leave the generator out: the bare base at 0.930 Vmin (bit error rate 0.01 %) is 88."
    )
    assert "the protected model at a bit error rate of 0.1 % (0.904 Vmin), which is 8" in verdict.sentence


def test_a_generator_that_costs_more_than_the_voltage_saves():
    verdict = judge(candidate(1, 0.84, 0.7, 0.6, 0.89, saving=0.0))
    assert verdict.choice == "milder"
    assert verdict.sentence.startswith(
        "leave the generator out: it costs more energy than the voltage saves at a bit error rate of 0.2 % (0.894 Vmin)"
    )
    assert "as much as" not in verdict.sentence


def test_the_generator_alone():
    verdict = judge(candidate(2, 0.67, 0.3, 0.85, 0.6))
    assert verdict.choice == "alone"
    assert verdict.sentence.startswith("leave the base out: the generator alone is 85.3 % accurate at full voltage")


def test_the_base_as_it_is():
    verdict = judge(candidate(0, 0.87, 0.89, 0.5, 0.7))
    assert (verdict.choice, verdict.point) == ("base", 0)
    assert "at a bit error rate of 0.1 % (0.904 Vmin) the base by itself is 8" in verdict.sentence


def test_a_tie_goes_to_the_simpler_way():
    pair = answers(0.88)
    tied = Candidate(0, pair, 0.2, (Rival.of("the faulty base", "base", pair, saving=0.3, ber=0.001),))
    assert judge(tied).choice == "base"


def test_another_remedy_is_a_rival_too():
    robust = Rival.of("robust top bits", "robust-bits", answers(0.9, 5), saving=0.25)
    verdict = judge(Candidate(1, answers(0.8), 0.2, (robust,)))
    assert verdict.choice == "other"
    assert "use robust top bits instead: it is 9" in verdict.sentence
    assert "and saves 25.0 %" in verdict.sentence


def test_a_destroyed_base_with_a_generator_that_did_nothing():
    verdict = judge(candidate(2, 0.12, 0.12, 0.11, None), unchecked=("the bare base at a milder voltage",))
    assert verdict.choice == "none"
    assert verdict.sentence.startswith("nothing is of use at a bit error rate of 1 % (0.863 Vmin)")
    assert "against 90.0 % of the base without errors" in verdict.sentence
    assert "needs no protection" not in verdict.sentence
    assert verdict.unchecked == ("the bare base at a milder voltage",)
    # Where the milder voltage was measured and holds, that is what to do.
    assert judge(candidate(2, 0.12, 0.12, 0.11, 0.88)).choice == "milder"


def test_a_pair_that_beats_all_and_is_still_broken_is_not_recommended():
    verdict = judge(candidate(2, 0.3, 0.12, 0.11, 0.2))
    assert verdict.choice == "none"


def test_a_single_chip_decides_nothing():
    base = Rival.of("the faulty base", "base", answers(0.2, chips=1), saving=0.3)
    verdict = judge(Candidate(1, answers(0.85, chips=1), 0.2, (base,)))
    assert verdict.choice == "undecided"
    assert "a single chip decides nothing" in verdict.sentence


# --- confirmation ---


@pytest.fixture
def candidates():
    return candidate(0, 0.86, 0.85, 0.7, 0.8), candidate(1, 0.85, 0.7, 0.75, 0.78)


def test_the_recommended_point_is_confirmed_on_what_had_no_part_in_choosing(candidates):
    asked = []

    def again(point):
        asked.append(point)
        return Fresh((7, 8, 9), candidate(point, 0.83, 0.7, 0.75, 0.78))

    verdict = judge(*candidates, again=again)
    assert asked == [1]
    assert (verdict.choice, verdict.point) == ("pair", 1)
    assert verdict.confirmed.holds
    assert (verdict.confirmed.chips, verdict.confirmed.images) == ((7, 8, 9), IMAGES // 2)
    expected = answers(0.83)[:, 1::2].mean()  # the odd images; the even ones chose
    assert verdict.confirmed.accuracy.mean == expected
    assert f"it is {100 * expected:.1f} % accurate on chips and images that had no part" in verdict.sentence
    assert verdict.comparisons[1].accuracy == answers(0.85)[:, ::2].mean()


def test_a_lead_that_does_not_hold_is_taken_back(candidates):
    verdict = judge(*candidates, again=lambda point: Fresh((7,), candidate(point, 0.78, 0.7, 0.75, 0.8)))
    assert (verdict.choice, verdict.point) == ("undecided", None)
    assert not verdict.confirmed.holds
    assert "was ahead, but on fresh chips and images it is" in verdict.sentence


def test_what_nothing_was_chosen_by_is_told_of_all_images():
    system = candidate(0, 0.79, 0.85, 0.7, 0.8), candidate(1, 0.7, 0.8, 0.6, 0.75)
    verdict = judge(*system, again=lambda point: pytest.fail("measured again"))
    assert verdict.choice == "base"
    shares = [f"{100 * a.mean():.1f} %" for a in (answers(0.85, 1), answers(0.79))]
    assert f"the base by itself is {shares[0]} accurate, the protected model {shares[1]}" in verdict.sentence
    assert [c.accuracy for c in verdict.comparisons] == [answers(0.79).mean(), answers(0.7).mean()]


def test_a_lead_that_only_all_images_show_is_not_decided():
    """Better on odd images alone: the half that chooses does not see it."""
    pair, base = (np.tile(np.arange(IMAGES) % 4 < share, (8, 1)) for share in (4, 3))
    rivals = (Rival.of("the faulty base", "base", base, saving=0.3, ber=RATES[0]),)
    system = [Candidate(point, pair, 0.2, rivals) for point in (0, 1)]
    verdict = judge(*system, again=lambda point: pytest.fail("measured again"))
    assert verdict.choice == "undecided"
    assert "the protected model 100.0 % accurate, the faulty base 75.0 %" in verdict.sentence
    assert "measure more chips and images" in verdict.sentence


def test_a_single_point_was_not_chosen_and_needs_no_confirming(candidates):
    def again(point):
        raise AssertionError("measured again")

    assert judge(candidates[1], again=again).choice == "pair"


# --- a bare base ---


def test_a_base_that_bears_a_milder_voltage_is_told_the_lowest():
    faulty = [answers(0.9, 4), answers(0.9, 5), answers(0.4, 6)]
    verdict = judge_base(faulty, answers(0.9)[:1], setting())
    assert (verdict.choice, verdict.point) == ("base", 1)
    assert verdict.sentence.startswith("the base needs no protection at a bit error rate of 0.2 % (0.894 Vmin)")
    assert "the voltage saves 22.7 % of the weight memory's energy" in verdict.sentence
    assert "at a bit error rate of 1 % (0.863 Vmin) it falls from 90.0 % to 40." in verdict.sentence


def test_a_base_that_breaks_is_told_so():
    verdict = judge_base([answers(0.4, 6)], answers(0.9)[:1], setting((0.01,)))
    assert verdict.choice == "none"
    assert "it falls from 90.0 % to 40." in verdict.sentence
    assert "protect it (nfkit protect)" in verdict.sentence


def test_rates_may_come_in_any_order():
    faulty = [answers(0.4, 6), answers(0.9, 4)]
    verdict = judge_base(faulty, answers(0.9)[:1], setting((0.01, 0.001)))
    assert verdict.point == 1
    assert "at a bit error rate of 1 % (0.863 Vmin) it falls" in verdict.sentence


def test_one_chip_of_a_base_decides_nothing():
    verdict = judge_base([answers(0.9, chips=1)], answers(0.9)[:1], setting((0.001,)))
    assert verdict.choice == "undecided"
