"""Early answers at the nominal voltage as a rival: as many as save as much."""

import numpy as np
import pytest

from nfkit.plans.early_rival import EarlyAtVmin
from nfkit.plans.rivals import Candidate

COUNT = 200


@pytest.fixture(scope="module")
def rival():
    random = np.random.default_rng(0)
    sure = random.permutation(np.linspace(0.2, 1.0, COUNT))
    alone = random.random(COUNT) < sure  # right as often as it is sure
    return EarlyAtVmin(random.random(COUNT) < 0.95, alone, sure, 0.1)


@pytest.mark.parametrize("saving", [-0.1, 0.0, 0.25, 0.5, 0.9])
def test_it_saves_as_much_and_no_more_than_an_image_more(rival, saving):
    made = rival(saving)
    assert saving - 1e-9 <= made.saving < saving + 1 / COUNT
    share = made.saving + 0.1
    early = rival.sure >= np.sort(rival.sure)[::-1][: round(share * COUNT)].min(initial=2.0)
    assert early.mean() == pytest.approx(share)
    expected = np.where(early, rival.alone, rival.both)
    np.testing.assert_array_equal(made.answers, expected[None])
    assert made.accuracy == expected.mean()
    assert f"of {100 * share:.0f} % of the images" in made.name
    assert (made.kind, made.volts) == ("early", 1.0)


def test_there_is_none_where_it_cannot_save_so_much(rival):
    assert rival(0.91) is None
    assert rival(None) is None


def test_a_protected_model_is_compared_with_it(rival):
    made = rival(0.5)
    worse = Candidate(0, np.zeros((2, COUNT), bool) | (np.arange(COUNT) < 40), 0.5, (made,)).compare(0.1)
    assert [standing.kind for standing in worse.rivals] == ["early"]
    assert worse.outcome == "behind"
    cheaper = Candidate(0, np.ones((2, COUNT), bool), made.saving + 0.01, (made,)).compare(0.1)
    assert cheaper.rivals == ()
