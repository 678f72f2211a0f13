"""Which cell holds which bit: the period of an array, and the published code's map."""

from dataclasses import dataclass

import numpy as np
import pytest

from nfkit.errors import OptionError
from nfkit.faults import Array, BitErrors, Chip, Iid, Reference, parse_layout


@dataclass(frozen=True)
class Memory:
    name: str
    count: int
    bits: int = 8


def masks(layout, memory, errors, seed=50000):
    dtype = "uint8" if memory.bits <= 8 else "uint16"
    return Chip(seed, layout).faults(memory, errors).masks((memory.count,), dtype)


def published(seed, rate, count):
    """The published rule in few lines, on full-size arrays: (set, clear) bytes."""
    np.random.seed(seed)  # noqa: NPY002
    faulty = np.random.rand(8192, 128) < rate  # noqa: NPY002
    np.random.seed(seed + 1)  # noqa: NPY002
    one = np.random.rand(8192, 128) < 0.5  # noqa: NPY002
    rows = [np.packbits(cells, axis=1, bitorder="little") for cells in (faulty & one, faulty & ~one)]
    banks = -(-count // (8192 * 256))
    return [np.tile(row, (banks, 16)).reshape(-1)[:count] for row in rows]


@pytest.mark.parametrize("count", [1, 15, 17, 256, 5000, 8192 * 256, 8192 * 256 + 777, 2 * 8192 * 256 + 1])
def test_reference_is_the_published_map(count):
    setting, clearing = masks(Reference(), Memory("w", count), BitErrors(0.01), seed=7)
    want_set, want_clear = published(7, 0.01, count)
    assert setting.tobytes() == want_set.tobytes()
    assert clearing.tobytes() == want_clear.tobytes()


@pytest.mark.parametrize(("seed", "rate"), [(0, 0.005), (50000, 0.1), (2**32 - 2, 0.5)])
def test_reference_is_the_published_map_on_any_chip(seed, rate):
    setting, clearing = masks(Reference(), Memory("w", 3000), BitErrors(rate), seed)
    want_set, want_clear = published(seed, rate, 3000)
    assert setting.tobytes() == want_set.tobytes()
    assert clearing.tobytes() == want_clear.tobytes()


def test_reference_flips_the_cells_that_are_stuck():
    setting, clearing = masks(Reference(), Memory("w", 9000), BitErrors(0.02), seed=3)
    flipping, same = masks(Reference(), Memory("w", 9000), BitErrors(0.02, "flip"), seed=3)
    assert not (setting & clearing).any()
    assert flipping.tolist() == (setting | clearing).tolist() == same.tolist()


def test_reference_starts_every_site_at_row_0():
    one = masks(Reference(), Memory("first", 4000), BitErrors(0.05))
    other = masks(Reference(), Memory("second", 700), BitErrors(0.05))
    for a, b in zip(one, other, strict=True):
        assert a[:700].tolist() == b.tolist()


def test_reference_repeats_each_row_16_times():
    for mask in masks(Reference(), Memory("w", 16 * 16 * 50), BitErrors(0.1)):
        rows = mask.reshape(50, 16, 16)
        assert (rows == rows[:, :1]).all()
        assert (rows[0, 0] != rows[1, 0]).any()


def test_reference_knows_no_asymmetric_errors_and_no_wide_seeds():
    with pytest.raises(OptionError, match="the reference layout knows the kinds 'stuck' and 'flip'"):
        masks(Reference(), Memory("w", 10), BitErrors(0.1, "asymmetric"))
    with pytest.raises(OptionError, match="takes seeds below 4294967295"):
        masks(Reference(), Memory("w", 10), BitErrors(0.1), seed=2**32 - 1)


KINDS = [BitErrors(0.05), BitErrors(0.05, "flip"), BitErrors.asymmetric(0.02, 0.1)]


@pytest.mark.parametrize("errors", KINDS, ids=lambda e: e.kind)
@pytest.mark.parametrize(
    ("rows", "columns", "bits", "words"), [(32, 64, 8, 8), (10, 128, 8, 16), (7, 20, 8, 2), (5, 12, 4, 3)]
)
def test_array_weights_a_period_apart_share_their_cells(rows, columns, bits, words, errors):
    period = rows * words
    for mask in masks(Array(rows, columns), Memory("w", 3 * period + 5, bits), errors):
        assert mask[:period].any()
        assert mask[period:].tolist() == mask[:-period].tolist()


@pytest.mark.parametrize("errors", KINDS, ids=lambda e: e.kind)
def test_array_map_is_equal_in_every_site(errors):
    one = masks(Array(64, 128), Memory("first", 3000), errors)
    other = masks(Array(64, 128), Memory("second", 1200), errors)
    for a, b in zip(one, other, strict=True):
        assert a[:1200].tolist() == b.tolist()


def test_array_of_16_bit_codes_reads_the_same_cells_two_bytes_at_a_time():
    for narrow, wide in zip(
        masks(Array(64, 128), Memory("w", 64 * 16), BitErrors(0.05)),
        masks(Array(64, 128), Memory("w", 64 * 8, 16), BitErrors(0.05)),
        strict=True,
    ):
        assert narrow.any()
        assert wide.astype("<u2").tobytes() == narrow.tobytes()


def test_array_columns_left_over_hold_nothing():
    # Rows of 20 cells hold two bytes; every faulty cell of the other four columns is lost.
    setting, clearing = masks(Array(100, 20), Memory("w", 200), BitErrors(0.5))
    cells = int(np.bitwise_count(setting | clearing).sum())
    assert abs(cells - 1600 / 2) <= 5 * (1600 / 4) ** 0.5


def test_array_row_must_hold_a_code():
    with pytest.raises(OptionError, match=r"row of 7 cells cannot hold the 8-bit codes of 'w'"):
        masks(Array(10, 7), Memory("w", 10), BitErrors(0.1))


@pytest.mark.parametrize(("rows", "columns"), [(0, 128), (8192, 0), (-1, 128), (2**16, 2**16)])
def test_array_size_must_make_sense(rows, columns):
    with pytest.raises(OptionError, match="give two positive numbers"):
        Array(rows, columns)


@pytest.mark.parametrize("layout", [Iid(), Array(), Array(512, 64), Reference()], ids=str)
def test_layouts_are_read_back_from_their_names(layout):
    assert parse_layout(str(layout)) == layout


def test_array_without_a_size_is_8192_by_128():
    assert parse_layout("array") == Array(8192, 128)


NO_LAYOUTS = """
sram IID iid:8x8 reference:8192x128 array: array:64 array:64x array:-1x8 array:1.5x8 array:8x8x8
"""


@pytest.mark.parametrize("text", ["", *NO_LAYOUTS.split()])
def test_texts_that_name_no_layout_are_refused(text):
    with pytest.raises(OptionError, match=r"unknown layout .*: choose iid, array, array:ROWSxCOLUMNS"):
        parse_layout(text)
