"""A whole campaign: its numbers, made otherwise; and that it goes on wherever it was ended."""

import dataclasses
import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import nfkit
from nfkit.access.runtime import Runner
from nfkit.campaigns.store import MeasurementStore
from nfkit.campaigns.tables import ANSWERS
from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.injection.inject import inject
from nfkit.graph.memory.sites import fault_sites
from nfkit.model import load, save
from nfkit.remedies.base import Remedy
from nfkit.remedies.registry import REMEDIES
from nfkit.reports.campaign import Campaign
from nfkit.reports.campaign_charts import over_rates
from nfkit.reports.reading import read_as, write
from nfkit.workflows.campaign_folders import (
    campaign_measurements,
    campaign_status,
    export_measurements,
    merge_campaigns,
)
from nfkit.workflows.campaign_metrics import identify

CHIPS = (50_000, 50_001, 50_002)


def truth(folder):
    """Everything in a store but times, and who measured."""
    with MeasurementStore(folder) as store:
        assert store.rows("PRAGMA integrity_check") == [("ok",)]
        rows = store.rows(f"SELECT {', '.join(ANSWERS.truth)} FROM measurements ORDER BY cell, chip")
        return rows, store.cells(), store.fingerprint, {k: v.tolist() for k, v in store.subjects().items()}


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """A campaign that nothing ended, and its record."""
    folder = tmp_path_factory.mktemp("whole")
    plan = {
        "models": str(tiny.base),
        "data": str(tiny.data),
        "remedies": ["bare", f"neuralfuse:{tiny.fused}", "robust-bits:2", "ecc:secded-64"],
        "rates": [0.02, 0.05],
        "chips": 3,
    }
    said = []
    return folder, nfkit.campaign(plan, folder, on_stage=said.append), said


def test_voltages_of_other_cells_than_the_measured_ones_are_doubted(tiny, tmp_path):
    stuck = np.random.default_rng(5).random((64, 32)) < 0.01
    for name, cells in (("sa0", stuck), ("sa1", np.zeros_like(stuck))):
        np.savetxt(tmp_path / f"fmap_{name}_v_0.8.txt", cells, fmt="%d", delimiter=",")
    plan = {"models": str(tiny.base), "data": str(tiny.data), "layouts": f"measured:{tmp_path}", "rates": 0.005}
    (said,) = (w for w in nfkit.campaign({**plan, "chips": 2}, tmp_path / "folder").warnings if "measured maps" in w)
    assert said.startswith("voltages and energies are those of the curve stutz-2021, not of the measured maps")


def test_every_combination_is_measured_on_the_same_chips(whole, tiny):
    folder, record, _ = whole
    assert [(r.cell.remedy, r.cell.rate) for r in record.cells] == list(
        product(("bare", f"neuralfuse:{tiny.fused}", "robust-bits:2", "ecc:secded-64"), (0.02, 0.05))
    )
    with MeasurementStore(folder) as store:
        assert set(store.rows("SELECT chip, count(*) FROM measurements GROUP BY chip")) == {(c, 8) for c in CHIPS}
    assert (record.measured, record.planned) == (24, 24)


