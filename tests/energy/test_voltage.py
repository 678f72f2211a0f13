"""Curves: what they state at their points, between them, and beyond."""

from math import log10, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfkit.energy import CURVES, load_curve
from nfkit.energy.curve_files import parse_curve
from nfkit.errors import DataError, OptionError

HEADER = "volts_over_vmin,bit_error_rate,energy_per_access\n"
TWO = parse_curve(HEADER + "0.8,0.01,0.6\n0.9,0.0001,0.8\n1,0,1\n", "two")


@pytest.mark.parametrize("name", CURVES)
def test_shipped_curves_say_where_they_come_from(name):
    curve = load_curve(name)
    assert curve.name == name
    assert min(map(len, (curve.source, curve.licence, curve.error, curve.meaning))) > 10


@pytest.mark.parametrize("name", CURVES)
def test_curves_go_through_their_points(name):
    curve = load_curve(name)
    for stated in curve.points:
        if stated.rate is not None and stated.energy is not None:
            point = curve.at_volts(stated.volts)
            assert (point.volts, point.rate) == (stated.volts, pytest.approx(stated.rate))
            assert point.energy == pytest.approx(stated.energy)
            assert curve.at_rate(stated.rate).volts == pytest.approx(stated.volts)


def test_the_anchor_of_the_paper():
    point = load_curve("neuralfuse").at_rate(0.01)
    assert (point.volts, round(point.energy, 3), point.extrapolated) == (0.833, 0.694, False)
    # Energy goes with the square of the voltage: between its two points the curve states no more than that.
    assert load_curve("neuralfuse").volts_at_energy(0.81) == pytest.approx(0.9, abs=1e-4)


def test_rates_between_points_are_log_linear():
    assert TWO.at_volts(0.85).rate == pytest.approx(0.001)
    assert TWO.at_rate(0.001).volts == pytest.approx(0.85)
    share = (0.85**2 - 0.8**2) / (0.9**2 - 0.8**2)
    assert TWO.at_volts(0.85).energy == pytest.approx(0.6 + 0.2 * share)


@given(volts=st.floats(0.754, 0.969))
def test_voltage_and_rate_are_inverse(volts):
    curve = load_curve("stutz-2021")
    point = curve.at_volts(volts)
    assert curve.at_rate(min(max(point.rate, 2e-6), 0.21)).volts == pytest.approx(volts, abs=1e-9)
    back = curve.volts_at_energy(point.energy)
    assert back == pytest.approx(volts, abs=1e-9)


@given(pair=st.tuples(st.floats(0.754, 0.969), st.floats(0.754, 0.969)).filter(lambda p: p[0] < p[1] - 1e-6))
def test_less_voltage_means_more_errors_and_less_energy(pair):
    low, high = (load_curve("stutz-2021").at_volts(volts) for volts in pair)
    assert low.rate > high.rate
    assert low.energy < high.energy


def test_nominal_voltage_has_no_errors():
    for name in CURVES:
        curve = load_curve(name)
        assert curve.at_volts(1.0) == curve.at_rate(0.0)
        assert (curve.at_volts(1.0).rate, curve.at_volts(1.0).energy) == (0.0, 1.0)


@pytest.mark.parametrize("volts", [0.7, 0.95, 0.99, 1.1, 0.0, -1.0, float("nan")])
def test_no_voltage_beyond_the_curve(volts):
    with pytest.raises(OptionError, match=r"'two', which goes from 0.8 to 0.9 Vmin \(bit error rates 1 to 0.01 %\)"):
        TWO.at_volts(volts)


@pytest.mark.parametrize("rate", [0.02, 0.00009, 1.0, -0.1, float("nan")])
def test_no_rate_beyond_the_curve(rate):
    with pytest.raises(OptionError, match=r"bit error rates 1 to 0.01 %"):
        TWO.at_rate(rate)
    assert TWO.find_rate(rate) is None


