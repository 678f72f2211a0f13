"""What robust cells and check bits cost, against counts by hand."""

import numpy as np
import pytest

from nfkit.energy import PLAIN, MemoryCells, SystolicArray, count, load_curve, memory_cells
from nfkit.errors import ModelError, OptionError
from nfkit.faults import BitErrors
from nfkit.graph.memory.sites import fault_sites

# One layer of 8-bit codes that is read once for each of 2 folds, and one of 4-bit codes that is read once.
TWO_WIDTHS = """
<ir_version: 10, opset_import: ["" : 21]>
g (float[1, 2, 8, 8] image) => (float[1, 3] y)
<int8[2, 2, 1, 1] w, int4[2, 3] d = {1, 2, 3, 4, 5, 6}, float s = {0.5}> {
    f = DequantizeLinear (w, s)
    c = Conv (image, f)
    p = GlobalAveragePool (c)
    q = Flatten (p)
    h = DequantizeLinear (d, s)
    y = MatMul (q, h)
}
"""


@pytest.fixture(scope="module")
def widths(parse):
    model = parse(TWO_WIDTHS, w=np.ones((2, 2, 1, 1), np.int8))
    return count(model, SystolicArray(32, 32)), fault_sites(model)


# Cells read: 2 x 4 codes of 8 bits and 6 codes of 4 bits.
CONV, DENSE = 2 * 4 * 8, 6 * 4
E = 0.7


def energy_of(widths, **settings):
    return memory_cells(*widths, BitErrors(0.01, **settings)).energy(E)


def cells_of(widths, **settings):
    return memory_cells(*widths, BitErrors(0.01, **settings))


def test_a_plain_memory_costs_what_its_voltage_says(widths):
    assert cells_of(widths) == PLAIN == MemoryCells(0, 0)
    assert energy_of(widths) == pytest.approx(E)


def test_robust_tops_are_counted_in_each_site(widths):
    robust = CONV * 2 / 8 + DENSE * 2 / 4
    assert cells_of(widths, protected_top=2).robust == pytest.approx(robust / (CONV + DENSE))
    assert energy_of(widths, protected_top=2) == pytest.approx((robust + (CONV + DENSE - robust) * E) / (CONV + DENSE))


def test_bits_and_tops_add_up_without_counting_twice(widths):
    got = cells_of(widths, protected_bits=(3, 0), protected_top=1)
    assert got.robust == pytest.approx((CONV * 3 / 8 + DENSE * 2 / 4) / (CONV + DENSE))


def test_protected_sites_stay_at_nominal_voltage(widths):
    got = energy_of(widths, protected_sites=("d",), protected_top=4)
    robust = CONV * 4 / 8 + DENSE
    assert got == pytest.approx((robust + (CONV + DENSE - robust) * E) / (CONV + DENSE))


@pytest.mark.parametrize(("ecc", "share"), [("secded-64", 8 / 64), ("secded-32-zero", 7 / 32)])
def test_check_bits_are_read_with_the_words(widths, ecc, share):
    assert cells_of(widths, ecc=ecc).check == pytest.approx(share)
    assert energy_of(widths, ecc=ecc) == pytest.approx((1 + share) * E)
    # What never errs needs none.
    part = energy_of(widths, ecc=ecc, protected_sites=("w",))
    assert part == pytest.approx((CONV + DENSE * (1 + share) * E) / (CONV + DENSE))
    assert energy_of(widths, ecc=ecc, protected_sites=("*",)) == pytest.approx(1)


@pytest.mark.parametrize("storage", ["sign-magnitude", "gray"])
def test_storage_codes_need_no_more_cells(widths, storage):
    assert cells_of(widths, storage=storage) == PLAIN


@pytest.mark.parametrize(("top", "saved"), [(0, 29.9), (1, 26.2), (2, 22.4), (3, 18.7)])
def test_int8_models_at_one_percent(zoo, top, saved):
    # Stated for int8 models at 1 %: their codes have 8 bits, so a robust bit keeps an eighth of the saving.
    point = load_curve("stutz-2021").at_rate(0.01)
    got = memory_cells(count(zoo.model), zoo.sites, BitErrors(0.01, protected_top=top))
    assert 100 * (1 - got.energy(point.energy)) == pytest.approx(saved, abs=0.1)


@pytest.mark.parametrize("cells", [PLAIN, MemoryCells(0.25), MemoryCells(0, 0.125), MemoryCells(0.5, 0.2)])
def test_the_voltage_of_an_energy(cells):
    for low in (0.0, 0.6, 1.0):
        assert cells.low(cells.energy(low)) == pytest.approx(low)
    assert cells.low(cells.robust - 1e-3) is None


def test_a_memory_that_is_robust_as_a_whole_has_no_voltage():
    assert MemoryCells(1.0).energy(0.7) == 1
    assert MemoryCells(1.0).low(0.9) is None


def test_bits_that_a_site_lacks_are_refused(widths):
    with pytest.raises(OptionError, match="'d' has bits 0 to 3; to protect the top bits"):
        energy_of(widths, protected_bits=(7,))


def test_codes_count_once_where_no_reads_can_be_counted(widths, parse):
    nothing = count(
        parse('<ir_version: 10, opset_import: ["" : 18]> g (float[N, 2] x) => (float[N, 2] y) { y = Relu (x) }')
    )
    got = memory_cells(nothing, widths[1], BitErrors(0.01, protected_top=2))
    assert got.robust == pytest.approx((4 * 2 + 6 * 2) / (4 * 8 + 6 * 4))


def test_models_without_weights_are_refused(parse):
    model = parse('<ir_version: 10, opset_import: ["" : 18]> g (float[N, 2] x) => (float[N, 2] y) { y = Relu (x) }')
    with pytest.raises(ModelError, match="the model reads no weights"):
        memory_cells(count(model), [], BitErrors(0.01))
