"""Padding as long as a window is spelt out for the runtime that computes it wrongly, and only there."""

import os
import subprocess
import sys

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.access.runtime import Runner
from nfkit.deploy.targets import runtimes
from nfkit.deploy.targets.changes import adapt
from nfkit.deploy.targets.findings import findings
from nfkit.deploy.targets.known import TARGETS
from nfkit.graph.fusion.padding import windows_in_padding
from nfkit.model import save

HEAD = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[N, 1, 6, 6] x) => (float[N, O, H, W] y)
<float s = {0.0078125}, uint8 z = {128}, float sw = {0.01}, int8 zw = {0}, float so = {0.05}, uint8 zo = {100}>
"""
QDQ = (
    HEAD
    + """{
    q = QuantizeLinear (x, s, z)
    f = DequantizeLinear (q, s, z)
    wf = DequantizeLinear (w, sw, zw)
    [conv] c = Conv <pads = [1, 1, 4, 3]> (f, wf)
    cq = QuantizeLinear (c, so, zo)
    y = DequantizeLinear (cq, so, zo)
}"""
)
SIGNED = QDQ.replace("uint8 z = {128}", "int8 z = {0}").replace("uint8 zo = {100}", "int8 zo = {-28}")
CODES = (
    HEAD
    + """{
    q = QuantizeLinear (x, s, z)
    [conv] cq = QLinearConv <pads = [4, 1, 1, 1], kernel_shape = [3, 3]> (q, s, z, w, sw, zw, so, zo)
    y = DequantizeLinear (cq, so, zo)
}"""
)
DYNAMIC = (
    HEAD
    + """{
    q, sq, zq = DynamicQuantizeLinear (x)
    [conv] c = ConvInteger <pads = [1, 5, 1, 5], dilations = [1, 2]> (q, w, zq, zw)
    y = Cast <to = 1> (c)
}"""
)
SHARED = QDQ.replace("cq = Q", "other = Conv <pads = [1, 1, 1, 1]> (f, wf) least = ReduceMin <keepdims = 0> (other) "
                     "d = Add (c, least) cq = Q").replace("(c, so", "(d, so")  # fmt: skip
INSIDE = (
    HEAD
    + """{
    q = QuantizeLinear (x, s, z)
    f = DequantizeLinear (q, s, z)
    wf = DequantizeLinear (w, sw, zw)
    least = ReduceMin <keepdims = 0> (x)
    some = Greater (least, so)
    y = If (some) <
        then_branch = a () => (float[N, 8, H, W] t) { t = Conv <pads = [2, 2, 2, 2]> (f, wf) },
        else_branch = b () => (float[N, 8, H, W] e) { [conv] e = Conv <pads = [3, 3, 1, 1]> (f, wf) }
    >
}"""
)
OPENVINO = TARGETS["openvino"]


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).uniform(-1, 1, (6, 1, 6, 6)).astype(np.float32)


def build(parse, text):
    return parse(text, w=np.random.default_rng(0).integers(-127, 128, (8, 1, 3, 3), np.int8))


@pytest.mark.parametrize("text", [QDQ, SIGNED, CODES, DYNAMIC, SHARED, INSIDE])
def test_a_pad_of_its_own_computes_the_same(parse, x, text):
    model = build(parse, text)
    found = {finding.kind: finding for finding in findings(model, OPENVINO)}
    assert found["padding"].where == "node 'conv'"
    assert "padding" not in {finding.kind for finding in findings(model, TARGETS["tract"])}
    (made,) = adapt(model, OPENVINO)[0].values()
    onnx.checker.check_model(ir.to_proto(made), full_check=True)
    assert windows_in_padding(made) == []
    assert sum(node.op_type == "Pad" for node in made.graph.all_nodes()) == 1
    # Operator by operator: fused, a tie may be rounded to either side.
    assert np.array_equal(Runner(made, level="basic")(x), Runner(model, level="basic")(x))
    assert not any(node.op_type == "Pad" for node in model.graph.all_nodes())  # the model itself is as it was


@pytest.mark.parametrize(
    "text",
    [
        QDQ.replace("uint8 z = {128}", "uint8 z = {0}"),  # whose code of zero is 0
        QDQ.replace("[1, 1, 4, 3]", "[2, 2, 2, 2]"),  # every window sees a sample
        QDQ.replace("(f, wf)", "(x, wf)"),  # which computes in numbers
        DYNAMIC.replace("[1, 5, 1, 5]", "[1, 4, 1, 4]"),
    ],
)
def test_what_is_computed_rightly_is_left_alone(parse, text):
    assert findings(build(parse, text), OPENVINO) == ()


def test_before_pad_took_codes(parse):
    model = build(parse, QDQ.replace('"" : 18', '"" : 12'))
    (finding,) = findings(model, OPENVINO)
    assert (finding.kind, finding.refused) == ("padding", True)
    assert "--opset" in finding.way_out


def test_openvino_on_memory_that_holds_something(parse, x, tmp_path):
    """In a process whose fresh memory is filled, so that what is read unwritten shows each time (glibc)."""
    if (lacks := runtimes.missing(OPENVINO)) is not None:
        pytest.skip(lacks)
    model = build(parse, QDQ)
    (made,) = adapt(model, OPENVINO)[0].values()
    path, answers = save(made, tmp_path / "made.onnx"), tmp_path / "answers.npy"
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np; from pathlib import Path; from nfkit.deploy.targets import known, runtimes; "
        "y = runtimes.run(known.TARGETS['openvino'], Path(sys.argv[1]), {'x': np.load(sys.argv[2])}); "
        "np.save(sys.argv[3], y[0])"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "x.npy"), str(answers)]
    subprocess.run(command, check=True, env={**os.environ, "MALLOC_PERTURB_": "85"})
    assert np.abs(np.load(answers) - Runner(model, exact=True)(x)).max() < 0.051  # a step of rounding at most