@pytest.mark.parametrize(
    ("remedy", "changes"),
    [
        ("bare", {}),
        ("robust-bits:2", {"protected_top": 2}),
        ("ecc:secded-64", {"ecc": "secded-64"}),
        ("neuralfuse", {}),
    ],
)
def test_measurements_are_those_of_models_with_baked_errors(whole, tiny, remedy, changes):
    folder, record, _ = whole
    model = load(tiny.fused) if remedy == "neuralfuse" else tiny.model
    x, sites, errors = tiny.spec.encode(tiny.x), fault_sites(model), BitErrors(0.05, **changes)
    clean = Runner(model).classify(x)
    result = next(r for r in record.cells if r.cell.remedy.startswith(remedy) and r.cell.rate == 0.05)
    with MeasurementStore(folder) as store:
        rows = list(store.samples(result.cell.key))
        counts = store.counts(result.cell.key)
    for i, chip in enumerate(CHIPS):
        scores = Runner(inject(model, sites, Chip(chip), errors, "baked"))(x)
        answers = scores.argmax(axis=1)
        assert rows[i].tolist() == (answers == tiny.y).tolist()
        assert counts["changed"][i] == int((answers != clean).sum())
        assert counts["right_to_wrong"][i] == int(((clean == tiny.y) & (answers != tiny.y)).sum())
        assert counts["wrong_to_right"][i] == int(((clean != tiny.y) & (answers == tiny.y)).sum())
        best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
        assert counts["top5"][i] == int((best == tiny.y[:, None]).any(axis=1).sum())
    assert result.changed.mean == pytest.approx(np.mean(counts["changed"]) / 100)
    assert result.clean == float((clean == tiny.y).mean())


def test_accuracies_and_intervals_are_those_of_evaluate(whole, tiny):
    _, record, _ = whole
    evaluation = nfkit.evaluate(tiny.base, tiny.data, ber=[0.02, 0.05], chips=3, resume=False)
    bare = [r for r in record.cells if r.cell.remedy == "bare"]
    for result, point in zip(bare, evaluation.points, strict=True):
        assert result.accuracy.mean == pytest.approx(point.base.mean)
        assert result.accuracy.ci95 == pytest.approx(point.base.ci95)
        assert result.faulty_cells == pytest.approx(np.mean([row.faulty_cells for row in point.rows]))
        assert result.flipped_bits == pytest.approx(np.mean([row.flipped_bits for row in point.rows]))


def test_it_says_what_it_takes_before_it_begins(whole):
    _, _, said = whole
    assert len(said) == 1
    assert said[0].startswith("24 measurements, 6 of them done: about ")  # the pilot: 3 chips of each of two files


def test_the_record_is_read_back_and_shown(whole, tmp_path):
    _, record, _ = whole
    write(record, tmp_path / "record.json")
    assert read_as(tmp_path / "record.json", Campaign) == record
    text = str(record)
    assert "24 measurements of 24 planned in 8 cells" in text
    assert "robust-bits:2" in text
    assert "kind stuck, layout iid, storage as-stored" in text
    table = record.table()
    assert len(table.rows) == 8
    assert dict(zip(table.columns, table.rows[0], strict=True))["accuracy"] == record.cells[0].accuracy.mean


@pytest.mark.parametrize("after", [1, 7, 23])
def test_an_interrupt_keeps_what_is_done(whole, plan, tmp_path, after):
    done = 0

    def interrupt(progress):
        nonlocal done
        done += bool(progress.detail)
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nfkit.campaign(plan(), tmp_path, on_progress=interrupt)
    with MeasurementStore(tmp_path) as store:
        assert len(store.done()) == after
    nfkit.campaign(plan(), tmp_path)
    assert truth(tmp_path) == truth(whole[0])


def test_a_campaign_may_grow(whole, plan, tmp_path):
    nfkit.campaign(plan(remedies="bare", rates=0.05, chips=2), tmp_path)
    nfkit.campaign(plan(), tmp_path)
    assert truth(tmp_path) == truth(whole[0])


def test_a_changed_model_or_data_is_refused_by_name(tiny, plan, tmp_path):
    model, data = tmp_path / "model.onnx", tmp_path / "data.npz"
    save(tiny.model, model)
    np.savez(data, x=tiny.x, y=tiny.y)
    small = plan(models=str(model), data=str(data), remedies="bare", rates=0.05, chips=1)
    nfkit.campaign(small, tmp_path / "out")
    np.savez(data, x=tiny.x[:90], y=tiny.y[:90])
    with pytest.raises(OptionError, match=r"data .*data.npz of .*model.onnx was 100 samples .* and is 90 samples"):
        nfkit.campaign(small, tmp_path / "out")
    np.savez(data, x=tiny.x, y=tiny.y)
    with pytest.raises(OptionError, match="level was all and is basic"):
        nfkit.campaign({**small, "level": "basic"}, tmp_path / "out")


