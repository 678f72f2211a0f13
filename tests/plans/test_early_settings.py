"""Voltage, trust and threshold chosen together, on scores of a known make."""

from types import SimpleNamespace

import numpy as np
import pytest

from nfkit.energy import load_curve
from nfkit.faults import BitErrors
from nfkit.graph.fusion.trust import Trust
from nfkit.measure.early import NEVER
from nfkit.measure.statistics import difference_interval
from nfkit.plans.early_settings import EarlyAnswers, EarlyChoice, thresholds
from nfkit.plans.ladder import ladder
from nfkit.plans.looked import BothEnds, Looked, Trusts
from nfkit.plans.operating_points import Scale

CLASSES, COUNT, CHIPS = 4, 700, (1, 2, 3, 4)
LADDER = ladder(Scale(BitErrors(0.0), 0.5, load_curve("stutz-2021")), lambda strength: strength.point.energy)
ADDED = 0.1


class Known:
    """Scores that get noisier with the rate, the same for the same chip; remembers what it was asked."""

    def __init__(self, y, seed):
        self.y, self.seed, self.asked = y, seed, set()

    def of(self, errors, chips):
        rows = []
        for chip in chips if errors.rate else [0]:
            self.asked.add((errors.rate, chip))
            random = np.random.default_rng([self.seed, chip])
            noise = random.normal(size=(len(self.y), CLASSES))
            rows.append(4 * np.eye(CLASSES)[self.y] + noise * (1 + 40 * errors.rate))
        return np.array(rows, np.float32)

    def measured(self, errors, chips):
        known = [(errors.rate, chip) in self.asked for chip in chips]
        return known.index(False) if False in known else len(known)


def half(seed, easy=0.8):
    """Images of which the generator knows most surely, and the rest not at all."""
    random = np.random.default_rng(seed)
    y = random.integers(0, CLASSES, COUNT)
    strength = np.where(random.random((COUNT, 1)) < easy, 8.0, 0.0)
    evidence = random.normal(size=(COUNT, CLASSES)) + strength * np.eye(CLASSES)[y]
    clean = np.random.default_rng(seed + 1).random((1, COUNT)) < 0.99
    return Looked(Known(y, seed), evidence, y, clean, CHIPS)


@pytest.fixture(scope="module")
def chosen():
    looked = half(0)
    choice = EarlyChoice(looked, Trusts(looked), LADDER, ADDED, 0.02)
    return SimpleNamespace(looked=looked, best=choice.best(), nominal=choice.nominal())


def test_thresholds_fall_and_answer_more_and_more():
    sure = np.random.default_rng(0).uniform(0.25, 1, 1000)
    found = thresholds(sure)
    assert found[0] == NEVER
    assert found == sorted(set(found), reverse=True)
    shares = [(sure >= threshold).mean() for threshold in found]
    assert np.diff(shares) == pytest.approx(np.full(len(shares) - 1, 0.02), abs=0.005)


def test_the_choice_is_surely_within_the_tolerance(chosen):
    for path in (chosen.best, chosen.nominal):
        examiner = EarlyAnswers(chosen.looked)
        lost = [
            chosen.looked.clean.astype(int) - examiner.answers(setting, len(CHIPS)).astype(int)
            for setting in path.settings
        ]
        assert difference_interval(lost[path.chosen])[1] <= 0.02
        assert all(difference_interval(entry)[1] > 0.02 for entry in lost[path.chosen + 1 :])
        assert lost[-1].mean() <= 0.02 or len(path.settings) == path.chosen + 1
        energies = [setting.energy for setting in path.settings]
        assert energies == sorted(energies, reverse=True)


def test_energy_is_that_of_the_images_that_need_the_base(chosen):
    setting = chosen.best.settings[chosen.best.chosen]
    share = chosen.looked.sure(setting.trust, setting.threshold).mean()
    assert share == pytest.approx(0.8, abs=0.1)
    assert setting.energy == pytest.approx(ADDED + (1 - share) * setting.rung.energy)


def test_a_lower_voltage_is_taken_where_it_saves_more(chosen):
    best, nominal = (path.settings[path.chosen] for path in (chosen.best, chosen.nominal))
    assert nominal.volts == 1.0 > best.volts
    assert best.energy < nominal.energy


def test_no_voltage_is_dearer_than_its_neighbours(chosen):
    at = LADDER.index(chosen.best.settings[0].rung)
    choice = EarlyChoice(chosen.looked, Trusts(chosen.looked), LADDER, ADDED, 0.02)
    here = choice._energy(at)
    assert all(choice._energy(step) >= here for step in (at - 1, at + 1) if 0 <= step < len(LADDER))


def test_nothing_is_chosen_where_nothing_is_within():
    looked = half(2)
    looked.clean[:] = True
    shuffled = Looked(looked.scores, looked.evidence, (looked.labels + 1) % CLASSES, looked.clean, CHIPS)
    choice = EarlyChoice(shuffled, Trusts(shuffled), LADDER, ADDED, 0.001)
    assert choice.best() is None
    assert choice.nominal() is None


def test_trust_is_fitted_on_what_is_measured():
    looked = half(4)
    trusts, errors = Trusts(looked), BitErrors(0.01)
    few = trusts.at(errors, 2)
    assert trusts.at(errors, 2) is few
    looked.scores.of(errors, CHIPS)
    assert trusts.at(errors, 2) is trusts.at(errors, 4) is not few
    assert few.temperature == pytest.approx(trusts.at(errors, 4).temperature)


def test_evidence_that_misleads_has_no_weight():
    # Likely, since it is right of most images, but wrong of those that the base knows by a narrow margin.
    random = np.random.default_rng(5)
    y = random.integers(0, CLASSES, COUNT)
    scores = Known(y, 5)
    looked = Looked(scores, 5 * random.normal(size=(COUNT, CLASSES)), y, np.ones((1, COUNT), bool), CHIPS)
    trust = Trusts(looked).at(BitErrors(0.0), 1)
    always = BothEnds(looked, Trusts(looked)).answers(LADDER[0], 4)
    assert always.mean() >= (scores.of(BitErrors(0.0), CHIPS)[0].argmax(1) == y).mean()
    assert trust.weight < 0.1


def test_answers_without_errors_are_those_of_one_chip():
    looked = half(6)
    rows = looked.both(BitErrors(0.0), 3, Trust())
    assert rows.shape == (3, COUNT)
    assert (rows == rows[0]).all()
    np.testing.assert_array_equal(looked.base(BitErrors(0.01), 2), looked.both(BitErrors(0.01), 2, Trust(weight=0)))
