"""The bare base at a milder voltage, against a protected model."""

import pytest

from nfkit.measure.evaluation import Evaluation, Row
from nfkit.plans.bare_base import find_milder, milder_record

ENERGY = {0.01: 0.7, 0.005: 0.72, 0.001: 0.8}  # energy of an access at the voltage of each rate
READS = 0.05  # what the generator reads, as a share of the base's accesses


def measured(accuracies, *, energy=True):
    """The record of an evaluation of {rate: (base, pair)}, two chips each a point from the mean."""
    rows = [
        Row(ber, chip, 10, 5, base + step, pair + step if pair is not None else None)
        for ber, (base, pair) in accuracies.items()
        for chip, step in ((1, -0.01), (2, 0.01))
    ]
    settings = {
        "voltage": {"points": [{"ber": ber, "energy_per_access": e} for ber, e in ENERGY.items()]},
        "energy": {"points": [{"ber": ber, "saving_by_accesses": 1 - e - READS} for ber, e in ENERGY.items()]},
    }
    protected = None if any(pair is None for _, pair in accuracies.values()) else 0.9
    return Evaluation(0.95, protected, tuple(rows), settings if energy else {"energy": {"error": "no curve"}}).to_dict()


def test_a_bare_base_that_saves_and_scores_more_is_named():
    # At 0.1 % the bare base saves 20 %. The pair saves 25 % at 1 % and 23 % at 0.5 %, but only 15 % at 0.1 %; there
    # the base at 0.5 % saves 28 %, and scores less.
    evaluation = measured({0.01: (0.3, 0.8), 0.005: (0.6, 0.85), 0.001: (0.88, 0.87)})
    (found,) = find_milder(evaluation)
    assert (found.ber, found.bare_ber) == (0.001, 0.001)
    assert found.accuracy == pytest.approx(0.87)
    assert found.bare_accuracy == pytest.approx(0.88)
    assert (found.saving, found.bare_saving) == (pytest.approx(0.15), pytest.approx(0.2))
    sentence = milder_record(evaluation)["milder_voltage"]["sentence"]
    assert "the pair loses at 0.1 %: at 0.1 % the bare base scores 88.0 % and saves 20.0 %" in sentence


def test_the_most_accurate_of_several_is_named():
    evaluation = measured({0.01: (0.8, 0.7), 0.005: (0.85, 0.84), 0.001: (0.9, 0.8)})
    assert [(m.ber, m.bare_ber) for m in find_milder(evaluation)] == [(0.001, 0.001), (0.005, 0.005), (0.01, 0.005)]


def test_a_pair_that_nothing_beats_is_said_to_be_one():
    evaluation = measured({0.01: (0.3, 0.8), 0.005: (0.6, 0.85), 0.001: (0.8, 0.87)})
    assert find_milder(evaluation) == []
    assert milder_record(evaluation)["milder_voltage"]["sentence"].startswith("at no measured rate")


def test_nothing_is_said_without_a_pair_or_a_price():
    accuracies = {0.01: (0.3, 0.8)}
    assert milder_record(measured(accuracies, energy=False)) == {}
    assert milder_record(measured({0.01: (0.3, None)})) == {}
