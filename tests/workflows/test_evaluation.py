"""The library's own call: paths or objects, a whole result, and nothing lost where it is ended."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec.structs import replace

import nfkit
from nfkit.errors import OptionError
from nfkit.faults import BitErrors
from nfkit.graph.fusion.fuse import fuse
from nfkit.measure.bench import Bench
from nfkit.measure.evaluation import evaluate as measure
from nfkit.measure.flips import flips_per_error
from nfkit.model import save
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.rendering import Table

# 36 features, three classes: a network small enough to be measured in no time.
TINY = """
<ir_version: 8, opset_import: ["" : 18]>
tiny (float[N, 1, 6, 6] image) => (float[N, 3] scores)
<float s = {0.0078125}, int8 z = {0}, float s_w = {0.015625}, int64[2] shape = {-1, 36}>
{
    q = QuantizeLinear (image, s, z)
    f = DequantizeLinear (q, s, z)
    v = Reshape (f, shape)
    w_f = DequantizeLinear (w, s_w)
    scores = MatMul (v, w_f)
}
"""


@pytest.fixture(scope="module")
def tiny(parse, residual_generator, tmp_path_factory):
    """A base and a fused model, as files, with data that the base gets mostly right."""
    folder, random = tmp_path_factory.mktemp("tiny"), np.random.default_rng(0)
    base = parse(TINY, w=random.integers(-90, 91, (36, 3), np.int8))
    spec = nfkit.find_input(base)
    x = random.integers(0, 256, (200, 6, 6, 1), np.uint8)
    runner = nfkit.evaluate(base, (x, np.zeros(200, np.int64)), ber=0.0, chips=1)
    assert runner.clean_base < 1
    y = np.where(random.random(200) < 0.9, answers(base, spec, x), random.integers(0, 3, 200))
    np.savez(folder / "data.npz", x=x, y=y)
    fused = fuse(residual_generator(1, 6, 6), base, spec, {})
    return SimpleNamespace(
        base=save(base, folder / "base.onnx"),
        fused=save(fused, folder / "fused.nf.onnx"),
        data=folder / "data.npz",
        model=base,
        spec=spec,
        arrays=(x, y),
        folder=folder,
    )


def answers(model, spec, x):
    """The class that a model gives every image."""
    from nfkit.access.runtime import Runner

    return Runner(model).classify(spec.encode(x))


@pytest.fixture(scope="module")
def result(tiny):
    """The fused model at two rates."""
    return nfkit.evaluate(str(tiny.fused), str(tiny.data), ber=[0.05, 0.01], chips=4)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of its own for every test."""
    monkeypatch.setenv("NFKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "evaluations"


# --- what it takes ---


def test_paths_and_objects_are_the_same(tiny, result):
    model, data = nfkit.load_model(tiny.fused), nfkit.load_data(str(tiny.data), "test")
    for given, samples in ((tiny.fused, tiny.data), (model, data), (model, tiny.arrays)):
        again = nfkit.evaluate(given, samples, ber=[0.05, 0.01], chips=range(50_000, 50_004))
        assert again.points == result.points
        assert again.verdict == result.verdict


def test_errors_may_be_given_whole(tiny):
    errors = [BitErrors(0.05, "flip"), BitErrors(0.01, "flip")]
    given = nfkit.evaluate(tiny.model, nfkit.load_data(str(tiny.data), "test"), tiny.spec, errors, chips=2)
    assert given.points == nfkit.evaluate(tiny.base, tiny.data, ber=(0.05, 0.01), kind="flip", chips=2).points
    assert given.faults.kind == "flip"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, "d.npz"), "a model is given as a path, an onnx.ModelProto or an onnx_ir.Model, not as an int"),
        ((None, "d.npz"), "not as a NoneType"),
        (("model", 3), "data is given as a path or a name, as a Dataset, or as arrays"),
        (("model", np.zeros((3, 4))), "not as a ndarray: nfkit.Dataset"),
    ],
)
def test_a_wrong_type_gets_a_sentence(tiny, arguments, message):
    model, data = arguments
    with pytest.raises(OptionError, match=message):
        nfkit.evaluate(tiny.base if model == "model" else model, data)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ber": "much"}, "ber 'much': give a number, or a list of numbers"),
        ({"ber": [0.1, None]}, "give a number, or a list of numbers"),
        ({"ber": 0.1, "vdd": 0.9}, "--ber and --vdd both say"),
        ({"chips": "all"}, "chips are given as a number of them, or as their seeds, not as a str"),
        ({"chips": 0}, "at least one bit error rate and one chip"),
        ({"chips": [50_000, 50_000]}, "chip 50000 is given twice"),
        ({"kind": "odd"}, "unknown fault kind 'odd'"),
        ({"protected_sites": ["nothing*"]}, r"the pattern 'nothing\*' of protected sites matches none"),
    ],
)
def test_a_wrong_setting_gets_a_sentence(tiny, settings, message):
    with pytest.raises(OptionError, match=message):
        nfkit.evaluate(tiny.base, tiny.data, **settings)