def test_everything_that_does_not_load_is_said_at_once(tiny, plan, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    np.savez(tmp_path / "wide.npz", x=np.zeros((9, 8, 8, 1), np.uint8), y=np.zeros(9, np.int64))
    with pytest.raises(OptionError) as caught:
        nfkit.campaign(
            plan(
                models=[str(tiny.base), str(tmp_path / "bad.onnx")],
                data=[str(tiny.data), str(tmp_path / "wide.npz")],
                remedies=["bare", "mixed-voltage:absent"],
            ),
            tmp_path / "out",
        )
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 things to mend in the plan:"
    assert "mixed-voltage:absent: the pattern 'absent' of protected sites matches none" in lines[1]
    assert f"{tiny.base} on {tmp_path / 'wide.npz'}: " in lines[2]
    assert lines[3].startswith(f"  {tmp_path / 'bad.onnx'}: ")
    assert not (tmp_path / "out").exists()


def test_a_protected_file_goes_with_its_own_base(tiny, plan, parse, tmp_path):
    other = parse(
        """<ir_version: 8, opset_import: ["" : 18]>
        other (float[N, 1, 6, 6] image) => (float[N, 7] scores)
        <float s_w = {0.015625}, int64[2] shape = {-1, 36}>
        { v = Reshape (image, shape) w_f = DequantizeLinear (w, s_w) scores = MatMul (v, w_f) }""",
        w=np.random.default_rng(1).integers(-90, 91, (36, 7), np.int8),
    )
    save(other, tmp_path / "other.onnx")
    two = [str(tiny.base), {"file": str(tmp_path / "other.onnx"), "name": "other", "range": [-1, 1]}]
    remedies = ["bare", f"neuralfuse:{tiny.fused}"]
    record = nfkit.campaign(plan(models=two, remedies=remedies, rates=0.05, labels="base", chips=1), tmp_path / "out")
    assert [(r.cell.model, r.cell.remedy) for r in record.cells] == [
        (str(tiny.base), "bare"),
        (str(tiny.base), remedies[1]),
        ("other", "bare"),
    ]
    with pytest.raises(OptionError, match="none of the models is the base of this file"):
        nfkit.campaign(
            plan(models=[two[1], {**two[1], "name": "b"}], remedies=remedies, labels="base"), tmp_path / "no"
        )


def test_voltages_stand_for_rates_of_each_kind(tiny, plan, tmp_path):
    asked = plan(remedies="bare", kinds=["stuck", "flip"], voltages=[0.8, 0.85], chips=1)
    del asked["rates"]
    cells = [r.cell for r in nfkit.campaign(asked, tmp_path).cells]
    assert [(c.kind, c.volts) for c in cells] == list(product(("stuck", "flip"), (0.8, 0.85)))
    assert cells[0].rate == pytest.approx(2 * cells[2].rate)  # half of the stuck cells hold the right bit
    assert cells[0].rate > cells[1].rate


def test_a_stop_rule_ends_cells_one_by_one(plan, tmp_path):
    asked = plan(remedies=["bare", "robust-bits:7"], rates=[0.02, 0.1], chips=4, until=0.1, max_chips=9)
    record = nfkit.campaign(asked, tmp_path)
    chips = {(r.cell.remedy, r.cell.rate): r.chips for r in record.cells}
    assert chips[("robust-bits:7", 0.02)] < chips[("bare", 0.1)] == 9
    for result in record.cells:
        assert result.settled == (result.half_width <= 0.1)
        assert result.settled or result.chips == 9
    assert any(not result.settled for result in record.cells)
    assert "cells are not within ± 10 points yet" in str(record)
    assert nfkit.campaign(asked, tmp_path).cells == record.cells  # looked at again, it ends at the same chips


def test_a_stop_rule_of_the_loss_takes_fewer_chips(plan, tmp_path):
    asked = plan(remedies="robust-bits:2", rates=0.05, chips=3, until=0.06, max_chips=30)
    wide = nfkit.campaign(asked, tmp_path).cells[0]
    narrow = nfkit.campaign({**asked, "figure": "loss"}, tmp_path).cells[0]
    assert narrow.settled
    assert narrow.chips < wide.chips
    assert narrow.loss.mean == pytest.approx(narrow.clean - narrow.accuracy.mean)


def test_a_dry_run_measures_the_pilot_only(plan, tmp_path):
    said = []
    record = nfkit.campaign(plan(), tmp_path, only_estimate=True, on_stage=said.append)
    assert record.measured == 6
    assert said[0].startswith("24 measurements, 6 of them done")


KILLED = """
import os, random, signal, sqlite3, sys, json
import nfkit.workflows.campaigning as campaigning

plan, folder, seed, kills = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
plain, steps = sqlite3.connect, random.Random(seed)

def connect(after):
    def counting(*arguments, **more):
        # Called within statements, every few instructions of SQLite's machine: the end comes in the middle of one.
        connection, left = plain(*arguments, **more), [after]
        def count():
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return 0
        connection.set_progress_handler(count, 3)
        return connection
    return counting

ends = []
for _ in range(kills):
    child = os.fork()
    if child == 0:
        sqlite3.connect = connect(steps.randrange(40, 700))
        campaigning.campaign(plan, folder)
        os._exit(0)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
campaigning.campaign(plan, folder)
print(json.dumps(ends))
"""


def test_kill_9_loses_and_doubles_nothing(whole, plan, tmp_path):
    arguments = [json.dumps(plan()), str(tmp_path / "out"), "1", "3"]
    run = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, check=True)
    ends = json.loads(run.stdout)
    assert -9 in ends
    assert set(ends) <= {-9, 0}
    assert truth(tmp_path / "out") == truth(whole[0])


