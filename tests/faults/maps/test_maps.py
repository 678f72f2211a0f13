"""Maps read from files: cell by cell, and what is refused."""

import numpy as np
import pytest

import nfkit
from nfkit.energy.curve_files import format_curve, parse_curve
from nfkit.errors import DataError, OptionError
from nfkit.faults import parse_layout
from nfkit.faults.layouts.clustered import fit_shape
from nfkit.faults.maps import read_measured_chip


def write_stuck_at(folder, maps, ending=""):
    """maps: {volts: cells [row, column]: 0 sound, 1 stuck at 0, 2 stuck at 1}."""
    for volts, cells in maps.items():
        for value in (0, 1):
            rows = [",".join(str(int(cell == value + 1)) for cell in row) + ending for row in cells]
            (folder / f"fmap_sa{value}_v_{volts}.txt").write_text("\n".join(rows) + "\n")


def write_hex(folder, maps):
    """maps: {volts: lost cells [word, bit], the least significant bit first}."""
    for volts, lost in maps.items():
        words = [f"{sum(int(not cell) << bit for bit, cell in enumerate(word)):04X}" for word in lost]
        (folder / f"KC-{volts}.bin").write_text("".join(words))


def random_maps(rows=40, columns=12):
    random = np.random.default_rng(0)
    weakness, value = random.random((rows, columns)), random.integers(1, 3, (rows, columns))
    return {volts: np.where(weakness < rate, value, 0) for volts, rate in ((0.6, 0.02), (0.55, 0.1), (0.5, 0.3))}


@pytest.mark.parametrize("ending", ["", ","])
def test_stuck_at_files(tmp_path, ending):
    maps = random_maps()
    write_stuck_at(tmp_path, maps, ending)
    (tmp_path / "notes.txt").write_text("hot")
    chip = read_measured_chip(tmp_path)
    assert (chip.rows, chip.columns, chip.name) == (40, 12, tmp_path.name)
    assert [step.volts for step in chip.steps] == [0.6, 0.55, 0.5]
    for step in chip.steps:
        cells = maps[step.volts].ravel()
        assert step.zeros.tolist() == np.flatnonzero(cells == 1).tolist()
        assert step.ones.tolist() == np.flatnonzero(cells == 2).tolist()
        assert chip.rate_at(step.volts) == np.count_nonzero(cells) / 480


def test_hex_files(tmp_path):
    random = np.random.default_rng(1)
    weakness = random.random((30, 16))
    maps = {volts: weakness < rate for volts, rate in ((0.54, 0.05), (0.53, 0.2))}
    write_hex(tmp_path, maps)
    chip = read_measured_chip(tmp_path)
    assert (chip.rows, chip.columns) == (30, 16)
    for step in chip.steps:
        assert step.zeros.tolist() == np.flatnonzero(maps[step.volts].ravel()).tolist()
        assert step.ones.size == 0


def test_a_word_by_hand(tmp_path):
    (tmp_path / "KC705B-0.53.bin").write_text("FFFE\n7fff\n")
    assert read_measured_chip(tmp_path).steps[0].zeros.tolist() == [0, 31]


def test_cells_fail_for_good_and_the_weakest_first(tmp_path):
    maps = {0.6: [[1, 0, 0, 0]], 0.5: [[0, 2, 2, 0]]}  # the first cell was sound again at the lower voltage
    write_stuck_at(tmp_path, {volts: np.array(cells) for volts, cells in maps.items()})
    chip = read_measured_chip(tmp_path)
    assert chip.order[0] == 0
    assert sorted(chip.order.tolist()) == [0, 1, 2]
    assert (chip.rate_at(0.6), chip.rate_at(0.5)) == (0.25, 0.75)
    assert chip.prefer_one(chip.order).tolist() == [False, True, True]


def test_a_cell_keeps_the_value_of_its_first_failure(tmp_path):
    write_stuck_at(tmp_path, {0.6: np.array([[1, 0]]), 0.5: np.array([[2, 2]])})
    chip = read_measured_chip(tmp_path)
    assert dict(zip(chip.order.tolist(), chip.prefer_one(chip.order).tolist(), strict=True)) == {0: False, 1: True}


