"""What a call takes in all is counted from the runs that it makes."""

import pytest

from nfkit.progress import duration
from nfkit.workflows.forecast import Pace, of_protection

PACE = Pace(0.001)


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr("nfkit.workflows.forecast.cores", lambda: 4)


def test_runs_share_the_cores(four_cores):
    assert PACE.measuring(40, 500) == pytest.approx(5.0)
    assert PACE.measuring(1, 500) == pytest.approx(0.5), "one run is of one core"
    assert PACE.planning(2, 10, 1000) == pytest.approx(12 * 2 * 10 * 500 * 0.001 / 4)


def test_a_protection_names_its_parts(four_cores):
    told = of_protection(PACE, 10.0, train=40_000, asked=True, measured=500, rates=5, chips=10, planned=2)
    assert (
        told
        == "about 11.7 min in all: 10.0 min training, 10 s asking the base, 60 s planning, 34 s fitting and measuring"
    )
    told = of_protection(PACE, None, train=40_000, asked=False, measured=500, rates=1, chips=2, planned=0)
    assert told == "about 21 s besides the training, whose epochs take what they take: 21 s fitting and measuring"


def test_a_model_is_timed(zoo):
    pace = Pace.of(zoo.model, zoo.test, zoo.spec)
    assert 1e-7 < pace.seconds < 1.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "1.5 min"), (7200, "2.0 h"), (5e5, "5.8 days")]
)
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text