def test_a_rate_given_twice_is_measured_once_and_said(tiny):
    record = nfkit.evaluate(tiny.base, tiny.data, ber=[0.05, 0.01, 0.05], chips=2)
    assert [point.ber for point in record.points] == [0.05, 0.01]
    assert record.warnings == ("ber 0.05 was given more than once and is measured once",)
    assert "warning: ber 0.05 was given more than once" in str(record)


# --- what it gives ---


def test_the_result_is_whole(tiny, result):
    assert isinstance(result, Evaluation)
    assert result.model.path == str(tiny.fused)
    assert (result.data.n, result.level, result.curve.name) == (200, "all", "stutz-2021")
    assert result.verdict.sentence
    assert result.energy.added.accesses > 0
    for point in result.points:
        assert point.flips == pytest.approx(point.ber / 2)
        assert point.voltage.bit_error_rate == pytest.approx(point.ber / 2)
        assert point.saving.by_accesses == pytest.approx(point.voltage.saving - result.energy.overhead)
        assert point.base.ci95[0] < point.base.mean < point.base.ci95[1]
    with pytest.raises(AttributeError):
        result.level = "none"


def test_it_measures_what_the_measuring_room_measures(tiny, result):
    fused, data = nfkit.load_model(tiny.fused), nfkit.load_data(str(tiny.data), "test")
    expected = measure(fused, data, tiny.spec, [BitErrors(0.05), BitErrors(0.01)], chips=range(50_000, 50_004))
    assert result.rows == expected.rows
    assert result.clean == expected.clean


def test_a_verdict_weighs_the_bare_base_at_the_energy_of_the_pair(tiny, result):
    for comparison in result.verdict.comparisons:
        milder = next((rival for rival in comparison.rivals if rival.kind == "milder"), None)
        saving = result.points[comparison.point].saving.by_accesses
        assert milder.saving == pytest.approx(max(saving, 0.0))
        at = nfkit.evaluate(tiny.base, tiny.data, ber=milder.ber, chips=4)
        if result.verdict.confirmed is None and len(result.points) == 1:
            assert milder.accuracy == at.points[0].base.mean
    assert any("generator alone" in entry for entry in result.verdict.unchecked)  # which has no evidence


def test_it_is_read_by_people_and_by_programs(result):
    text = str(result)
    assert text.splitlines()[0] == result.verdict.sentence
    assert "5 %" in text
    assert "not compared: the generator alone" in text
    assert repr(result) == f"<Evaluation: {result.verdict.sentence}>"
    html = result._repr_html_()
    assert html.startswith("<div><p><strong>")
    assert html.count("<tr>") == 3
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["schema"] == "nfkit.evaluate/2"
    assert [point["ber"] for point in plain["points"]] == [0.05, 0.01]


def test_rows_as_a_table_where_pandas_is_missing(result, monkeypatch):
    monkeypatch.setattr("nfkit.reports.rendering.find_spec", lambda name: None)
    table = result.to_pandas()
    assert isinstance(table, Table)
    assert table.columns[:2] == ("ber", "chip")
    assert [row[:2] for row in table.rows] == [(row.ber, row.chip) for row in result.rows]
    assert str(table).splitlines()[0].startswith("ber")


def test_rows_as_a_data_frame(result):
    pandas = pytest.importorskip("pandas")
    frame = result.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["protected"]) == [row.protected for row in result.rows]


# --- ended and taken up ---


class KilledError(Exception):
    """Stands for whatever ends a process in the middle of a run."""


def kill_after(rows):
    """A progress callback that ends the run when so many rows are done."""

    def end(progress):
        if progress.stage == "measuring under bit errors" and progress.done == rows:
            raise KilledError

    return end


def test_a_measurement_that_was_ended_goes_on_where_it_was(tiny, result, cache, monkeypatch):
    settings = {"ber": [0.05, 0.01], "chips": 4}
    with pytest.raises(KilledError):
        nfkit.evaluate(tiny.fused, tiny.data, **settings, on_progress=kill_after(3))
    (journal,) = cache.iterdir()
    assert len(journal.read_bytes().splitlines()) == 3
    run, asked = Bench.run, []

    def count(self, wanted, **options):
        asked.append(len(wanted))
        return run(self, wanted, **options)

    monkeypatch.setattr(Bench, "run", count)
    again = nfkit.evaluate(tiny.fused, tiny.data, **settings)
    assert asked[0] == 5
    assert replace(again, versions={}) == replace(result, versions={})
    assert list(cache.iterdir()) == []