METRICS = """
import numpy as np

def error(outputs, targets):
    return np.abs(outputs - targets).mean(axis=1)

def spread(outputs, targets):
    return float(outputs.std())
"""


@pytest.mark.parametrize(("metric", "engine"), [("error", "joblib"), ("spread", "threads")])
def test_a_metric_of_one_s_own_is_measured_as_score_has_it(plan, tiny, tmp_path, metric, engine):
    """Samples without targets: outputs are compared with those of the base without errors."""
    (tmp_path / "metrics.py").write_text(METRICS)
    np.save(tmp_path / "x.npy", tiny.x)
    judged = plan(
        metric=f"{tmp_path}/metrics.py:{metric}",
        data=str(tmp_path / "x.npy"),
        remedies=["bare", f"neuralfuse:{tiny.fused}"],
    )
    record = nfkit.campaign(judged, tmp_path / "kept", engine=engine, workers=2)
    again = campaign_status(tmp_path / "kept")
    assert [(r.value, r.change) for r in sorted(again.cells, key=str)] == [
        (r.value, r.change) for r in sorted(record.cells, key=str)
    ]
    expected = nfkit.score(tiny.fused, str(tmp_path / "x.npy"), judged["metric"], ber=[0.02, 0.05], chips=list(CHIPS))
    for point in expected.points:
        found = {r.cell.remedy[:4]: r for r in record.cells if r.cell.rate == point.ber}
        assert found["bare"].value.mean == pytest.approx(point.base.mean, rel=1e-9)
        assert found["bare"].value.ci95 == pytest.approx(point.base.ci95, rel=1e-6)
        assert found["bare"].change.mean == pytest.approx(point.base_change.mean, rel=1e-9, abs=1e-12)
        assert found["neur"].value.mean == pytest.approx(point.protected.mean, rel=1e-9)
    assert "without errors" in str(record)
    (chart,) = over_rates(record)
    assert [mark.y for mark in chart.series[0].marks] == [point.base.mean for point in expected.points]
    assert campaign_measurements(tmp_path / "kept").columns[9:13] == ("images", "clean_value", "chip", "value")


