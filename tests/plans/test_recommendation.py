"""What a plan says of itself."""

import pytest

from nfkit.plans.recommendation import images_for, recommend
from nfkit.reports.figures import Spread
from nfkit.reports.plan import Option


def option(name, volts, energy, loss, upper):
    return Option(
        name=name, sentence=f"what {name} does", needs=(), outcome="within", volts_over_vmin=volts, ber=0.001,
        flips=0.0005, energy=energy, accuracy=Spread(0.9), loss=Spread(loss, ci95=(2 * loss - upper, upper)),
        chosen_volts=volts,
    )  # fmt: skip


EARLY, BARE = option("early:g", 0.92, 0.4, 0.004, 0.014), option("bare", 0.94, 0.86, 0.0, 0.006)


def said(sure):
    return recommend([EARLY, BARE], 0, 0.01, None, images=500, sure=sure)


def test_what_is_sure_is_said_once():
    doubt = (
        "of the 1 point tolerated (88 % sure; with some 2,800 test images 97.5 %); "
        "without a generator, bare at 0.940 Vmin "
    )
    assert said(BARE).endswith(f"{doubt}saves 14.0 %, 97.5 % sure")
    milder = option("bare", 0.96, 0.91, 0.0, 0.004)
    sure = "to be 97.5 % sure of that, bare at 0.960 Vmin saves 9.0 %"
    assert said(milder).endswith(f"{doubt}saves 14.0 %; {sure}")
    assert said(None).endswith("; to be 97.5 % sure of that, nothing that was tried saves energy")


def test_a_plan_that_is_sure_has_no_doubts():
    assert "sure" not in recommend([EARLY, BARE], 1, 0.01, None, images=500)


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