def test_extrapolation_on_request_goes_on_as_the_last_points_do():
    below, above = TWO.at_volts(0.75, extrapolate=True), TWO.at_volts(0.95, extrapolate=True)
    assert (log10(below.rate), log10(above.rate)) == (pytest.approx(-1), pytest.approx(-5))
    assert below.energy == pytest.approx(0.6 - 0.2 * (0.8**2 - 0.75**2) / (0.9**2 - 0.8**2))
    assert below.extrapolated
    assert above.extrapolated
    assert TWO.at_rate(0.1, extrapolate=True).volts == pytest.approx(0.75)
    assert not TWO.at_volts(0.85, extrapolate=True).extrapolated


@pytest.mark.parametrize("volts", [1.1, 0.0])
def test_extrapolation_stays_between_nothing_and_nominal(volts):
    with pytest.raises(OptionError):
        TWO.at_volts(volts, extrapolate=True)


def test_extrapolation_ends_where_half_of_the_bits_err():
    with pytest.raises(OptionError, match="half of all bits"):
        TWO.at_volts(0.6, extrapolate=True)


@pytest.mark.parametrize("extrapolate", [False, True])
def test_one_point_has_no_slope(extrapolate):
    curve = load_curve("neuralfuse")
    for ask in (
        lambda: curve.at_volts(0.85, extrapolate=extrapolate),
        lambda: curve.at_rate(0.005, extrapolate=extrapolate),
    ):
        with pytest.raises(OptionError, match=r"0\.833 Vmin.*another --curve"):
            ask()


def test_energy_is_not_stated_below_the_lowest_that_is():
    curve = parse_curve(HEADER + "0.7,0.1,\n0.8,0.01,0.6\n1,0,1\n", "gap")
    with pytest.raises(OptionError, match=r"no energy below 0\.8 Vmin"):
        curve.at_volts(0.75)
    assert curve.at_volts(0.75, extrapolate=True).extrapolated


def test_energies_that_no_voltage_has():
    assert TWO.volts_at_energy(0.5) is None
    assert TWO.volts_at_energy(1.1) is None
    assert TWO.volts_at_energy(0.6) == pytest.approx(0.8)
    assert TWO.volts_at_energy(0.7) == pytest.approx(sqrt((0.8**2 + 0.9**2) / 2))


def test_a_curve_of_ones_own(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "# source: my lab\n# picojoules_per_access: 2.5\n# word_bits: 64\n" + HEADER + "0.9,0.01,0.8\n1,0,1\n"
    )
    curve = load_curve(str(path))
    assert (curve.name, curve.source, curve.picojoules, curve.word_bits) == ("mine", "my lab", 2.5, 64)
    assert curve.at_rate(0.01).volts == 0.9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be volts_over_vmin,bit_error_rate,energy_per_access"),
        ("volts,rate\n1,0,1\n", "must be volts_over_vmin"),
        (HEADER, "last row must be Vmin itself: 1,0,1"),
        (HEADER + "0.9,0.01,0.8\n", "last row"),
        (HEADER + "1,0,1\n", "at least one rate and one energy"),
        (HEADER + "0.9,x,0.8\n1,0,1\n", "line 2: give three numbers"),
        (HEADER + "0.9,0.01\n1,0,1\n", "line 2: give three numbers"),
        (HEADER + ",0.01,0.8\n1,0,1\n", "line 2: a row needs its voltage"),
        (HEADER + "0.9,nan,0.8\n1,0,1\n", "finite"),
        (HEADER + "0.9,0.01,0.8\n0.8,0.001,0.9\n1,0,1\n", "voltages must"),
        (HEADER + "0.8,0.01,0.7\n0.9,0.02,0.8\n1,0,1\n", "rates must"),
        (HEADER + "0.8,1.5,0.7\n1,0,1\n", "rates must"),
        (HEADER + "0.8,0.02,0.8\n0.9,0.01,0.7\n1,0,1\n", "energies must"),
        ("# picojoules_per_access: much\n" + HEADER + "0.9,0.01,0.8\n1,0,1\n", "picojoules_per_access is 'much'"),
    ],
)
def test_files_that_are_no_curves(text, message):
    with pytest.raises(DataError, match=message):
        parse_curve(text, "bad")


def test_curves_that_do_not_exist(tmp_path):
    with pytest.raises(OptionError, match=r"'absent': choose neuralfuse, stutz-2021, or"):
        load_curve("absent")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no text"):
        load_curve(str(tmp_path / "binary.csv"))