def test_faults_per_block_and_their_shape(tmp_path):
    cells = np.zeros((8, 4), int)
    cells[0], cells[1, :2], cells[7, 3] = 1, 2, 1
    write_stuck_at(tmp_path, {0.5: cells})
    chip = read_measured_chip(tmp_path)
    counts = chip.faults_per_block(0.5, 4)
    assert counts.tolist() == [4, 2, 0, 0, 0, 0, 0, 1]
    assert chip.faults_per_block(0.5, 10).tolist() == [6, 0, 0]
    mean, variance = counts.mean(), counts.var(ddof=1)
    assert fit_shape(counts) == pytest.approx(mean**2 / (variance - mean))


def test_digest_tells_maps_apart(tmp_path):
    digests = set()
    for index, maps in enumerate((random_maps(), random_maps(40, 24), {0.5: random_maps()[0.5]})):
        folder = tmp_path / str(index)
        folder.mkdir()
        write_stuck_at(folder, maps)
        digests.add(read_measured_chip(folder).digest)
    assert len(digests) == 3


def refused(folder, words):
    with pytest.raises(DataError, match=words):
        read_measured_chip(folder)


def test_damaged_files_are_refused_by_name(tmp_path):
    refused(tmp_path / "nowhere", "is no folder of fault maps")
    refused(tmp_path, r"holds no fault maps: the known files are fmap_sa0_v_VOLTS\.txt")
    write_stuck_at(tmp_path, {0.5: np.array([[0, 1], [2, 0]])})
    zeros, ones = (tmp_path / f"fmap_sa{value}_v_0.5.txt" for value in (0, 1))
    good = zeros.read_text()
    for bad, words in (
        ("0,2\n0,0\n", "is no table of 0 and 1"),
        ("0,x\n0,0\n", "is no table of 0 and 1"),
        ("0,1\n0\n", "is no table of 0 and 1"),
        ("", "is no table of 0 and 1"),
        ("0,1,0\n0,0,0\n", "has 2 x 3 cells, others 2 x 2"),
    ):
        (ones if words.startswith("has") else zeros).write_text(bad)
        refused(tmp_path, words)
        zeros.write_text(good)
    ones.write_text(good)
    refused(tmp_path, "row 0, column 1 is stuck at 0 and at 1 at 0.5 V")
    ones.unlink()
    refused(tmp_path, r"lacks the map of cells stuck at 1 at 0\.5 V")
    zeros.write_bytes(b"\xff\xfe")
    ones.write_text(good)
    refused(tmp_path, "is no text of digits")


def test_damaged_hex_is_refused_by_name(tmp_path):
    path = tmp_path / "a-0.5.bin"
    for bad, words in (
        ("FFFG", "no text of hexadecimal digits"),
        ("FFF", "no text of hexadecimal digits"),
        ("FF", "no words of 16"),
        ("", "no words of 16"),
    ):
        path.write_text(bad)
        refused(tmp_path, words)
    path.write_text("FFFF")
    (tmp_path / "a-0.4.bin").write_text("FFFFFFFF")
    refused(tmp_path, "holds 1 words, others 2")


def test_two_maps_of_one_voltage_are_refused(tmp_path):
    for name in ("a-0.5.bin", "a-0.50.bin"):
        (tmp_path / name).write_text("FFFF")
    refused(tmp_path, r"a-0\.5\.bin' and '.*a-0\.50\.bin' are maps at the same voltage: keep one of them")


def test_voltages_that_were_not_measured_are_refused(tmp_path):
    write_stuck_at(tmp_path, random_maps())
    with pytest.raises(DataError, match=r"was not measured at 0\.7 V, but at 0\.6, 0\.55, 0\.5 V"):
        read_measured_chip(tmp_path).rate_at(0.7)


