"""Modes built from the trust that was fitted, measured, recorded, and taken out again."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import nfkit
from nfkit.access.runtime import Runner
from nfkit.cli.main import app
from nfkit.errors import ModelError, OptionError
from nfkit.faults import BitErrors
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.dial import record_fits
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.modes.record import read_modes
from nfkit.graph.fusion.scores import find_form
from nfkit.graph.fusion.trust import Trust
from nfkit.model import load, save, sha256

TRUSTS = {0.0: Trust(1.0, 0.0, 0.1, 1.5), 0.005: Trust(0.8, 0.2, 0.2, 1.5), 0.01: Trust(0.7, 0.3, 0.2, 1.5)}
LOOKS = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 1, 28, 28] image) => (float[N, 10] evidence)
<float s = {0.015625}>
{
    flat = Flatten (image)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (flat, k_f)
}
"""


@pytest.fixture(scope="module")
def protected(zoo, parse, residual_generator, tmp_path_factory):
    """protected(both): a protected file, as `protect` leaves it."""
    folder = tmp_path_factory.mktemp("protected")
    training = {"config": {"errors": {"rate": 0.01, **BitErrors(0.01).to_dict()}, "layout": "iid"}}
    metadata = {"nfkit.training": json.dumps(training)}

    def build(both):
        if not both:
            return save(fuse(residual_generator(1, 28, 28), zoo.model, zoo.spec, metadata), folder / "published.onnx")
        generator = parse(LOOKS, k=np.random.default_rng(4).integers(-9, 10, (784, 10), np.int8))
        form = find_form(zoo.model, Runner(zoo.model)(zoo.spec.encode(zoo.test.x[:32])))
        fused = fuse(generator, zoo.model, zoo.spec, metadata, Answer(form, TRUSTS[0.01]))
        record_fits(fused, TRUSTS)
        return save(fused, folder / "both.onnx")

    return build


@pytest.mark.parametrize("both", [True, False])
def test_levels_are_what_was_fitted_and_measured(protected, zoo, both, tmp_path):
    test = zoo.test.take(60)
    made = nfkit.build_modes(protected(both), tmp_path / "m.onnx", test, chips=2)
    assert made.default == "low"
    names = ["nominal", "0.5%", "low"] if both else ["nominal", "low"]
    assert [mode.name for mode in made.modes] == names
    modes = read_modes(load(tmp_path / "m.onnx"))
    assert [mode.name for mode in modes] == names
    if both:
        assert [mode.trust for mode in modes] == [None, TRUSTS[0.005], TRUSTS[0.01]]
    told = nfkit.evaluate(protected(both), test, ber=0.01, chips=2, resume=False)
    low = made.modes[-1]
    assert low.accuracy.mean == told.points[0].protected.mean
    assert modes[-1].facts["accuracy"]["mean"] == low.accuracy.mean
    assert low.energy == pytest.approx(1 - told.points[0].saving.by_accesses)
    assert (made.modes[0].clean, made.modes[0].energy) == (told.clean_base, 1.0)
    assert made.sha256 == sha256(tmp_path / "m.onnx")
    assert nfkit.verify(tmp_path / "m.onnx", base=zoo.path).outcome == "proven"


def test_the_commands(protected, zoo, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)

    np.savez(tmp_path / "d.npz", x=zoo.test.x[:60], y=zoo.test.y[:60])
    path, out = protected(True), tmp_path / "m.onnx"
    made = run("modes", path, "-o", out, "--data", tmp_path / "d.npz", "--samples", 60, "--chips", 2, "--ber", "1%")
    assert made.exit_code == 0
    assert "2 modes; without a host's choice it is in 'low'" in made.stdout
    assert run("tune", out, "--mode", "nominal", "-o", tmp_path / "n.onnx").exit_code == 0
    x = zoo.spec.encode(zoo.test.x[:20])
    assert Runner(load(tmp_path / "n.onnx"))(x).tobytes() == Runner(zoo.model)(x).tobytes()
    assert run("modes", out, "--remove", "-o", tmp_path / "p.onnx").exit_code == 0
    assert Runner(load(tmp_path / "p.onnx"))(x).tobytes() == Runner(load(path))(x).tobytes()
    with pytest.raises(ModelError, match="each with its own numbers"):
        run("tune", out, "--trust", "0.5", "-o", tmp_path / "t.onnx")
    with pytest.raises(OptionError, match="no trust was fitted for a bit error rate of"):
        nfkit.build_modes(path, tmp_path / "x.onnx", zoo.test.take(60), ber=[0.03])
    assert not (tmp_path / "x.onnx").exists()