@pytest.mark.parametrize("metric", ["judging_lengths.py:error", "judging_lengths:error", "named_elsewhere:error"])
def test_another_metric_of_the_same_name_does_not_mix(plan, tiny, tmp_path, monkeypatch, metric):
    monkeypatch.chdir(tmp_path)
    Path("judging_lengths.py").write_text(METRICS)
    Path("named_elsewhere.py").write_text("from judging_lengths import error")
    np.save("x.npy", tiny.x)
    judged = plan(metric=metric, data="x.npy", remedies=["bare"], rates=[0.05])
    record = nfkit.campaign(judged, "kept", engine="threads", workers=1)
    assert record.metric == metric
    Path("judging_lengths.py").write_text(METRICS.replace("abs", "square"))
    with pytest.raises(OptionError, match=rf"file of {metric} was [0-9a-f]{{12}} and is [0-9a-f]{{12}};"):
        nfkit.campaign(judged, "kept", engine="threads", workers=1)
    for name in ("judging_lengths", "named_elsewhere"):
        sys.modules.pop(name, None)


def test_folders_of_a_metric_are_merged_and_exported_and_those_of_another_are_not(plan, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", tiny.x)
    asked = {"metric": "metrics.py:spread", "data": "x.npy", "remedies": ["bare"], "rates": [0.05], "chips": 2}
    for folder, first, text in (
        ("one", 50_000, METRICS), ("two", 50_002, METRICS), ("other", 50_004, METRICS.replace("std", "var"))
    ):  # fmt: skip
        Path("metrics.py").write_text(text)
        nfkit.campaign(plan(**asked, first_chip=first), folder, engine="threads", workers=1)
    merged = merge_campaigns(["one", "two"], "both")
    assert (merged.metric, merged.measured) == ("metrics.py:spread", 4)
    assert "metrics.py:spread over chips" in str(merged)
    assert export_measurements("both", "all.csv") == 4
    head, *rows = Path("all.csv").read_text().splitlines()
    place = head.split(",").index("value")
    values = [float(row.split(",")[place]) for row in rows]
    assert np.mean(values) == pytest.approx(merged.cells[0].value.mean, rel=1e-12)
    with pytest.raises(OptionError, match=r"file of metrics.py:spread was \w{12} and is \w{12}"):
        merge_campaigns(["one", "other"], "none")


def test_a_metric_that_has_no_file_is_known_by_its_name():
    assert identify("builtins:abs") == {"metric": "builtins:abs"}


@dataclasses.dataclass(frozen=True)
class Spare(Remedy):
    """A remedy that leaves a tenth of the errors, as one of a user might."""

    name = "spare"
    sentence = "spare cells stand in for nine of ten faulty ones"

    def errors(self, errors):
        return dataclasses.replace(errors, rate=0.1 * errors.rate)


def test_a_remedy_may_leave_fewer_errors(plan, tmp_path, monkeypatch):
    monkeypatch.setitem(REMEDIES, "spare", lambda _: Spare())
    both = nfkit.campaign(
        plan(remedies=["bare", "spare"], rates=[0.05]), tmp_path / "both", engine="threads", workers=1
    )
    less = nfkit.campaign(plan(remedies=["bare"], rates=[0.005]), tmp_path / "less", engine="threads", workers=1)
    found = {result.cell.remedy: result for result in both.cells}
    (expected,) = less.cells
    assert (found["spare"].faulty_cells, found["spare"].accuracy) == (expected.faulty_cells, expected.accuracy)
    assert found["bare"].faulty_cells > 5 * found["spare"].faulty_cells > 0