def test_maps_are_described_by_voltage(tmp_path):
    """Eight banks of 16 cells, of which one holds all that fails first."""
    random = np.random.default_rng(3)
    crowded = np.zeros((8, 16), int)
    crowded[2, :6] = 1
    spread = crowded.copy()
    spread[0, random.permutation(16)[:3]] = 2
    write_stuck_at(tmp_path, {0.6: crowded, 0.5: spread})
    found = nfkit.describe_maps(tmp_path, block=16)
    above, below = found.steps
    assert (above.volts, above.faulty_cells, above.ber, above.ones) == (0.6, 6, 6 / 128, 0.0)
    assert (below.faulty_cells, below.ones, below.clean_blocks) == (9, pytest.approx(3 / 9), 6 / 8)
    counts = np.array([3, 0, 6, 0, 0, 0, 0, 0])
    assert below.dispersion == pytest.approx(counts.var(ddof=1) / counts.mean())
    assert below.shape == pytest.approx(fit_shape(counts))
    assert found.layout == f"cluster:16:{fit_shape(counts):.2g}"
    assert found.digest == read_measured_chip(tmp_path).digest
    assert f"--memory-layout {found.layout}" in str(found)
    assert str(parse_layout(found.layout)) == found.layout


def test_maps_without_blocks_or_crowds_say_so(tmp_path):
    write_stuck_at(tmp_path, {0.6: np.zeros((4, 4), int), 0.5: np.eye(4, dtype=int)})
    by_row = nfkit.describe_maps(tmp_path, block=4)
    assert by_row.layout is None  # one in each row: less crowded than by chance
    assert (by_row.steps[0].faulty_cells, by_row.steps[0].dispersion) == (0, None)
    assert "no more than by chance" in str(by_row)
    assert nfkit.describe_maps(tmp_path).steps[1].by_block is None
    by_chance = np.zeros((8, 16), int)
    for row, faults in enumerate((3, 0, 1, 1, 3, 0, 1, 0)):  # variance over mean 1.38: chance does so in 21 %
        by_chance[row, :faults] = 1
    few = tmp_path / "few"
    few.mkdir()
    write_stuck_at(few, {0.6: np.zeros((8, 16), int), 0.5: by_chance})
    told = nfkit.describe_maps(few, block=16)
    assert (told.steps[1].shape is None, told.layout) == (False, None)
    assert "no more than by chance" in str(told)
    with pytest.raises(OptionError, match="blocks of 0 cells"):
        nfkit.describe_maps(tmp_path, block=0)
    with pytest.raises(DataError, match="is no folder of fault maps"):
        nfkit.describe_maps(tmp_path / "none")


def test_measured_maps_give_a_voltage_curve(tmp_path):
    """The rates are the maps' own, a step without more errors is dropped, and energy goes with the square of V."""
    few, more = np.zeros((8, 16), int), np.zeros((8, 16), int)
    few[2, :2], more[2, :6] = 1, 2
    write_stuck_at(tmp_path, {0.7: np.zeros((8, 16), int), 0.6: few, 0.55: few, 0.5: np.maximum(few, more)})
    curve = nfkit.measured_curve(tmp_path)
    assert [(point.volts, point.rate) for point in curve.points] == [
        (0.5 / 0.7, 6 / 128), (0.55 / 0.7, 2 / 128), (1.0, 0.0),
    ]  # fmt: skip
    at = curve.at_volts(0.55 / 0.7)
    assert (at.rate, at.energy) == (pytest.approx(2 / 128), pytest.approx((0.55 / 0.7) ** 2))
    assert curve.flips_per_error == 0.5  # cells are stuck
    assert parse_curve(format_curve(curve), "again") == curve
    assert nfkit.measured_curve(tmp_path, 0.8).at_rate(6 / 128).volts == pytest.approx(0.5 / 0.8)
    with pytest.raises(OptionError, match=r"--vmin 0\.6: cells fail at 0\.6 V"):
        nfkit.measured_curve(tmp_path, 0.6)


def test_a_curve_needs_errors_and_a_vmin(tmp_path):
    write_stuck_at(tmp_path, {0.6: np.zeros((4, 4), int)})
    with pytest.raises(DataError, match="no cell failed at any voltage"):
        nfkit.measured_curve(tmp_path)
    write_stuck_at(tmp_path, {0.6: np.eye(4, dtype=int)})
    with pytest.raises(OptionError, match=r"up to 0\.6 V, so Vmin is not known: give --vmin"):
        nfkit.measured_curve(tmp_path)
