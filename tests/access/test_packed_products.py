"""Products of narrow weights, and of weights from outside a body, which ONNX Runtime's packing breaks."""

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.access import packed_products
from nfkit.access.runtime import Runner
from nfkit.access.swapping import Swapper
from nfkit.faults import BitErrors, Chip
from nfkit.graph.memory.sites import codes, fault_sites

TWO_BITS = """
<ir_version: 13, opset_import: ["" : 25]>
narrow (float[N, 7] x) => (float[N, {columns}] y) <float s = {{0.5}}> {{
    f = DequantizeLinear (w, s)
    y = MatMul (x, f)
}}
"""
FROM_OUTSIDE = """
<ir_version: 10, opset_import: ["" : 21]>
branching (float[N, 12] x) => (float[N, 4] y) <float s = {0.02}, float zero = {0}> {
    m = ReduceMean <keepdims = 0> (x)
    c = Greater (m, zero)
    y = If (c) <
        then_branch = t () => (float[N, 4] o) { f = DequantizeLinear (w, s)  o = MatMul (x, f) },
        else_branch = e () => (float[N, 4] p) { f = DequantizeLinear (w, s)  q = MatMul (x, f)  p = Neg (q) }>
}
"""


def parse(text, **arrays):
    proto = onnx.parser.parse_model(text)
    for name, array in arrays.items():
        proto.graph.initializer.append(ir.to_proto(ir.tensor(array, name=name)))
    return ir.from_proto(proto)


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 10])
@pytest.mark.parametrize("dtype", [ml_dtypes.int2, ml_dtypes.uint2])
@pytest.mark.parametrize("level", ["basic", "extended", "all"])
def test_weights_of_two_bits_are_read_where_they_are(columns, dtype, level):
    info, draw = ml_dtypes.iinfo(dtype), np.random.default_rng(0)
    w = draw.integers(info.min, info.max + 1, (7, columns)).astype(dtype)
    x = draw.uniform(-1, 1, (20, 7)).astype(np.float32)
    expected = x @ (0.5 * w.astype(np.float32))
    model = parse(TWO_BITS.format(columns=columns), w=w)
    rounding = 0.02 * np.abs(expected).max()  # activations are rounded where products are packed
    np.testing.assert_allclose(Runner(model, level=level)(x), expected, atol=rounding)
    (site,) = fault_sites(model)
    faulty = Chip(50_000).faults(site, BitErrors(0.3, "flip")).apply(codes(model, site))
    opened = Swapper(model, [site.name], level=level).open({site.name: faulty})
    np.testing.assert_allclose(opened(x), x @ (0.5 * faulty.astype(np.float32)), atol=rounding)


def test_other_widths_and_whole_bytes_are_packed_as_ever():
    whole = parse(TWO_BITS.replace("7", "8").format(columns=4), w=np.zeros((8, 4), ml_dtypes.int2))
    wider = parse(TWO_BITS.format(columns=3), w=np.zeros((7, 3), ml_dtypes.int4))
    assert not packed_products.are_broken(whole)
    assert not packed_products.are_broken(wider)


@pytest.mark.parametrize("level", ["basic", "extended", "all"])
def test_weights_that_a_body_takes_from_outside_run(level):
    draw = np.random.default_rng(0)
    w = draw.integers(-127, 128, (12, 4), np.int8)
    x = draw.uniform(-1, 1, (6, 12)).astype(np.float32)
    model = parse(FROM_OUTSIDE, w=w)
    sign = 1 if x.mean() > 0 else -1
    np.testing.assert_allclose(Runner(model, level=level)(x), sign * (x @ (0.02 * w)), rtol=1e-5, atol=1e-5)
    faulty = np.bitwise_xor(w, 64)
    opened = Swapper(model, ["w"], level=level).open({"w": faulty})
    np.testing.assert_allclose(opened(x), sign * (x @ (0.02 * faulty)), rtol=1e-5, atol=1e-5)
