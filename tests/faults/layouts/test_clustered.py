"""Errors that crowd: as many as stated on average, as unevenly as stated, and nested."""

import hashlib
import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Chip, Clustered, parse_layout
from nfkit.faults.layouts.clustered import fit_shape


@dataclass(frozen=True)
class Memory:
    name: str
    count: int
    bits: int = 8


def faulty(seed, memory, errors, layout):
    faults = Chip(seed, layout).faults(memory, errors)
    return np.unique(np.concatenate([faults.setting, faults.clearing])).astype(np.int64)


def counts(chips, layout, blocks, rate):
    """Faults of each block of some chips."""
    memory = Memory("w", blocks * layout.block // 8)
    return np.concatenate(
        [
            np.bincount(faulty(seed, memory, BitErrors(rate), layout) // layout.block, minlength=blocks)
            for seed in range(chips)
        ]
    )


@pytest.mark.parametrize(("shape", "rate"), [(0.5, 0.01), (0.2, 0.2), (2.0, 0.05), (10.0, 0.3), (1e6, 0.02)])
def test_mean_and_crowding_are_as_stated(shape, rate):
    layout = Clustered(512, shape)
    found = counts(100, layout, 64, rate)
    # Given g a cell has failed with 1 - exp(-g t), so a share of faults F has E[F] = p and E[F^2] as below.
    time = shape * ((1 - rate) ** (-1 / shape) - 1)
    second = 1 - 2 * (1 + time / shape) ** -shape + (1 + 2 * time / shape) ** -shape
    mean, spread = 512 * rate, 512 * (rate - second) + 512**2 * (second - rate**2)
    assert abs(found.mean() - mean) <= 5 * (spread / found.size) ** 0.5
    # The variance of a variance: from the sample itself.
    deviations = (found - found.mean()) ** 2
    assert abs(found.var() - spread) <= 5 * deviations.std() / found.size**0.5


def test_a_large_shape_is_chance():
    found = counts(40, Clustered(1024, 1e6), 64, 0.02)
    assert abs(found.var() / (1024 * 0.02 * 0.98) - 1) <= 5 * (2 / found.size) ** 0.5


def test_faulty_cells_at_a_low_rate_are_a_subset():
    layout, memory = Clustered(256, 0.3), Memory("w", 3000)
    maps = [set(faulty(7, memory, BitErrors(rate), layout).tolist()) for rate in (0.0, 0.001, 0.01, 0.02, 0.1)]
    assert maps[0] == set()
    assert all(few < many for few, many in itertools.pairwise(maps))


def test_blocks_fail_by_their_own_weakness():
    found = counts(1, Clustered(4096, 0.1), 100, 0.005)
    assert (found == 0).sum() > 50  # by chance hardly one
    assert found.max() > 150  # where chance makes 20


def test_every_cell_of_a_block_may_fail():
    # A single block holds its own weakness; stuck cells spread evenly in it, over chips.
    layout, memory = Clustered(64, 5.0), Memory("w", 8)
    hit = np.zeros(64)
    for seed in range(300):
        hit[faulty(seed, memory, BitErrors(0.3), layout)] += 1
    # Cells of one chip share its weakness; from chip to chip each is a trial of its own.
    assert np.abs(hit - hit.mean()).max() <= 5 * (300 * 0.3 * 0.7) ** 0.5


def test_the_last_block_may_be_short():
    memory = Memory("w", 67)  # 536 cells: two blocks of 256, and 24 cells
    cells = np.concatenate([faulty(seed, memory, BitErrors(0.2), Clustered(256, 2.0)) for seed in range(200)])
    assert cells.max() < 536
    share = (cells >= 512).mean()
    assert abs(share - 24 / 536) < 0.02


@pytest.mark.parametrize("kind", ["stuck", "flip", "asymmetric"])
def test_kinds_find_their_cells(kind):
    errors = BitErrors.asymmetric(0.02, 0.01) if kind == "asymmetric" else BitErrors(0.01, kind)
    faults = Chip(3, Clustered(128, 0.5)).faults(Memory("w", 5000), errors)
    setting, clearing = set(faults.setting.tolist()), set(faults.clearing.tolist())
    if kind == "stuck":
        assert not setting & clearing
    elif kind == "flip":
        assert setting == clearing
    else:
        assert clearing < setting


def test_memories_and_chips_crowd_in_blocks_of_their_own():
    layout = Clustered(256, 0.1)
    one, two = (counts_of(name, 1, layout) for name in ("a", "b"))
    assert one.tolist() != two.tolist()
    assert one.tolist() != counts_of("a", 2, layout).tolist()
    assert one.tolist() == counts_of("a", 1, layout).tolist()


def counts_of(name, seed, layout):
    return np.bincount(faulty(seed, Memory(name, 3200), BitErrors(0.01), layout) // layout.block, minlength=100)


def test_golden_map():
    faults = Chip(50000, Clustered()).faults(Memory("w", 50_000), BitErrors(0.01))
    setting, clearing = faults.masks((50_000,), np.uint8)
    found = int(np.bitwise_count(setting).sum()), int(np.bitwise_count(clearing).sum())
    assert (*found, hashlib.sha256(setting.tobytes() + clearing.tobytes()).hexdigest()) == (
        1119, 1013, "8a04ef933ac485d3e3603099957a99e892e06971795b851a397966852c03117e"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "layout"),
    [("cluster", Clustered()), ("cluster:512:0.5", Clustered(512, 0.5)), ("cluster:1:3", Clustered(1, 3))],
)
def test_layouts_are_read_back_from_their_names(text, layout):
    assert parse_layout(text) == layout
    assert parse_layout(str(layout)) == layout


@pytest.mark.parametrize("text", ["cluster:", "cluster:512", "cluster:a:b", "cluster:512:0.5:1"])
def test_what_is_no_cluster_is_refused(text):
    with pytest.raises(OptionError, match=r"unknown layout .*cluster:BLOCK:SHAPE"):
        parse_layout(text)


@pytest.mark.parametrize(("block", "shape"), [(0, 1.0), (-5, 1.0), (64, 0.0), (64, -1.0), (64, float("nan"))])
def test_blocks_that_do_not_exist_are_refused(block, shape):
    with pytest.raises(OptionError, match=r"a shape above 0, such as cluster:16384:0\.08"):
        Clustered(block, shape)


def test_rates_beyond_the_weakest_blocks_are_refused():
    with pytest.raises(OptionError, match=r"cluster:16384:0.08 cannot crowd errors at a bit error rate of 40 %"):
        Chip(1, Clustered()).faults(Memory("w", 10_000), BitErrors(0.4))


def test_fitted_shape():
    # By hand: mean 2, variance 8 (with n - 1), so the excess is 3.
    assert fit_shape([0, 0, 0, 6, 4, 2, 2, 2]) == pytest.approx(2 / (np.var([0, 0, 0, 6, 4, 2, 2, 2], ddof=1) / 2 - 1))
    assert fit_shape([3, 3, 3]) == float("inf")
    with pytest.raises(OptionError, match="nothing to fit"):
        fit_shape([0, 0, 0])


@pytest.mark.parametrize("shape", [0.1, 1.0])
def test_fitting_finds_the_shape_again(shape):
    # At few faults a cell the share of faults is g t, and moments give k.
    assert fit_shape(counts(150, Clustered(1024, shape), 64, 0.002)) == pytest.approx(shape, rel=0.2)
