"""Bit error rates and the voltages that belong to them."""

from nfkit.energy import load_curve
from nfkit.plans.operating_points import Strengths

CURVE = load_curve("stutz-2021")


def test_other_rates_keep_what_is_known():
    given = CURVE.at_volts(0.846)
    strengths = Strengths([given.rate], [given], CURVE).at([given.rate, 0.004, 0.4])
    assert strengths.rates == [given.rate, 0.004, 0.4]
    assert strengths.points == [given, CURVE.at_rate(0.004), None]  # 40 % lies beyond the curve


def test_other_rates_go_beyond_the_curve_only_where_asked():
    rate = 0.3
    assert Strengths([], [], CURVE).at([rate]).points == [None]
    beyond = Strengths([], [], CURVE, extrapolate=True).at([rate])
    assert beyond.points == [CURVE.find_rate(rate, extrapolate=True)]
    assert beyond.points[0].extrapolated
    assert len(beyond.to_record()["voltage"]["points"]) == 1
