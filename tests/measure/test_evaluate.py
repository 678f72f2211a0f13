"""Accuracy under bit errors: what is measured, and on which chips."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from nfkit import parallel
from nfkit.access.runtime import Runner, accuracy
from nfkit.data import Dataset
from nfkit.errors import DataError, OptionError, UnsupportedError
from nfkit.faults import EVALUATION_CHIPS, TRAINING_CHIPS, VALIDATION_CHIPS, Array, BitErrors, Chip
from nfkit.graph.injection.inject import inject
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.graph.quantised.requantise import requantise
from nfkit.measure import bench
from nfkit.measure.evaluation import evaluate
from nfkit.measure.statistics import accuracy_spread, difference_spread, wilson
from nfkit.model import to_bytes
from nfkit.reports.figures import unpack

RATES = [BitErrors(0.0), BitErrors(0.01), BitErrors(0.03)]
CHIPS = (50_000, 50_001)


@pytest.fixture(scope="module")
def bare(zoo):
    """The zoo's model at three rates on two chips."""
    return evaluate(zoo.model, zoo.test, zoo.spec, RATES, chips=CHIPS)


@pytest.fixture(scope="module")
def both(zoo, fused):
    """The fused model, likewise."""
    return evaluate(fused, zoo.test, zoo.spec, RATES, chips=CHIPS)


def test_rows_are_rates_by_chips_in_order(bare, both):
    expected = [(errors.rate, chip) for errors in RATES for chip in CHIPS]
    for result in (bare, both):
        assert [(row.ber, row.chip) for row in result.rows] == expected


def test_clean_accuracy_is_that_of_the_model(zoo, bare, fused, both):
    x = zoo.spec.encode(zoo.test.x)
    assert bare.clean_base == both.clean_base == accuracy(Runner(zoo.model), x, zoo.test.y)
    assert both.clean_protected == accuracy(Runner(fused), x, zoo.test.y)
    assert bare.clean_base > 0.9


def test_without_errors_every_chip_is_clean(bare, both):
    for row in (*bare.rows[:2], *both.rows[:2]):
        assert (row.faulty_cells, row.flipped_bits, row.base) == (0, 0, bare.clean_base)
    assert {row.protected for row in both.rows[:2]} == {both.clean_protected}


def test_accuracies_are_those_of_the_baked_models(zoo, fused, both):
    x = zoo.spec.encode(zoo.test.x)
    row = both.rows[-1]
    chip, errors = Chip(row.chip), RATES[-1]
    assert row.base == accuracy(Runner(inject(zoo.model, zoo.sites, chip, errors, "baked")), x, zoo.test.y)
    assert row.protected == accuracy(Runner(inject(fused, fault_sites(fused), chip, errors, "baked")), x, zoo.test.y)
    assert row.base < both.clean_base


def test_base_is_the_same_bare_and_behind_a_generator(bare, both):
    for one, other in zip(bare.rows, both.rows, strict=True):
        assert (one.base, one.faulty_cells, one.flipped_bits) == (other.base, other.faulty_cells, other.flipped_bits)


def test_only_fused_models_have_a_protected_column(bare, both):
    assert bare.clean_protected is None
    assert all(row.protected is None for row in bare.rows)
    assert all(row.protected is not None for row in both.rows)
    assert bare.clean.protected is None
    assert all(point.protected is point.recovery is None for point in bare.points())


@pytest.mark.parametrize(
    "errors", [BitErrors(0.02), BitErrors(0.02, "flip"), BitErrors(0.02, "asymmetric", 0.2)], ids=str
)
def test_faulty_cells_and_flipped_bits_are_counted_right(zoo, errors):
    result = evaluate(zoo.model, zoo.test.take(1), zoo.spec, [errors], chips=CHIPS[:1])
    cells = bits = 0
    for site in zoo.sites:
        stored = codes(zoo.model, site)
        faults = Chip(CHIPS[0]).faults(site, errors)
        setting, clearing = faults.masks(stored.shape, stored.dtype)
        cells += int(np.unpackbits((setting | clearing).view(np.uint8)).sum())
        bits += int(np.unpackbits((stored ^ faults.apply(stored)).view(np.uint8)).sum())
    (row,) = result.rows
    assert (row.faulty_cells, row.flipped_bits) == (cells, bits)
    assert 0 < bits <= cells


def test_the_same_settings_give_the_same_record(zoo, fused, both):
    again = evaluate(fused, zoo.test, zoo.spec, RATES, chips=CHIPS)
    assert again.points() == both.points()
    assert (again.clean, again.faults, again.basis) == (both.clean, both.faults, both.basis)


def test_a_chip_does_not_depend_on_the_others(zoo, bare):
    alone = evaluate(zoo.model, zoo.test, zoo.spec, RATES[2:], chips=CHIPS[1:])
    assert alone.rows == bare.rows[-1:]


