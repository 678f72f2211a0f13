"""Commands that count faults say how much of the model's weights those reach, on screen and in the record."""

import json

import numpy as np
import pytest

from nfkit.model import load, save

HALF = """
<ir_version: 8, opset_import: ["" : 18]>
half (float[N, 4] x) => (float[N, 3] y) <float s = {0.5}>
{ h = MatMul (x, w)  v_f = DequantizeLinear (v, s)  y = MatMul (h, v_f) }
"""
SENTENCE = "faults reach 18 of 42 weights (42.9 %), left out: 'w' (24, floats: not stored as integers)"


@pytest.fixture(scope="module")
def half(parse, tmp_path_factory):
    """A file with 24 floating weights and 18 of int8, and data for it."""
    folder, random = tmp_path_factory.mktemp("half"), np.random.default_rng(0)
    arrays = {"w": random.normal(size=(4, 6)).astype(np.float32), "v": random.integers(-99, 99, (6, 3), np.int8)}
    path = save(parse(HALF, **arrays), folder / "half.onnx")
    x = random.uniform(-1, 1, (60, 4)).astype(np.float32)
    np.savez(folder / "data.npz", x_test=x, y_test=np.arange(60) % 3)
    return path, folder / "data.npz"


def commands(half, folder):
    model, data = half
    yield "inspect", model
    yield "energy", model
    yield "inject", model, "-o", folder / "faulty.onnx", "--ber", "0.05", "--force"
    yield "evaluate", model, "--data", data, "--ber", "0.05", "--chips", "2", "--range", "-1", "1"


@pytest.mark.parametrize("index", range(4), ids=["inspect", "energy", "inject", "evaluate"])
def test_the_sentence_is_on_screen_and_in_the_record(invoke, half, tmp_path, index):
    arguments = list(commands(half, tmp_path))[index]
    shown = " ".join(invoke(*arguments).output.split())
    assert SENTENCE in shown
    record = json.loads(invoke(*arguments, "--json", "-").stdout)
    assert record["coverage"] == {
        "sentence": SENTENCE,
        "reached": 18,
        "weights": 42,
        "share": 18 / 42,
        "left_out": [{"name": "w", "count": 24, "reason": "floats: not stored as integers"}],
    }


def test_scales_that_are_no_use_are_named(invoke, parse, tmp_path):
    odd = HALF.replace("float s = {0.5}", "float s = {0.0}")
    path = save(parse(odd, w=np.eye(4, 6, dtype=np.float32), v=np.ones((6, 3), np.int8)), tmp_path / "odd.onnx")
    for arguments in (["inspect", path], ["inject", path, "-o", tmp_path / "o.onnx", "--ber", "0.1"]):
        assert "scale 's' of node 'DequantizeLinear' is 0 throughout" in invoke(*arguments).stdout


def test_the_long_name_of_the_standard_domain_is_the_empty_one(invoke, half, tmp_path):
    import onnx

    proto = onnx.load(half[0])
    proto.opset_import[0].domain = "ai.onnx"
    for node in proto.graph.node:
        node.domain = "ai.onnx"
    onnx.save(proto, tmp_path / "long.onnx")
    assert dict(load(tmp_path / "long.onnx").opset_imports) == {"": 18}
    for index in range(4):
        arguments, own = (
            list(commands((path, half[1]), tmp_path))[index] for path in (tmp_path / "long.onnx", half[0])
        )
        long, short = (json.loads(invoke(*a, "--json", "-").stdout) for a in (arguments, own))
        assert long["coverage"] == short["coverage"]
    long, short = (
        json.loads(invoke("inject", path, "-o", tmp_path / "n.onnx", "--ber", "0.1", "--force", "--json", "-").stdout)
        for path in (tmp_path / "long.onnx", half[0])
    )
    assert long == short  # mode node, which needs the bitwise operators of opset 18
