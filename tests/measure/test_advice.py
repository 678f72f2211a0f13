"""The advice says of every measured rate which of the three does best, and recommends no pair that does not."""

import pytest

from nfkit.measure.advice import Advice, Comparison, advise
from nfkit.measure.evaluation import Evaluation, Row

ALONE = "the generator alone, by its own evidence, classifies 70.0 %: "
RUN = (
    "run the pair at bit error rates of 0.5 %, 1 % and 2 %, where it beats both the faulty base and the "
    "generator by 3 points or more (most at 1 %: 83.0 %)"
)
NONE = "at none of the measured rates does the pair beat both by 3 points "


def sentence(*rates, alone=0.7, source="evidence"):
    """The sentence for (rate, base, pair), ..."""
    return Advice(tuple(Comparison(ber, base, pair, alone) for ber, base, pair in rates), source).sentence()


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([(0.01, 0.5, 0.65)], NONE + "(at 1 % the generator alone does as well or better, so the base adds nothing)"),
        ([(0.01, 0.9, 0.85)], NONE + "(at 1 % the faulty base does as well or better, so nothing needs protection)"),
        ([(0.01, 0.6, 0.72)], NONE + "(at 1 % it is ahead, but by less)"),
        # Each rate is in one region, ties included.
        ([(0.01, 0.7, 0.7)], NONE + "(at 1 % the generator alone does as well or better, so the base adds nothing)"),
        ([(0.01, 0.8, 0.8)], NONE + "(at 1 % the faulty base does as well or better, so nothing needs protection)"),
        (
            [(0.001, 0.9, 0.9), (0.005, 0.75, 0.76), (0.01, 0.5, 0.6), (0.02, 0.1, 0.7)],
            NONE + "(at 1 % and 2 % the generator alone does as well or better, so the base adds nothing; at 0.1 % the "
            "faulty base does as well or better, so nothing needs protection; at 0.5 % it is ahead, but by less)",
        ),
        (
            [(0.001, 0.9, 0.9), (0.005, 0.8, 0.85), (0.01, 0.5, 0.83), (0.02, 0.1, 0.74)],
            RUN,
        ),
    ],
)
def test_every_region_is_named(rates, expected):
    assert sentence(*rates) == ALONE + expected


def test_three_points_are_enough_whatever_their_floats():
    assert 0.83 - 0.8 < 0.03
    assert Advice((Comparison(0.01, 0.8, 0.83, 0.1),), "evidence").recommended == (0.01,)
    assert Advice((Comparison(0.01, 0.8, 0.829, 0.1),), "evidence").recommended == ()


def test_a_probe_is_named_as_such():
    assert sentence((0.01, 0.5, 0.9), source="probe").startswith(
        "the generator alone, by a linear probe on its bottleneck, classifies 70.0 %: run the pair"
    )


def evaluation(alone, protected=0.8):
    rows = tuple(Row(ber, 0, 1, 1, base, protected) for ber, base in ((0.02, 0.3), (0.01, 0.5)))
    return Evaluation(0.9, protected, rows, {}, alone)


def test_rates_rise_and_evidence_comes_before_a_probe():
    advice = advise(evaluation(0.6), probed=0.1)
    assert [c.ber for c in advice.comparisons] == [0.01, 0.02]
    assert (advice.source, advice.comparisons[0].alone) == ("evidence", 0.6)
    record = advice.to_dict()
    assert record["recommended"] == [0.01, 0.02]
    assert record["sentence"] == advice.sentence()


def test_nothing_known_of_the_generator_gives_no_advice():
    assert advise(evaluation(None)) is None
    assert advise(evaluation(0.6, protected=None)) is None
    assert advise(evaluation(None), probed=0.6).source == "probe"
