"""How a protected model stands against what else could be run."""

import numpy as np
import pytest

from nfkit.measure.statistics import difference_spread
from nfkit.plans.rivals import Candidate, Rival, is_ahead, strongest

IMAGES = 400


def answers(share, chips=6, seed=0):
    """A system that is right about the first images of a list, a few more or fewer on each chip."""
    extra = np.random.default_rng(seed).integers(-2, 3, chips)
    return np.stack([np.arange(IMAGES) < round(share * IMAGES) + e for e in extra])


def candidate(share, *rivals, saving=0.2):
    return Candidate(0, answers(share), saving, rivals)


def rival(share, kind="base", saving=None, seed=1):
    return Rival.of(f"the {kind}", kind, answers(share, seed=seed), saving=saving)


def test_ahead_of_all_behind_one_or_undecided():
    assert candidate(0.8, rival(0.7), rival(0.5, "alone")).compare(0.1).outcome == "ahead"
    assert candidate(0.8, rival(0.7), rival(0.9, "alone")).compare(0.1).outcome == "behind"
    assert candidate(0.8, rival(0.8), rival(0.5, "alone")).compare(0.1).outcome == "undecided"


def test_a_lead_is_paired_by_chip_and_image():
    comparison = candidate(0.8, rival(0.7)).compare(0.1)
    (standing,) = comparison.rivals
    assert standing.ahead == difference_spread(answers(0.8), answers(0.7, seed=1))
    assert is_ahead(standing)
    assert comparison.accuracy == answers(0.8).mean()


def test_a_model_at_chance_is_broken_whatever_it_beats():
    assert candidate(0.3, rival(0.1)).compare(0.2).outcome == "ahead"
    assert candidate(0.3, rival(0.1)).compare(0.3 + 0.01).outcome == "broken"


def test_what_saves_less_does_not_compete():
    milder = rival(0.9, "milder", saving=0.19)
    assert [s.kind for s in candidate(0.8, rival(0.7), milder).compare(0.1).rivals] == ["base"]
    equal = rival(0.9, "milder", saving=0.2 - 1e-12)
    assert candidate(0.8, rival(0.7), equal).compare(0.1).outcome == "behind"
    unknown = rival(0.9, "milder", saving=None)
    assert candidate(0.8, rival(0.7), unknown).compare(0.1).outcome == "behind"
    assert candidate(0.8, rival(0.7), milder, saving=None).compare(0.1).outcome == "behind"


def test_a_rival_of_which_only_the_accuracy_is_known():
    known = Rival("the generator alone", "alone", None, 0.7)
    (standing,) = candidate(0.8, known).compare(0.1).rivals
    assert standing.ahead.mean == pytest.approx(answers(0.8).mean() - 0.7)
    low, high = standing.ahead.ci95
    assert low < standing.ahead.mean < high
    paired = candidate(0.8, rival(0.7)).compare(0.1).rivals[0].ahead.ci95
    assert high - low > paired[1] - paired[0]  # images are no longer paired


def test_one_chip_decides_nothing():
    single = Candidate(0, answers(0.9, chips=1), 0.2, (Rival.of("the base", "base", answers(0.1, chips=1)),))
    assert single.compare(0.05).outcome == "undecided"


def test_the_strongest_rival_is_the_one_with_the_least_lead():
    comparison = candidate(0.8, rival(0.5), rival(0.75, "alone"), rival(0.6, "milder")).compare(0.1)
    assert strongest(comparison).kind == "alone"


def test_some_images_of_all(monkeypatch):
    half = np.arange(0, IMAGES, 2)
    known = Rival("the generator alone", "alone", None, 0.7)
    seen = candidate(0.8, rival(0.7), known).seen_on(half)
    assert (seen.answers == answers(0.8)[:, half]).all()
    assert (seen.rivals[0].answers == answers(0.7, seed=1)[:, half]).all()
    assert seen.rivals[0].accuracy == answers(0.7, seed=1)[:, half].mean()
    assert seen.rivals[1] is known