def test_faults_in_the_generator_change_the_protected_column_alone(zoo, fused):
    # With the base's own memories spared, whatever changes is the generator's doing.
    errors = BitErrors(0.2, protected_sites=("*.weight_quantized",))
    spared = evaluate(fused, zoo.test, zoo.spec, [errors], chips=CHIPS)
    result = evaluate(fused, zoo.test, zoo.spec, [errors], chips=CHIPS, fault_generator=True)
    assert {row.protected for row in spared.rows} == {spared.clean_protected}
    assert result.clean_protected == spared.clean_protected
    for row in result.rows:
        assert (row.base, row.faulty_cells, row.flipped_bits) == (result.clean_base, 0, 0)
        assert row.protected != result.clean_protected
        faulty = inject(fused, fault_sites(fused, generator=True), Chip(row.chip), errors, "baked")
        assert row.protected == accuracy(Runner(faulty), zoo.spec.encode(zoo.test.x), zoo.test.y)
    assert result.faults.generator_faulted
    assert not spared.faults.generator_faulted


def test_the_layout_decides_which_cells_err(zoo, bare):
    result = evaluate(zoo.model, zoo.test, zoo.spec, RATES[2:], chips=CHIPS, layout=Array(64, 128))
    assert result.faults.layout == "array:64x128"
    assert [r.faulty_cells for r in result.rows] != [r.faulty_cells for r in bare.rows[4:]]


def test_the_level_is_that_of_the_measurement(zoo):
    result = evaluate(zoo.model, zoo.test, zoo.spec, RATES[:1], chips=CHIPS[:1], level="basic")
    x = zoo.spec.encode(zoo.test.x)
    assert result.level == "basic"
    assert result.clean_base == accuracy(Runner(zoo.model, level="basic"), x, zoo.test.y)


def test_rows_are_reported_in_order(zoo):
    seen = []
    result = evaluate(zoo.model, zoo.test.take(5), zoo.spec, RATES, chips=CHIPS, on_row=seen.append)
    assert tuple(seen) == result.rows


def test_the_model_is_not_changed(zoo, fused):
    before = to_bytes(fused)
    evaluate(fused, zoo.test.take(2), zoo.spec, RATES[2:], chips=CHIPS[:1], fault_generator=True)
    assert to_bytes(fused) == before


def test_known_base_accuracies_are_not_measured_again(zoo, fused, bare):
    marked = replace(bare, rows=tuple(msgspec.structs.replace(row, base=row.base / 2) for row in bare.rows))
    result = evaluate(fused, zoo.test, zoo.spec, RATES[1:], chips=(*CHIPS, 50_002), known=marked)
    known = {(row.ber, row.chip): row.base for row in marked.rows}
    assert [row.base for row in result.rows if row.chip in CHIPS] == [
        known[row.ber, row.chip] for row in result.rows if row.chip in CHIPS
    ]
    measured = evaluate(zoo.model, zoo.test, zoo.spec, RATES[1:], chips=[50_002])
    assert [row.base for row in result.rows if row.chip == 50_002] == [row.base for row in measured.rows]


