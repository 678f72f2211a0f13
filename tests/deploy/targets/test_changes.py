"""What is changed for a target computes the same in ONNX Runtime."""

import dataclasses
import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.access.runtime import Runner
from nfkit.deploy.targets.changes import TARGET_KEY, adapt
from nfkit.deploy.targets.known import TARGETS
from nfkit.errors import UnsupportedError

QUANTISED_SOFTMAX = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[N, 6] x) => (float[N, 3] y)
<float s = {0.02}, int8 z = {0}, float sw = {0.01}, float so = {0.00390625}, int8 zo = {-128}>
{
    w_f = DequantizeLinear (w, sw)
    a = MatMul (x, w_f)
    q = QuantizeLinear (a, s, z)
    f = DequantizeLinear (q, s, z)
    p = Softmax (f)
    pq = QuantizeLinear (p, so, zo)
    y = DequantizeLinear (pq, so, zo)
}
"""


@pytest.fixture(scope="module")
def model(parse):
    return parse(QUANTISED_SOFTMAX, w=np.random.default_rng(0).integers(-127, 128, (6, 3), np.int8))


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(0, 1, (40, 6)).astype(np.float32)


def test_tract_s_form(model, x):
    parts, found = adapt(model, TARGETS["tract"])
    (made,) = parts.values()
    assert [node.op_type for node in made.graph if node.op_type == "Softmax"] == []
    assert [list(value.shape) for value in (*made.graph.inputs, *made.graph.outputs)] == [[1, 6], [1, 3]]
    assert json.loads(made.metadata_props[TARGET_KEY]) == {"name": "tract", "changes": [str(f) for f in found]}
    onnx.checker.check_model(ir.to_proto(made), full_check=True)
    assert [value.name for value in made.graph.outputs] == ["y"]
    assert np.array_equal(Runner(made)(x), Runner(model)(x))
    assert any(node.op_type == "Softmax" for node in model.graph)  # the model itself is as it was


@pytest.mark.parametrize(("target", "opset", "version"), [("reference", None, 21), ("openvino", 13, 13)])
def test_another_version_of_the_operators(convnet, target, opset, version):
    base = convnet(18)
    base.metadata_props["nfkit.seal"] = "{}"  # of another file than the one that is made
    (made,), _ = (list(entry.values()) if isinstance(entry, dict) else entry for entry in adapt(
        base, TARGETS[target], opset=opset
    ))  # fmt: skip
    assert made.opset_imports[""] == version
    assert "nfkit.seal" not in made.metadata_props
    image = np.random.default_rng(0).uniform(-1, 1, (8, 2, 4, 4)).astype(np.float32)
    assert np.array_equal(Runner(made)(image), Runner(base)(image))


def test_what_is_not_taken_is_refused_by_node(parse):
    text = QUANTISED_SOFTMAX.replace('"" : 18', '"" : 21').replace("ir_version: 8", "ir_version: 10")
    packed = parse(text, w=np.zeros((6, 3), np.int8))
    packed.graph.initializers["w"].const_value = ir.tensor(
        np.zeros((6, 3), ir.DataType.INT4.numpy()), dtype=ir.DataType.INT4, name="w"
    )
    with pytest.raises(UnsupportedError, match=r"tract does not take the model: tensor 'w': stored as int4; quantise"):
        adapt(packed, TARGETS["tract"])


BRANCH = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[N, 6] x, bool c) => (float[N, 3] y)
<float sw = {0.01}>
{
    w_f = DequantizeLinear (w, sw)
    [choice] y = If (c) <then_branch = a () => (float[N, 3] o) { o = MatMul (x, w_f) },
        else_branch = b () => (float[N, 3] p) { n = Neg (x)
            p = MatMul (n, w_f) }>
}
"""


def test_someone_s_branch_has_no_two_files(parse):
    model = parse(BRANCH, w=np.zeros((6, 3), np.int8))
    straight = dataclasses.replace(TARGETS["openvino"], branches=False)
    with pytest.raises(UnsupportedError, match=r"takes no branches, and node 'choice' is none that nfkit put there"):
        adapt(model, straight)
    assert list(adapt(model, TARGETS["openvino"])[0]) == [""]
