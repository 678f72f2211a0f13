"""Means and intervals, against printed tables."""

import json

import pytest

from nfkit.measure.statistics import Spread, t975

# Student's t, two-sided 95 %, as every table prints it.
TABLE = {
    1: 12.706, 2: 4.303, 4: 2.776, 5: 2.571, 9: 2.262, 10: 2.228, 11: 2.201, 12: 2.179, 15: 2.131, 20: 2.086,
    25: 2.060, 30: 2.042, 60: 2.000, 120: 1.980, 10**6: 1.960,
}  # fmt: skip


@pytest.mark.parametrize("degrees", TABLE)
def test_quantiles_are_those_of_the_table(degrees):
    # The table rounds to 0.0005; the expansion beyond ten degrees is good to 0.001 there.
    assert t975(degrees) == pytest.approx(TABLE[degrees], abs=0.0015)


def test_quantiles_fall_with_the_degrees():
    quantiles = [t975(n) for n in range(1, 200)]
    assert quantiles == sorted(quantiles, reverse=True)
    assert min(quantiles) > 1.9599


def test_spread_of_some_values():
    spread = Spread.of([0.5, 0.7, 0.6, 0.8])
    assert spread.mean == pytest.approx(0.65)
    assert spread.std == pytest.approx((0.05 / 3) ** 0.5)  # squares 0.0225 + 0.0025 + 0.0025 + 0.0225, over n - 1
    reach = 3.182 * spread.std / 2
    assert spread.ci95 == pytest.approx((0.65 - reach, 0.65 + reach))


def test_one_value_has_no_spread():
    assert Spread.of([0.3]) == Spread(0.3, 0.0, (0.3, 0.3))


def test_equal_values_have_no_spread():
    assert Spread.of([0.25] * 5) == Spread(0.25, 0.0, (0.25, 0.25))


def test_the_order_of_values_does_not_count():
    values = [0.1, 0.7, 0.30000000000000004, 0.2, 0.9]
    assert Spread.of(values) == Spread.of(sorted(values))


def test_spread_as_a_record_and_as_text():
    spread = Spread.of([0.5, 0.7])
    assert json.loads(json.dumps(spread.to_dict())) == {"mean": spread.mean, "std": spread.std, "ci95": [*spread.ci95]}
    assert spread.percent() == "60.0 ± 14.1"
    assert Spread.of([0.05]).percent(signed=True) == "+5.0 ± 0.0"
    assert Spread.of([-0.05]).percent(signed=True) == "-5.0 ± 0.0"


def test_interval_ends_where_the_values_do():
    wide = Spread.of([0.1, 0.9], 0.0, 1.0)
    assert wide.ci95 == (0.0, 1.0)
    assert Spread.of([0.1, 0.9]).ci95[0] < 0.0
    assert (wide.mean, wide.std) == (Spread.of([0.1, 0.9]).mean, Spread.of([0.1, 0.9]).std)