@pytest.mark.parametrize(
    ("differing", "changes"),
    [
        ("data", {"data": lambda zoo: zoo.test.take(50)}),
        ("input", {"spec": lambda zoo: replace(zoo.spec, low=(-2.0,))}),
        ("errors", {"errors": lambda zoo: [BitErrors(0.01, "flip")]}),
        ("layout", {"layout": lambda zoo: Array(64, 128)}),
        ("level", {"level": lambda zoo: "basic"}),
        ("base", {"model": lambda zoo: requantise(zoo.model, 4)}),
        ("data, level", {"data": lambda zoo: zoo.test.take(50), "level": lambda zoo: "basic"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_known_measurement_on_another_basis_is_refused(zoo, bare, differing, changes):
    settings = {"model": zoo.model, "data": zoo.test, "spec": zoo.spec, "errors": RATES[1:], "chips": CHIPS}
    settings |= {name: change(zoo) for name, change in changes.items()}
    with pytest.raises(OptionError, match=f"is of another {differing}, so"):
        evaluate(**settings, known=bare)


def test_points_are_the_spread_over_chips_and_the_paired_difference(both):
    points = both.points()
    assert [point.ber for point in points] == [errors.rate for errors in RATES]
    rows = both.rows[4:]
    base, protected = (
        np.stack([unpack(getattr(row, f"{part}_correct"), 100) for row in rows]) for part in ("base", "protected")
    )
    assert points[2].rows == rows
    assert points[2].base == accuracy_spread(base)
    assert points[2].protected == accuracy_spread(protected)
    assert points[2].recovery == difference_spread(protected, base)


def test_every_samples_correctness_is_kept(zoo, fused, both):
    x = zoo.spec.encode(zoo.test.x)
    row, clean = both.rows[-1], both.clean
    chip, errors = Chip(row.chip), RATES[-1]
    faulty = inject(zoo.model, zoo.sites, chip, errors, "baked")
    pair = inject(fused, fault_sites(fused), chip, errors, "baked")
    for packed, model in (
        (row.base_correct, faulty), (row.protected_correct, pair), (clean.base.correct, zoo.model),
        (clean.protected.correct, fused),
    ):  # fmt: skip
        assert (unpack(packed, 100) == (Runner(model).classify(x) == zoo.test.y)).all()
    assert clean.base.ci95 == wilson(round(100 * both.clean_base), 100)


def test_chips_that_generators_are_trained_on_judge_no_generator(zoo, fused):
    chips = [EVALUATION_CHIPS[0], TRAINING_CHIPS[0]]
    with pytest.raises(OptionError, match=r"generators are trained on \(from 1000000 on\)"):
        evaluate(fused, zoo.test, zoo.spec, RATES[2:], chips=chips)
    with pytest.raises(OptionError, match=r"generators are chosen on \(from 40000 on\): choose seeds from 50000"):
        evaluate(fused, zoo.test, zoo.spec, RATES[2:], chips=[50_000, VALIDATION_CHIPS[-1]])
    assert len(evaluate(zoo.model, zoo.test.take(2), zoo.spec, RATES[2:], chips=chips).rows) == 2


@pytest.mark.parametrize(("errors", "chips"), [([], CHIPS), (RATES, ())])
def test_nothing_to_measure_is_refused(zoo, errors, chips):
    with pytest.raises(OptionError, match="at least one bit error rate and one chip"):
        evaluate(zoo.model, zoo.test, zoo.spec, errors, chips=chips)


def test_labels_beyond_the_models_classes_are_refused(zoo):
    data = Dataset("wrong", zoo.test.x, zoo.test.y + 5)
    with pytest.raises(DataError, match="beyond the model's 10 classes"):
        evaluate(zoo.model, data, zoo.spec, RATES, chips=CHIPS)


def test_data_of_another_shape_is_refused(zoo):
    data = Dataset("wrong", zoo.test.x[:, :20], zoo.test.y)
    with pytest.raises(DataError, match=r"\[20, 28, 1\]"):
        evaluate(zoo.model, data, zoo.spec, RATES, chips=CHIPS)


def test_a_model_that_does_not_classify_is_refused(parse, zoo):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        filter (float[N, 1, 28, 28] image) => (float[N, 1, 28, 28] y)
        <float s = {0.01}>
        { k_f = DequantizeLinear (k, s)
          y = Conv <pads = [1, 1, 1, 1]> (image, k_f) }
        """,
        k=np.ones((1, 1, 3, 3), np.int8),
    )
    with pytest.raises(UnsupportedError, match="accuracy needs one score a class"):
        evaluate(model, zoo.test, zoo.spec, RATES, chips=CHIPS)


def test_what_would_count_something_twice_is_refused(zoo):
    def measure(errors, chips):
        return evaluate(zoo.model, zoo.test.take(2), zoo.spec, errors, chips=chips)

    with pytest.raises(OptionError, match="chip 50000 is given twice"):
        measure(RATES, [50_000, 50_001, 50_000])
    with pytest.raises(OptionError, match=r"the bit error rate 0\.01 is given twice"):
        measure([BitErrors(0.01), BitErrors(0.02), BitErrors(0.01)], CHIPS)


@pytest.mark.parametrize(
    "other", [BitErrors(0.02, "flip"), BitErrors(0.02, set_share=0.3), BitErrors(0.02, protected_bits=(7,))], ids=str
)
def test_errors_of_different_kinds_share_no_table(zoo, other):
    with pytest.raises(OptionError, match="errors of different kinds"):
        evaluate(zoo.model, zoo.test.take(2), zoo.spec, [BitErrors(0.01), other], chips=CHIPS)


def test_a_pattern_that_protects_nothing_is_refused(zoo):
    errors = BitErrors(0.01, protected_sites=("stem.*", "haed*"))
    with pytest.raises(OptionError, match=r"'haed\*' .* matches none of the model's 10 weight sites \('stem"):
        evaluate(zoo.model, zoo.test.take(2), zoo.spec, [errors], chips=CHIPS)


def test_a_fused_file_is_split_once(zoo, fused, monkeypatch):
    calls = []
    split = bench.split
    monkeypatch.setattr(bench, "split", lambda model: calls.append(model) or split(model))
    evaluate(fused, zoo.test.take(2), zoo.spec, RATES[2:], chips=CHIPS)
    assert len(calls) == 1


@pytest.mark.parametrize("number", [2, 3, 4])
def test_rows_are_those_of_one_core_however_many_there_are(zoo, fused, number, monkeypatch):
    """Of five chips some are left over by two, three and four cores, and share them; images fill several batches."""
    pixels = np.concatenate([zoo.test.x] * 6)
    data, chips = Dataset("again", pixels, np.concatenate([zoo.test.y] * 6)), range(50_000, 50_005)
    monkeypatch.setattr(parallel, "_pinned", 1)
    expected = evaluate(fused, data, zoo.spec, RATES[1:2], chips=chips)
    monkeypatch.setattr(parallel, "_pinned", number)
    parallel._pool.cache_clear()
    found = evaluate(fused, data, zoo.spec, RATES[1:2], chips=chips)
    parallel._pool.cache_clear()
    assert found.rows == expected.rows
    assert (found.clean_base, found.clean_protected) == (expected.clean_base, expected.clean_protected)
