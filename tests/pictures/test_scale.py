"""Axes: values keep their order and their place, and named values are round and within."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nfkit.pictures.charts import DRAWABLE, Axis
from nfkit.pictures.scale import Scale, fit

VALUES = st.lists(st.floats(-DRAWABLE, DRAWABLE), min_size=1, max_size=8)


@given(VALUES)
def test_every_value_lies_on_the_drawing_in_its_order(values):
    scale = fit(Axis("x"), values, 10, 90)
    places = [scale(value) for value in sorted(values)]
    assert places == sorted(places)
    assert places[0] >= 10
    assert places[-1] <= 90


@given(VALUES)
def test_ticks_are_few_within_and_evenly_apart(values):
    scale = fit(Axis("x"), values, 0, 1)
    ticks = scale.ticks(5)
    assert 1 <= len(ticks) <= 7
    slack = 1e-6 * max(abs(scale.low), abs(scale.high))
    assert scale.low - slack <= ticks[0]
    assert ticks[-1] <= scale.high + slack


@given(st.lists(st.floats(1e-7, 1e7), min_size=2, max_size=6))
def test_equal_factors_are_equal_distances(values):
    scale = fit(Axis("x", logarithmic=True), values, 0, 100)
    assume(scale.high > 4 * scale.low)
    start = scale.low
    first, second, third = scale(start), scale(2 * start), scale(4 * start)
    assert second - first == pytest.approx(third - second, abs=1e-6)
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks(5))


def test_places_by_hand():
    scale = Scale(0.8, 1.0, 0, 200)
    assert scale(0.85) == pytest.approx(50)
    assert scale(7) == 200
    assert Scale(0.0, 1.0, 300, 100)(0.25) == pytest.approx(250)
    assert Scale(0.1, 10, 0, 100, logarithmic=True)(1) == pytest.approx(50)
    assert Scale(0.8, 1.0, 0, 200).ticks(5) == [0.8, 0.85, 0.9, 0.95, 1.0]
    assert Scale(0.1, 10, 0, 100, logarithmic=True).ticks(5) == [0.1, 0.2, 0.5, 1, 2, 5, 10]


def test_ends_that_have_a_meaning_are_kept():
    scale = fit(Axis("accuracy (%)", low=0.0, high=100.0), [0.0, 100.0], 0, 1)
    assert (scale.low, scale.high) == (0, 100)
    assert fit(Axis("x", low=0.0), [5.0, 10.0], 0, 1).low > 4
    assert not math.isclose(fit(Axis("x", high=1.0), [1.0], 0, 1).low, 1.0)
    beyond = fit(Axis("x", low=0.0, high=100.0), [300.0, 400.0], 0, 1)
    assert beyond.low < beyond.high