def test_other_settings_take_up_nothing(tiny, cache):
    with pytest.raises(KilledError):
        nfkit.evaluate(tiny.fused, tiny.data, ber=0.05, chips=4, on_progress=kill_after(3))
    for settings in ({"kind": "flip"}, {"samples": 100}, {"level": "basic"}, {"layout": "array:64x128"}):
        expected = nfkit.evaluate(tiny.fused, tiny.data, ber=0.05, chips=4, resume=False, **settings)
        assert nfkit.evaluate(tiny.fused, tiny.data, ber=0.05, chips=4, **settings).rows == expected.rows
    assert len(list(cache.iterdir())) == 1


def test_progress_counts_every_stage_to_its_end(tiny):
    seen = []
    nfkit.evaluate(tiny.fused, tiny.data, ber=0.05, chips=3, on_progress=seen.append)
    stages = dict.fromkeys(progress.stage for progress in seen)
    assert list(stages)[:2] == ["measuring without errors", "measuring under bit errors"]
    for stage in list(stages)[1:]:
        of_stage = [progress for progress in seen if progress.stage == stage]
        assert [progress.done for progress in of_stage] == list(range(of_stage[0].total + 1))
        assert of_stage[-1].seconds_left == 0


# --- what flips ---


@pytest.mark.parametrize("kind", ["stuck", "flip", "asymmetric"])
@pytest.mark.parametrize("set_share", [0.5, 0.1])
def test_flips_per_error_are_those_that_are_counted(zoo, kind, set_share):
    if kind == "flip" and set_share != 0.5:
        pytest.skip("flips go both ways")
    errors = BitErrors(0.05, kind, set_share, protected_top=1)
    expected = flips_per_error(zoo.model, zoo.sites, errors)
    row = measure(zoo.model, zoo.test.take(2), zoo.spec, [errors], chips=[50_000]).rows[0]
    exposed = sum(site.count * (site.bits - 1) for site in zoo.sites)
    assert row.flipped_bits / exposed == pytest.approx(0.05 * expected, rel=0.03)


@pytest.mark.parametrize("set_share", [0.0, 0.9])
def test_flips_per_error_weigh_bits_by_how_often_they_err(zoo, set_share):
    errors = BitErrors(0.05, "stuck", set_share, top_rates=(0.1, 0.1, 0.1, 0.1))
    expected = flips_per_error(zoo.model, zoo.sites, errors)
    measured = measure(zoo.model, zoo.test.take(2), zoo.spec, [errors], chips=range(50_000, 50_008))
    flipped, faulty = (sum(getattr(row, name) for row in measured.rows) for name in ("flipped_bits", "faulty_cells"))
    assert flipped / faulty == pytest.approx(expected, rel=0.01)  # 3 % off if bits were not weighed
    assert measured.faults.top_rates == (0.1, 0.1, 0.1, 0.1)
    assert measured.faults.memory == ", top bits at 0.1, 0.1, 0.1, 0.1 of the rate"


# --- memories that are not plain ---


def test_codes_that_cannot_be_held_are_counted_in_a_warning(tiny, parse):
    weights = np.random.default_rng(0).integers(-90, 91, (36, 3), np.int8)
    weights[:2, 0] = -128
    base = parse(TINY, w=weights)
    held = nfkit.evaluate(base, tiny.data, storage="sign-magnitude", chips=1)
    assert [text for text in held.warnings if text.startswith("2 codes have no word in sign-magnitude")]
    plain = nfkit.evaluate(base, tiny.data, storage="gray", chips=1)
    assert not [text for text in plain.warnings if "have no word" in text]


def test_robust_cells_and_check_bits_are_in_the_energy(tiny):
    low = nfkit.evaluate(tiny.fused, tiny.data, chips=1).points[0]
    held = nfkit.evaluate(tiny.fused, tiny.data, chips=1, protected_top=2, ecc="secded-32")
    (point,) = held.points
    assert (held.memory.robust_cells, held.memory.check_cells) == (0.25, 7 / 32)
    assert point.voltage.volts_over_vmin == low.voltage.volts_over_vmin
    expected = 0.25 + (0.75 + 7 / 32) * low.voltage.energy_per_access
    assert point.voltage.energy_per_access == pytest.approx(expected)
    # What the generator reads is paid for as before.
    lost = point.voltage.energy_per_access - low.voltage.energy_per_access
    assert point.saving.by_accesses == pytest.approx(low.saving.by_accesses - lost)
