"""`nfkit.score`: figures of a user's own, computed again by hand."""

import json

import numpy as np
import pytest
from scipy.stats import t as student
from typer.testing import CliRunner

import nfkit
from nfkit.cli.main import app
from nfkit.errors import DataError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.model import save
from nfkit.reports.reading import read_as
from nfkit.reports.scoring import Scored

# A regression: two values of 36 features; no class in sight.
MODEL = """
<ir_version: 8, opset_import: ["" : 18]>
regress (float[N, 36] x) => (float[N, 2] y)
<float s_w = {0.015625}>
{
    w_f = DequantizeLinear (w, s_w)
    y = MatMul (x, w_f)
}
"""
COUNT, CHIPS, RATE = 60, (7, 8, 9), 0.02


@pytest.fixture(scope="module")
def regression(parse):
    """(model, inputs, targets, outputs of weights of codes [36, 2])."""
    random = np.random.default_rng(3)
    model = parse(MODEL, w=random.integers(-90, 91, (36, 2), np.int8))
    x = random.normal(size=(COUNT, 36)).astype(np.float32)

    def outputs(stored):
        return x @ (stored.astype(np.float32) * np.float32(0.015625))

    (site,) = fault_sites(model)
    y = outputs(codes(model, site)) + random.normal(size=(COUNT, 2)).astype(np.float32)
    return model, x, y, outputs, site


def squares(outputs, targets):
    return ((outputs - targets) ** 2).mean(1)


def test_figures_are_those_of_faulty_weights(regression):
    model, x, y, outputs, site = regression
    record = nfkit.score(model, (x, y), squares, ber=[RATE], chips=CHIPS, level="basic")
    stored = codes(model, site)
    clean = squares(outputs(stored), y)
    values = np.stack([squares(outputs(Chip(c).faults(site, BitErrors(RATE)).apply(stored)), y) for c in CHIPS])
    (point,) = record.points
    assert record.clean_base == pytest.approx(clean.mean(), rel=1e-5)
    assert point.base.mean == pytest.approx(values.mean(), rel=1e-4)
    assert point.base.std == pytest.approx(values.mean(1).std(ddof=1), rel=1e-3)
    assert point.base_change.mean == pytest.approx((values - clean).mean(), rel=1e-3)
    assert point.base_change.ci95[0] < point.base_change.mean < point.base_change.ci95[1]
    assert (record.by_sample, record.targets, record.chips) == (True, "data", CHIPS)


def test_one_number_for_all_samples_has_an_interval_over_chips(regression):
    model, x, y, *_ = regression
    whole = nfkit.score(model, (x, y), lambda o, t: float(squares(o, t).mean()), ber=[RATE], chips=CHIPS, level="basic")
    single = nfkit.score(model, (x, y), squares, ber=[RATE], chips=CHIPS, level="basic")
    (point,), (same,) = whole.points, single.points
    assert point.base.mean == pytest.approx(same.base.mean)
    reach = student.ppf(0.975, 2) * point.base.std / np.sqrt(3)
    assert point.base.ci95 == pytest.approx((point.base.mean - reach, point.base.mean + reach))
    assert not whole.by_sample


def test_without_targets_outputs_are_compared_with_those_without_errors(regression, tmp_path):
    model, x, *_ = regression
    np.savez(tmp_path / "only.npz", x=x)
    record = nfkit.score(model, tmp_path / "only.npz", squares, ber=[RATE], chips=CHIPS, level="basic")
    assert record.clean_base == 0
    assert record.points[0].base.mean > 0
    assert record.targets == "base"


def test_the_command_takes_a_function_of_a_file(regression, tmp_path, monkeypatch):
    model, x, y, *_ = regression
    save(model, tmp_path / "m.onnx")
    np.savez(tmp_path / "d.npz", x=x, y=y)
    (tmp_path / "mine.py").write_text("def squares(outputs, targets):\n    return ((outputs - targets) ** 2).mean(1)\n")
    given = [
        "evaluate", "m.onnx", "--data", "d.npz", "--ber", "2%", "--chips", "3", "--first-chip", "50007",
        "--optimization", "basic", "--metric", "mine.py:squares", "--json", "r.json",
    ]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    record = read_as(tmp_path / "r.json", Scored)
    wanted = nfkit.score(model, (x, y), squares, ber=[RATE], chips=range(50007, 50010), level="basic")
    assert record.points == wanted.points
    assert json.loads((tmp_path / "r.json").read_text())["schema"] == "nfkit.score/1"
    refused = CliRunner().invoke(app, [*given, "--bits", "4"])
    assert "--metric" in str(refused.exception)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (lambda o, t: o[:3], "numbers of shape"),
        (lambda o, t: np.full(len(o), np.nan), "gives nan"),
        (lambda o, t: 1 / 0, "ZeroDivisionError"),
        ("nowhere.py:metric", "no such file"),
        ("metric", "names no function"),
    ],
)
def test_a_metric_that_is_none_is_refused(regression, metric, said):
    model, x, y, *_ = regression
    with pytest.raises(DataError, match=said):
        nfkit.score(model, (x, y), metric, ber=[RATE], chips=CHIPS, level="basic")
