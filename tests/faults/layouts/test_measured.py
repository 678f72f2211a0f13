"""Weights on a measured memory."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from nfkit.errors import DataError, OptionError
from nfkit.faults import BitErrors, Chip, parse_layout


@dataclass(frozen=True)
class Memory:
    name: str
    count: int
    bits: int = 8


MISFITS = [BitErrors(0.05, "flip"), BitErrors(0.05, "asymmetric"), BitErrors(0.05, set_share=0.2)]
ROWS, COLUMNS = 24, 32  # four codes of 8 bits a row
RATES = {0.6: 0.05, 0.5: 0.25}


@pytest.fixture(scope="module")
def cells():
    """0 sound, 1 stuck at 0, 2 stuck at 1, by voltage; nested."""
    random = np.random.default_rng(2)
    weakness, value = random.permutation(ROWS * COLUMNS).reshape(ROWS, COLUMNS), random.integers(1, 3, (ROWS, COLUMNS))
    return {volts: np.where(weakness < round(rate * ROWS * COLUMNS), value, 0) for volts, rate in RATES.items()}


@pytest.fixture(scope="module")
def folder(cells, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chip_n")
    for volts, content in cells.items():
        for value in (0, 1):
            rows = [",".join(str(int(cell == value + 1)) for cell in row) for row in content]
            (folder / f"fmap_sa{value}_v_{volts}.txt").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def layout(folder):
    return parse_layout(f"measured:{folder}")


def placed(content, start, count):
    """Cells of the memory (0, 1, 2) that a site of 8-bit codes has from a row on."""
    rows = [(start + row) % ROWS for row in range(-(-count * 8 // COLUMNS))]
    return content[rows].ravel()[: count * 8]


def found(faults, count):
    cells = np.zeros(count * 8, int)
    cells[faults.clearing.astype(int)] = 1
    cells[faults.setting.astype(int)] = 2
    return cells


@pytest.mark.parametrize("count", [7, 90, 96, 300])
@pytest.mark.parametrize("volts", RATES)
def test_a_site_lies_on_the_measured_cells_from_some_row_on(layout, cells, count, volts):
    starts = set()
    for seed in range(20):
        got = found(Chip(seed, layout).faults(Memory("w", count), BitErrors(RATES[volts])), count)
        fitting = [s for s in range(ROWS) if placed(cells[volts], s, count).tolist() == got.tolist()]
        assert fitting
        starts.add(fitting[0])
    assert len(starts) > 5


def test_place_depends_on_chip_and_site_alone(layout):
    chip = Chip(4, layout)
    one = chip.faults(Memory("a", 90), BitErrors(0.25)).setting.tolist()
    chip.faults(Memory("b", 90), BitErrors(0.25))
    assert chip.faults(Memory("a", 90), BitErrors(0.25)).setting.tolist() == one
    assert Chip(5, layout).faults(Memory("a", 90), BitErrors(0.25)).setting.tolist() != one


def test_rates_between_two_voltages_are_nested(layout):
    maps = []
    for rate in (0.0, 0.05, 0.1, 0.2, 0.25):
        faults = Chip(4, layout).faults(Memory("w", ROWS * 4), BitErrors(rate))
        assert faults.faulty_cells() == round(rate * ROWS * COLUMNS)
        maps.append({*faults.setting.tolist(), *faults.clearing.tolist()})
    assert all(few <= many for few, many in itertools.pairwise(maps))


def test_layout_is_read_back_from_its_name(layout, folder):
    assert str(layout).startswith(f"measured:{folder}#")
    assert parse_layout(str(layout)) == layout


def test_other_maps_than_recorded_are_refused(folder):
    with pytest.raises(OptionError, match=r"holds the fault maps .*, not 0123456789ab"):
        parse_layout(f"measured:{folder}#0123456789ab")
    with pytest.raises(DataError, match="is no folder of fault maps"):
        parse_layout("measured:/nowhere/at/all")
    with pytest.raises(OptionError, match="unknown layout 'measured'"):
        parse_layout("measured")


def test_rates_beyond_the_maps_are_refused(layout):
    with pytest.raises(
        OptionError, match=r"30 % is beyond the maps of chip_n0, which have 4.95 % \(0.6 V\), 25 % \(0.5 V\)"
    ):
        Chip(1, layout).faults(Memory("w", 10), BitErrors(0.3))


@pytest.mark.parametrize("errors", MISFITS)
def test_measured_cells_are_stuck(layout, errors):
    with pytest.raises(OptionError, match="measured cells are stuck at what was measured"):
        Chip(1, layout).faults(Memory("w", 10), errors)
