"""Recorded figures, measured again: the same where nothing changed, and found out where they were made up."""

import json

import pytest
from msgspec import to_builtins

import nfkit
from nfkit.errors import ModelError
from nfkit.faults import EVALUATION_CHIPS, BitErrors, parse_layout
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.fused import RESULTS_KEY
from nfkit.graph.fusion.seal import seal
from nfkit.measure.bench import Bench
from nfkit.measure.evaluation import measure
from nfkit.model import save
from nfkit.reports.figures import Spread
from nfkit.reports.verification import Remeasured, Verification

RATE, CHIPS = 0.01, 4


@pytest.fixture(scope="module")
def stated(zoo, residual_generator, tmp_path_factory):
    """A protected file that states what was measured on 4 chips, its samples, and that measurement."""
    test = zoo.test.take(150)
    errors, layout = BitErrors(RATE, kind="flip"), parse_layout("array:64x64")
    training = {"config": {"errors": {"rate": 0.02, **errors.to_dict()}, "layout": str(layout)}}
    fused = fuse(residual_generator(1, 28, 28), zoo.model, zoo.spec, {"nfkit.training": json.dumps(training)})
    points = measure(Bench(fused, test, zoo.spec, layout=layout), [errors], EVALUATION_CHIPS[:CHIPS]).points()
    results = [
        {"ber": p.ber, **{part: to_builtins(getattr(p, part)) for part in ("base", "protected")}} for p in points
    ]
    fused.metadata_props[RESULTS_KEY] = json.dumps(results)
    seal(fused)
    return save(fused, tmp_path_factory.mktemp("stated") / "p.nf.onnx"), test, points[0]


def test_the_same_chips_and_samples_give_the_same_figures(stated):
    path, test, point = stated
    found = nfkit.verify(path, data=test, chips=CHIPS)
    assert found.outcome == "proven"
    assert [(f.ber, f.what) for f in found.figures] == [(RATE, "base"), (RATE, "protected")]
    assert found.figures[0].measured.mean == point.base.mean
    assert found.figures[1].measured.mean == point.protected.mean
    assert "4 chips and 150 samples" in str(found)


def test_invented_figures_are_found(stated, tmp_path):
    path, test, _ = stated
    model = nfkit.load_model(path)
    results = json.loads(model.metadata_props[RESULTS_KEY])
    results[0]["protected"] |= {"mean": 0.99, "ci95": [0.985, 0.995]}
    model.metadata_props[RESULTS_KEY] = json.dumps(results)
    seal(model)  # by whoever invented them
    found = nfkit.verify(save(model, tmp_path / "p.nf.onnx"), data=test, chips=CHIPS)
    assert found.outcome == "wrong"
    assert [check.name for check in found.checks if check.outcome == "wrong"] == ["figures"]
    assert "protected at 1 %" in str(found)


def test_files_without_figures_say_so(stated, tmp_path):
    path, test, _ = stated
    model = nfkit.load_model(path)
    del model.metadata_props[RESULTS_KEY]
    seal(model)
    found = nfkit.verify(save(model, tmp_path / "p.nf.onnx"), data=test)
    assert (found.outcome, found.exit_code) == ("open", 3)
    assert "records no figures" in str(found)


@pytest.mark.parametrize(
    ("recorded", "measured", "outcome"),
    [
        (Spread(0.8, ci95=(0.75, 0.85)), Spread(0.84, ci95=(0.6, 0.9)), "proven"),
        (Spread(0.8, ci95=(0.75, 0.85)), Spread(0.87, ci95=(0.83, 0.9)), "open"),
        (Spread(0.8, ci95=(0.75, 0.85)), Spread(0.90, ci95=(0.86, 0.95)), "wrong"),
        (Spread(0.8), Spread(0.8, ci95=(0.7, 0.9)), "open"),
    ],
)
def test_within_the_recorded_interval_or_not(recorded, measured, outcome):
    assert Remeasured(0.01, "base", recorded, measured).outcome == outcome


def test_what_nfkit_did_not_make_is_refused(zoo, tmp_path):
    with pytest.raises(ModelError, match="not made by nfkit"):
        nfkit.verify(zoo.path)
    with pytest.raises(ModelError, match="no file at"):
        nfkit.verify(tmp_path / "absent.onnx")


def test_the_record_reads_again(stated, tmp_path):
    from nfkit.reports.reading import read_as, write

    path, test, _ = stated
    found = nfkit.verify(path, data=test, chips=CHIPS)
    write(found, tmp_path / "v.json")
    assert read_as(tmp_path / "v.json", Verification) == found
