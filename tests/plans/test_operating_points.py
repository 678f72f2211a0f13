"""Bit error rates and the voltages that belong to them, by what really flips."""

import pytest

from nfkit.energy import MemoryCells, load_curve
from nfkit.errors import OptionError
from nfkit.faults import BitErrors
from nfkit.plans.operating_points import Scale

STUTZ, PAPER = load_curve("stutz-2021"), load_curve("neuralfuse")
STUCK, FLIP = BitErrors(0.0), BitErrors(0.0, "flip")


def test_stuck_cells_are_looked_up_by_the_half_that_flips():
    # The curve counts flips: 0.4 % of them stand in its table at 0.868 Vmin.
    strength = Scale(STUCK, 0.5, STUTZ).at_rate(0.008)
    assert strength.flips == pytest.approx(0.004)
    assert (strength.point.volts, strength.point.energy) == (pytest.approx(0.868), pytest.approx(0.735))
    flipping = Scale(FLIP, 1.0, STUTZ).at_rate(0.004)
    assert flipping.point == strength.point


def test_a_curve_of_stuck_cells_takes_stuck_cells_as_they_are():
    assert Scale(STUCK, 0.5, PAPER).at_rate(0.01).point.volts == 0.833
    assert Scale(FLIP, 1.0, PAPER).at_rate(0.005).point.volts == 0.833


@pytest.mark.parametrize("scale", [Scale(STUCK, 0.5, STUTZ), Scale(FLIP, 1.0, STUTZ)], ids=["stuck", "flip"])
def test_voltages_and_energies_lead_back_to_the_rate(scale):
    strength = scale.at_rate(0.003)
    for found in (scale.at_volts(strength.point.volts), scale.at_energy(strength.point.energy)):
        assert found.rate == pytest.approx(0.003)
        assert found.errors.kind == scale.errors.kind


def test_a_rate_beyond_the_curve_has_no_voltage_unless_asked():
    assert Scale(FLIP, 1.0, STUTZ).at_rate(0.3).point is None
    beyond = Scale(FLIP, 1.0, STUTZ, extrapolate=True).at_rate(0.3)
    assert beyond.point.extrapolated
    assert beyond.voltage.extrapolated
    with pytest.raises(OptionError, match="beyond the voltage curve"):
        Scale(FLIP, 1.0, STUTZ).at_volts(0.7)


def test_where_a_curve_ends_with_negligible_errors_there_are_none():
    scale = Scale(FLIP, 1.0, STUTZ)  # the last rated point: 2 in a million at 0.969 Vmin
    above = scale.at_energy(0.97)
    assert above.rate == 0
    assert 0.969 < above.point.volts < 1
    assert scale.at_energy(1.0).point.volts == 1.0
    assert scale.at_energy(1.2).rate == 0
    assert Scale(STUCK, 0.5, PAPER).at_energy(0.9) is None  # 1 % at its only point says nothing of what lies above
    assert scale.at_energy(0.1) is None


def test_errors_that_flip_nothing_have_no_voltage():
    scale = Scale(BitErrors(0.0, "asymmetric", 0.0), 0.0, STUTZ)
    with pytest.raises(OptionError, match="give --ber"):
        scale.at_volts(0.9)


def test_a_strength_in_words():
    assert Scale(STUCK, 0.5, STUTZ).at_rate(0.01).describe() == "1 % (0.863 Vmin by stutz-2021)"
    assert Scale(STUCK, 0.5, PAPER).at_rate(0.02).describe() == "2 %"


@pytest.mark.parametrize("cells", [MemoryCells(0.25), MemoryCells(0.0, 0.125), MemoryCells(0.125, 0.25)], ids=str)
def test_cells_that_do_not_follow_the_voltage_are_in_the_energy(cells):
    plain, scale = Scale(STUCK, 0.5, STUTZ), Scale(STUCK, 0.5, STUTZ, cells=cells)
    there, strength = plain.at_rate(0.008), scale.at_rate(0.008)
    low = there.point.energy
    assert strength.point.energy == pytest.approx(cells.robust + (1 - cells.robust + cells.check) * low)
    assert (strength.point.volts, strength.rate) == (there.point.volts, there.rate)
    assert scale.at_volts(there.point.volts).point.energy == pytest.approx(strength.point.energy)
    # What costs as much is found at the voltage where it does.
    back = scale.at_energy(strength.point.energy)
    assert back.point.volts == pytest.approx(there.point.volts)
    assert back.point.energy == pytest.approx(strength.point.energy)


def test_no_voltage_makes_robust_cells_cheaper():
    scale = Scale(STUCK, 0.5, STUTZ, cells=MemoryCells(0.5))
    assert scale.at_energy(0.4) is None
    assert scale.at_energy(1.0).rate == 0
    assert Scale(STUCK, 0.5, STUTZ).memory is None
    assert str(scale.memory) == (
        "energy/access: 50 % of the cells that are read stay at the nominal voltage; decoders, level shifters and the "
        "second supply are not counted"
    )


def test_a_remedy_that_leaves_fewer_errors_leaves_the_voltage():
    strength = Scale(STUCK, 0.5, STUTZ).at_rate(0.008)
    left = strength.leaving(BitErrors(0.002))
    assert (left.rate, left.flips, left.point) == (0.002, pytest.approx(0.001), strength.point)
    assert Scale(STUCK, 0.5, STUTZ).at_rate(0.0).leaving(STUCK).flips == 0
