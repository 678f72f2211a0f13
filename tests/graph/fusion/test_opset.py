"""A generator says the same at another version of the operators, or that it cannot."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.errors import UnsupportedError
from nfkit.graph.fusion.fuse import fuse, transfer
from nfkit.graph.fusion.opset import at_opset
from nfkit.graph.fusion.split import evidence_model, split
from nfkit.graph.input.discovery import find_input

X = np.random.default_rng(0).uniform(-1, 1, (3, 2, 8, 8)).astype(np.float32)

# Everything that generators are made of, once.
REDUCED = {13: "m = ReduceMax <axes = [1], keepdims = 1> (f)", 18: "m = ReduceMax <keepdims = 1> (f, one)"}
PARTS = """
<ir_version: 7, opset_import: ["" : OPSET]>
parts (float[N, 2, 8, 8] image) => (float[N, 5] y)
<float s = {0.0625}, int8 z = {3}, int64[1] one = {1}, int64[2] flat = {-1, 5}, float[4] scales = {1, 1, 2, 2}>
{
    w_f = DequantizeLinear (w, s)
    q = QuantizeLinear (image, s, z)
    i = DequantizeLinear (q, s, z)
    c = Conv <pads = [1, 1, 1, 1]> (i, w_f)
    r = Relu (c)
    p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
    a = AveragePool <kernel_shape = [4, 4]> (p)
    large = Resize <mode = "nearest"> (a, , scales)
    g = GlobalAveragePool (large)
    f = Reshape (g, flat)
    REDUCED
    d = Sub (f, m)
    e = Exp (d)
    t = ReduceSum <keepdims = 1> (e, one)
    y = Div (e, t)
}
"""


@pytest.fixture(scope="module")
def parts(parse):
    def build(opset):
        text = PARTS.replace("REDUCED", REDUCED[18 if opset >= 18 else 13]).replace("OPSET", str(opset))
        return parse(text, w=np.random.default_rng(1).integers(-20, 20, (5, 2, 3, 3), np.int8))

    return build


@pytest.mark.parametrize("written", [13, 17, 18, 20, 21])
@pytest.mark.parametrize("wanted", [13, 17, 18, 19, 20, 21])
def test_it_says_the_same(parts, execute, written, wanted):
    model = parts(written)
    before = ir.to_proto(model).SerializeToString()
    moved = at_opset(model, wanted)
    assert moved.opset_imports[""] == wanted
    onnx.checker.check_model(ir.to_proto(moved), full_check=True)
    assert np.array_equal(execute(moved, {"image": X})[0], execute(model, {"image": X})[0])
    assert ir.to_proto(model).SerializeToString() == before
    assert (moved is model) == (written == wanted)


def test_idle_attributes_go_and_others_are_named(parse):
    text = """
    <ir_version: 8, opset_import: ["" : 19]>
    g (float[N, 2, 8, 8] image) => (float[N, 2, 4, 4] y)
    { y = AveragePool <kernel_shape = [2, 2], strides = [2, 2], dilations = [DILATION, DILATION]> (image) }
    """
    with pytest.raises(UnsupportedError, match=r"AveragePool\) has no attribute dilations = .* at opset 18"):
        at_opset(parse(text.replace("DILATION", "2").replace("4, 4", "3, 3")), 18)


def test_operators_that_came_later_and_versions_that_are_too_low(parse, parts):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 20]>
        g (float[N, 4] image) => (float[N, 4] y) { [act] y = Gelu (image) }
        """
    )
    with pytest.raises(UnsupportedError, match=r"node 'act' of the generator \(Gelu\) does not exist at opset 18"):
        at_opset(model, 18)
    with pytest.raises(UnsupportedError, match="the least is 13: lift the base"):
        at_opset(parts(18), 12)


@pytest.mark.parametrize(("theirs", "ours"), [(18, 20), (20, 18), (13, 21)])
def test_a_generator_moves_between_operator_sets(convnet, looker, images, execute, theirs, ours):
    first, second = convnet(theirs), convnet(ours)
    fused = fuse(looker(theirs, True), first, find_input(first), {})
    moved = transfer(fused, second, find_input(second))
    assert moved.opset_imports[""] == ours
    for part in (evidence_model, lambda model: split(model)[0]):
        assert np.array_equal(execute(part(moved), {"image": images})[0], execute(part(fused), {"image": images})[0])
