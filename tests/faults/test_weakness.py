"""The seeded stream: frozen for ever, nested over rates, and as random as independent cells."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfkit.faults.weakness import prefers_one, weakest_cells

RATES = st.floats(0, 0.5)
SEEDS = st.integers(0, 2**32)


def test_golden_cells():
    # fmt: off
    assert weakest_cells(50000, "w", 4096, 0.01).tolist() == [
        1307, 1918, 1906, 853, 1054, 2105, 1208, 3394, 1802, 3831, 1085, 2311, 1180, 2075, 462, 2386, 113, 965, 3438,
        1599, 967, 1255, 3687, 3794, 1807, 3198, 196, 1823, 2292, 2192, 3168, 673, 1566, 3697, 1034, 1349, 3140, 2137,
        2, 1145, 3555, 3079,
    ]
    # fmt: on


def test_golden_stuck_values():
    ones = prefers_one(50000, "w", np.arange(32, dtype=np.uint64), 0.5)
    assert "".join(map(str, ones.astype(int))) == "11010001010010000111100010111001"


@pytest.mark.parametrize(
    ("seed", "name", "cells", "rate", "count", "digest"),
    [
        (0, "w", 2**32 - 1, 1e-6, 4433, "2518be30708610d0"),
        (2**63 - 1, "conv1.weight", 100_000, 0.5, 69232, "893ab9f2ae3d09a1"),
        (50000, "ünïcode", 12_345, 0.125, 1641, "8a86a2f4d0e948f0"),
    ],
)
def test_golden_streams(seed, name, cells, rate, count, digest):
    drawn = weakest_cells(seed, name, cells, rate)
    assert (len(drawn), hashlib.sha256(drawn.astype("<u8").tobytes()).hexdigest()[:16]) == (count, digest)


@given(RATES, RATES, SEEDS, st.integers(1, 5000))
def test_lower_rates_are_prefixes(p, q, seed, cells):
    low, high = sorted((p, q))
    few, many = (weakest_cells(seed, "w", cells, rate) for rate in (low, high))
    assert few.tolist() == many[: len(few)].tolist()


@given(RATES, SEEDS, st.integers(0, 5000))
def test_cells_lie_in_the_memory(rate, seed, cells):
    drawn = weakest_cells(seed, "w", cells, rate)
    assert drawn.dtype == np.uint64
    assert drawn.size == 0 or int(drawn.max()) < cells
    assert cells or not drawn.size


def test_rate_zero_has_no_cells():
    assert weakest_cells(50000, "w", 10**6, 0.0).size == 0


@pytest.mark.parametrize("name", ["w", "a"])
@pytest.mark.parametrize("seed", [0, 2**53, 2**60, 2**63 - 2, 2**63, 2**64 - 2])
def test_next_seed_is_another_map(seed, name):
    one, other = (weakest_cells(s, name, 4096, 0.01).tolist() for s in (seed, seed + 1))
    assert len(set(one) & set(other)) <= 5  # 0.4 by chance


def test_seeds_and_names_are_independent_maps():
    # Two sets of about 5,000 of 100,000 cells share 250 by chance, with a deviation of about 15: 5 sigma.
    maps = [
        set(weakest_cells(seed, name, 100_000, 0.05).tolist())
        for seed, name in ((1, "a"), (2, "a"), (1, "b"), (2, "b"), (1, "A"), (1, "a "))
    ]
    for i, one in enumerate(maps):
        for other in maps[:i]:
            assert 175 <= len(one & other) <= 325


@pytest.mark.parametrize("rate", [0.0001, 0.001, 0.01, 0.1, 0.3, 0.5])
def test_share_of_faulty_cells_is_the_rate(rate):
    cells = 500_000
    count = len(np.unique(weakest_cells(50001, "w", cells, rate)))
    deviation = (cells * rate * (1 - rate)) ** 0.5
    assert abs(count - cells * rate) <= 5 * deviation


@pytest.mark.parametrize(("cells", "rate"), [(2000, 0.05), (500, 0.4), (64, 0.01)])
def test_counts_vary_between_chips_as_binomial(cells, rate):
    chips = 1000
    counts = np.array([len(np.unique(weakest_cells(seed, "w", cells, rate))) for seed in range(chips)])
    variance = cells * rate * (1 - rate)
    assert abs(counts.mean() - cells * rate) <= 5 * (variance / chips) ** 0.5
    # sum of squares / variance is chi-square with 999 degrees: mean 999, deviation sqrt(2 * 999). A binomial count's
    # excess kurtosis (1 - 6 p q) / (n p q) widens it.
    spread = ((counts - counts.mean()) ** 2).sum() / variance
    excess = (1 - 6 * rate * (1 - rate)) / variance
    assert abs(spread - (chips - 1)) <= 5 * ((chips - 1) * (2 + max(excess, 0))) ** 0.5


def test_counts_at_two_rates_are_those_of_one_threshold_a_cell():
    # Faults that join between p and q are independent of those up to p, given the cells left.
    cells, low, high, chips = 2000, 0.03, 0.1, 1000
    counts = np.array(
        [[len(np.unique(weakest_cells(seed, "w", cells, rate))) for rate in (low, high)] for seed in range(chips)]
    )
    covariance = np.cov(counts.T)[0, 1]
    expected = cells * low * (1 - high)
    variances = cells * low * (1 - low) * cells * high * (1 - high)
    assert abs(covariance - expected) <= 5 * ((variances + expected**2) / chips) ** 0.5


@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_cells_are_spread_evenly(rate):
    # 100 bins over the memory: chi-square with 99 degrees (mean 99, deviation 14.1), 5 sigma.
    cells = 1_000_000
    faulty = np.unique(weakest_cells(50002, "w", cells, rate))
    bins = np.bincount((faulty // np.uint64(cells // 100)).astype(int), minlength=100)
    expected = cells * rate / 100
    statistic = ((bins - expected) ** 2 / (expected * (1 - rate))).sum()
    assert abs(statistic - 99) <= 5 * (2 * 99) ** 0.5


def test_neighbouring_cells_fail_independently():
    cells, rate = 1_000_000, 0.1
    faulty = np.zeros(cells, bool)
    faulty[weakest_cells(50003, "w", cells, rate).astype(int)] = True
    for distance in (1, 2, 8, 128):
        both = int((faulty[:-distance] & faulty[distance:]).sum())
        # Pairs a distance apart overlap, which adds twice the covariance p^3 (1 - p) a pair to the variance.
        expected = (cells - distance) * rate**2
        variance = (cells - distance) * (rate**2 * (1 - rate**2) + 2 * rate**3 * (1 - rate))
        assert abs(both - expected) <= 5 * variance**0.5


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_share_of_cells_stuck_at_one(share):
    cells = np.arange(200_000, dtype=np.uint64)
    ones = int(prefers_one(50000, "w", cells, share).sum())
    assert abs(ones - 200_000 * share) <= 5 * (200_000 * share * (1 - share)) ** 0.5


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.floats(0, 1), st.floats(0, 1))
def test_stuck_value_belongs_to_the_cell(seed, cell, p, q):
    cells = np.array([cell, cell], np.uint64)
    low, high = (prefers_one(seed, "w", cells, share).tolist() for share in sorted((p, q)))
    assert low[0] == low[1]
    assert low <= high  # a larger share only adds ones


def test_stuck_values_do_not_depend_on_weakness_order():
    faulty = weakest_cells(50000, "w", 100_000, 0.1)
    in_order = prefers_one(50000, "w", faulty, 0.5)
    assert prefers_one(50000, "w", faulty[::-1], 0.5).tolist() == in_order[::-1].tolist()
    # The weaker half of the cells is no likelier to hold a one: 5 sigma of a fair coin.
    half = len(faulty) // 2
    assert abs(int(in_order[:half].sum()) - half / 2) <= 5 * (half / 4) ** 0.5
