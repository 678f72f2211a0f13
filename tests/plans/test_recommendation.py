"""What a plan says of itself."""

import pytest

from nfkit.plans.recommendation import images_for
from nfkit.reports.figures import Spread


@pytest.mark.parametrize(
    ("mean", "upper", "expected"),
    [
        (0.0, 0.01, 1_000),  # the 500 that confirmed it, and as many to choose
        (0.0, 0.02, 4_000),  # half as wide with four times as many
        (0.005, 0.015, 4_000),
        (0.004, 0.017, 4_700),
        (0.0099, 0.02, None),  # ten million
        (0.01, 0.02, None),
        (0.02, 0.03, None),
    ],
)
def test_images_that_would_make_a_plan_sure(mean, upper, expected):
    loss = Spread(mean, 0.0, (2 * mean - upper, upper), None, None)
    assert images_for(loss, 0.01, 500) == expected


def test_without_an_interval_nothing_is_foretold():
    assert images_for(Spread(0.0, None, None, None, None), 0.01, 500) is None
