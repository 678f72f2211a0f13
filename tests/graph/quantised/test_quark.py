"""AMD Quark's quantisers become standard operators, which compute what AMD's documentation defines."""

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.access.runtime import Runner
from nfkit.errors import UnsupportedError
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.graph.quantised.fold import fold

# Weights that are stored, weights that are quantised inside, and an activation.
GRAPH = """
<ir_version: 8, opset_import: ["" : {opset}, "{domain}" : 1]>
g (float[N, 4] x) => (float[N, 3] y) <float s_x = {{0.25}}>
{{
    [into] q = {domain}.{prefix}QuantizeLinear (x, s_x, z_x)
    d = {domain}.{prefix}DequantizeLinear (q, s_x, z_x)
    [stored] f = {domain}.{prefix}DequantizeLinear <axis = 1> (w, s, z)
    h = MatMul (d, f)
    v_q = {domain}.{prefix}QuantizeLinear <axis = 0> (v, s, z)
    v_f = {domain}.{prefix}DequantizeLinear <axis = 0> (v_q, s, z)
    y = MatMul (h, v_f)
}}
"""
SCALE = np.array([0.5, 0.25, 0.125], np.float32)
V = np.array([[0.25, -0.75, 99.0], [0.125, -1e4, 0.4], [0.0625, 0.1875, -0.3125]], np.float32)
MAKERS = [("com.amd.quark", "Extended"), ("com.vai.quantize", "Vitis")]


def build(dtype, opset, maker=MAKERS[0], zero=3):
    domain, prefix = maker
    proto = onnx.parser.parse_model(GRAPH.format(opset=opset, domain=domain, prefix=prefix))
    w = np.random.default_rng(3).integers(-100, 100, (4, 3)) if np.dtype(dtype).kind == "i" else np.full((4, 3), 7)
    arrays = {"w": w.astype(dtype), "z": np.full(3, zero, dtype), "z_x": np.array(zero, dtype), "s": SCALE, "v": V}
    proto.graph.initializer.extend(ir.to_proto(ir.tensor(array, name=name)) for name, array in arrays.items())
    return ir.from_proto(proto), arrays


def quantised(x, scale, zero, dtype):
    """Codes as AMD defines them, one number at a time; Python's round is half to even."""
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    pairs = zip(x.ravel(), np.broadcast_to(scale, x.shape).ravel(), strict=True)
    found = [min(max(round(float(a) / float(b)) + zero, least), most) for a, b in pairs]
    return np.array(found, np.int64).reshape(x.shape)


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker[0])
@pytest.mark.parametrize(
    ("dtype", "opset", "domain"),
    [
        ("int8", 13, ""),
        ("uint8", 21, ""),
        ("int16", 21, ""),
        ("int16", 17, "com.microsoft"),
        ("int8", 12, "com.microsoft"),
    ],
)
def test_integers_get_the_standard_operators(maker, dtype, opset, domain):
    model, arrays = build(dtype, opset, maker)
    folded = fold(model)
    onnx.checker.check_model(ir.to_proto(folded))
    assert {n.domain for n in folded.graph if "quantize" in n.op_type.lower()} == {domain}
    assert set(folded.opset_imports) == {"", domain}
    sites = {site.name: site for site in fault_sites(folded)}
    assert set(sites) == {"w", "v"}
    assert np.array_equal(codes(folded, sites["w"]), arrays["w"])
    v = quantised(V, SCALE[:, None], 3, dtype)
    assert np.array_equal(codes(folded, sites["v"]), v)
    x = np.array([[0.125, 0.375, -0.625, 2.0], [-0.125, 1e3, 0.1, -0.3]], np.float32)  # halves of a step among them
    d = (quantised(x, 0.25, 3, dtype) - 3) * 0.25
    expected = d @ ((arrays["w"].astype(np.float64) - 3) * SCALE) @ ((v - 3) * SCALE[:, None].astype(np.float64))
    np.testing.assert_allclose(Runner(folded, level="basic")(x), expected, rtol=1e-6)
    assert model.graph.node("stored").op_type.endswith("DequantizeLinear")  # the caller's model is as it was
    assert model.graph.node("stored").domain == maker[0]


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.int32])
def test_what_holds_no_integers_of_8_or_16_bits_is_refused_by_node(dtype):
    model, _ = build(dtype, 21, zero=0)
    with pytest.raises(UnsupportedError, match=r"'into' \(ExtendedQuantizeLinear\).*quantise to int8 or uint8"):
        fold(model)


def test_other_operators_of_theirs_are_refused_by_node():
    model, _ = build("int8", 21)
    model.graph.node("into").op_type = "BFPQuantizeDequantize"
    with pytest.raises(UnsupportedError, match=r"'into' \(BFPQuantizeDequantize\): it is no quantiser of integers"):
        fold(model)
