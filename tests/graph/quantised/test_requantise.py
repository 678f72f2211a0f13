"""Fewer bits for the weights of a quantised model: exact codes, scales that follow, nothing else changed."""

from fractions import Fraction

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.errors import ModelError, OptionError, UnsupportedError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import inject
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.bits import recorded_bits
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.graph.quantised.requantise import requantise, requantise_codes

# One convolution and one product, each between quantised activations, as integer kernels want them.
QDQ = """
<ir_version: 8, opset_import: ["" : 18]>
net (uint8[N, 2, 5, 5] image) => (uint8[N, 3, 5, 5] out)
<float s_in = {0.02}, uint8 z_in = {7}, float[3] s_w = {0.01, 0.02, 0.03}, int8[3] z_w = {0, 0, 0},
 float[3] s_b = {0.0002, 0.0004, 0.0006}, int32[3] b = {1000, -2000, 3000}, float s_out = {0.05}, uint8 z_out = {100}>
{
    image_f = DequantizeLinear (image, s_in, z_in)
    w_f = DequantizeLinear <axis = 0> (w, s_w, z_w)
    b_f = DequantizeLinear <axis = 0> (b, s_b)
    c = Conv <pads = [1, 1, 1, 1]> (image_f, w_f, b_f)
    out = QuantizeLinear (c, s_out, z_out)
}
"""
QOPERATOR = """
<ir_version: 8, opset_import: ["" : 18]>
net (uint8[N, 2, 5, 5] image) => (uint8[N, 3, 5, 5] out)
<float s_in = {0.02}, uint8 z_in = {7}, float[3] s_w = {0.01, 0.02, 0.03}, int8[3] z_w = {0, 0, 0},
 int32[3] b = {1000, -2000, 3000}, float s_out = {0.05}, uint8 z_out = {100}>
{ out = QLinearConv <pads = [1, 1, 1, 1]> (image, s_in, z_in, w, s_w, z_w, s_out, z_out, b) }
"""
SHARED = """
<ir_version: 8, opset_import: ["" : 18]>
net (float[N, 2] x) => (float[N, 2] y)
<float s = {0.5}, uint8 z = {128}>
{
    v_f = DequantizeLinear (v, s, z)
    w_f = DequantizeLinear (w, s, z)
    h = MatMul (x, v_f)
    y = MatMul (h, w_f)
}
"""


def array(model, name):
    return model.graph.initializers[name].const_value.numpy()


def weights():
    return np.random.default_rng(3).integers(-127, 128, (3, 2, 3, 3), np.int8)


@pytest.fixture
def fused(convnet, residual_generator):
    base = convnet()
    return fuse(residual_generator(2, 4, 4), base, find_input(base), {})


# --- codes ---


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("reach", [3, 100, 127])
def test_codes_are_the_rounded_quotients(bits, reach):
    stored, most = np.arange(-reach, reach + 1), 2 ** (bits - 1) - 1
    new, growth = requantise_codes(stored, bits, None)
    if reach <= most:
        assert growth == 1
        np.testing.assert_array_equal(new, stored)
    else:
        assert growth == reach / most
        assert new.tolist() == [round(Fraction(int(c) * most, reach)) for c in stored]  # half to even
        assert (new.min(), new.max()) == (-most, most)


def test_every_channel_has_its_own_range():
    stored = np.array([[127, -64, 1], [2, -1, 0], [-128, 5, 0], [0, 0, 0]])
    new, growth = requantise_codes(stored, 3, 0)
    assert growth.tolist() == [127 / 3, 1, 128 / 3, 1]
    assert new.tolist() == [[3, -2, 0], [2, -1, 0], [-3, 0, 0], [0, 0, 0]]
    new, growth = requantise_codes(stored.T, 3, 1)
    assert growth.tolist() == [127 / 3, 1, 128 / 3, 1]
    assert new.T.tolist() == [[3, -2, 0], [2, -1, 0], [-3, 0, 0], [0, 0, 0]]


# --- models ---


def test_as_many_bits_as_stored_change_nothing(convnet, serialised):
    assert serialised(requantise(convnet(), 8)) == serialised(convnet())


@pytest.mark.parametrize("bits", range(2, 8))
def test_codes_scales_and_biases_in_a_file(parse, bits):
    before = parse(QDQ, w=weights())
    after = requantise(before, bits)
    most = 2 ** (bits - 1) - 1
    growth = np.abs(weights().astype(int)).max(axis=(1, 2, 3)) / most
    expected = np.rint(weights() / growth.reshape(-1, 1, 1, 1))
    assert array(after, "w").dtype == np.int8
    np.testing.assert_array_equal(array(after, "w"), expected)
    np.testing.assert_array_equal(array(after, "s_w"), (array(before, "s_w") * growth).astype(np.float32))
    np.testing.assert_array_equal(array(after, "s_b"), (array(before, "s_b") * growth).astype(np.float32))
    np.testing.assert_array_equal(array(after, "b"), np.rint(array(before, "b") / growth))
    assert recorded_bits(after) == {"w": bits}
    assert [site.bits for site in fault_sites(after)] == [bits]
    same = [name for name in before.graph.initializers if name not in ("w", "b", "s_w", "s_b")]
    assert all(np.array_equal(array(before, name), array(after, name)) for name in same)
    assert [node.op_type for node in after.graph] == [node.op_type for node in before.graph]


def test_integer_kernels_add_the_bias_in_steps_of_the_new_scale(parse, execute):
    """QLinearConv has no scale for its bias: only with the rounded codes do the two forms agree."""
    image = np.random.default_rng(4).integers(0, 256, (6, 2, 5, 5), np.uint8)
    qdq, qop = (requantise(parse(text, w=weights()), 4) for text in (QDQ, QOPERATOR))
    assert recorded_bits(qop) == {"w": 4}
    one, other = (execute(model, {"image": image})[0].astype(int) for model in (qdq, qop))
    assert np.ptp(one) > 100
    # Float and integer kernels round sums on the edge between two codes differently.
    assert np.abs(one - other).max() <= 1
    assert (one != other).mean() < 0.01


def test_unsigned_codes_keep_zero_in_the_middle(convnet):
    before, after = convnet(), requantise(convnet(), 3)
    centred = array(before, "d").astype(int) - 128
    growth = np.abs(centred).max() / 3
    np.testing.assert_array_equal(array(after, "d"), np.rint(centred / growth) + 4)
    assert array(after, "z_dense") == 4
    assert array(after, "s_dense") == np.float32(np.float64(np.float32(0.05)) * growth)


def test_a_shared_scale_stays_with_the_others(parse):
    # v needs a coarser grid of its own; w's codes are -2 to 1 about the zero point, and stay.
    after = requantise(
        parse(SHARED, v=np.array([[1, 255], [128, 128]], np.uint8), w=np.array([[126, 129], [128, 127]], np.uint8)), 2
    )
    at = {
        node.inputs[0].name: [v.const_value.numpy() for v in node.inputs]
        for node in after.graph
        if len(node.inputs) == 3
    }
    assert [a.tolist() for a in at["v"]] == [[[1, 3], [2, 2]], 63.5, 2]
    assert [a.tolist() for a in at["w"]] == [[[0, 3], [2, 1]], 0.5, 2]


def test_argument_is_unchanged_and_bytes_repeat(convnet, serialised):
    model = convnet()
    before = serialised(model)
    assert serialised(requantise(model, 4)) == serialised(requantise(model, 4))
    assert serialised(model) == before


def test_lower_and_lower(convnet):
    model = requantise(requantise(convnet(), 4), 2)
    assert recorded_bits(model) == {"w": 2, "d": 2}
    with pytest.raises(OptionError, match="codes of 2 bits, which cannot become 3"):
        requantise(model, 3)


def test_only_the_base_of_a_fused_file_changes(convnet, fused, serialised):
    after = requantise(fused, 3)
    sites = {site.name: site.bits for site in fault_sites(after, generator=True)}
    assert sites == {"w": 3, "d": 3, "nfkit/generator/k": 8}
    np.testing.assert_array_equal(array(after, "nfkit/generator/k"), array(fused, "nfkit/generator/k"))
    assert serialised(split(after)[1]) == serialised(requantise(convnet(), 3))


# --- refusals ---


def test_too_few_bits(convnet):
    with pytest.raises(OptionError, match="at least 2"):
        requantise(convnet(), 1)


def test_injected_faults(convnet):
    faulty = inject(convnet(), fault_sites(convnet()), Chip(1), BitErrors(0.01), "baked")
    with pytest.raises(ModelError, match="holds the faults of chip 1 at 1 %"):
        requantise(faulty, 4)


REFUSED = {
    "ConvInteger": (
        "y = ConvInteger (x, w, z)",
        "uint8[N, 2, 5, 5] x",
        "int32[N, 3, 3, 3] y",
        "read by ConvInteger",
    ),
    "moved per channel": (
        "t = Identity (w)\n f = DequantizeLinear <axis = 0> (t, s3)\n y = Conv (x, f)",
        "float[N, 2, 5, 5] x",
        "float[N, 3, 3, 3] y",
        "moved before it is dequantised",
    ),
    "two layers on one bias": (
        """f = DequantizeLinear (w, s)
           g = DequantizeLinear (w2, s)
           c = DequantizeLinear (b, s)
           p = Conv (x, f, c)
           q = Conv (x, g, c)
           y = Add (p, q)""",
        "float[N, 2, 5, 5] x",
        "float[N, 3, 3, 3] y",
        "serves layers with different weights",
    ),
    "bias per tensor": (
        "f = DequantizeLinear <axis = 0> (w, s3)\n c = DequantizeLinear (b, s)\n y = Conv (x, f, c)",
        "float[N, 2, 5, 5] x",
        "float[N, 3, 3, 3] y",
        "bias 'b' has 3 codes and 1 scales, its weight 3 scales",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_graph_does_not_say_is_refused(parse, serialised, case):
    body, source, result, message = REFUSED[case]
    text = f"""
    <ir_version: 8, opset_import: ["" : 18]>
    g ({source}) => ({result})
    <float s = {{0.5}}, float[3] s3 = {{0.1, 0.2, 0.3}}, uint8 z = {{0}}, int32[3] b = {{1, 2, 3}}>
    {{ {body} }}
    """
    model = parse(text, w=weights(), w2=weights())
    before = serialised(model)
    with pytest.raises(UnsupportedError, match=message):
        requantise(model, 4)
    assert serialised(model) == before


def test_unsigned_codes_without_a_zero_point(parse):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        g (float[N, 2] x) => (float[N, 2] y)
        <float s = {0.5}>
        { f = DequantizeLinear (w, s)
          y = MatMul (x, f) }
        """,
        w=np.array([[1, 200], [3, 4]], np.uint8),
    )
    with pytest.raises(UnsupportedError, match="'w' stores unsigned codes without a zero point"):
        requantise(model, 4)


def test_external_data(convnet, tmp_path, serialised):
    ir.save(convnet(), tmp_path / "m.onnx", external_data="m.data", size_threshold_bytes=0)
    model = requantise(ir.load(tmp_path / "m.onnx"), 4)
    for site in fault_sites(model):
        np.testing.assert_array_equal(codes(model, site), codes(requantise(convnet(), 4), site))


def test_readers_of_a_weight_share_the_grown_scale():
    """Two readers beside a reader of another weight: the two get one new scale, grown once, the other keeps the old."""
    text = """<ir_version: 8, opset_import: ["" : 18]> net (float[N, 2] x) => (float[N, 2] y)
        <int8[2, 2] v = {127, -127, 3, 5}, int8[2, 2] w = {1, 2, 3, -3}, float s = {0.5}> {
            a = DequantizeLinear (v, s)  b = DequantizeLinear (v, s)  c = DequantizeLinear (w, s)
            h = MatMul (x, a)  i = MatMul (h, b)  y = MatMul (i, c) }"""
    model = requantise(ir.from_proto(onnx.parser.parse_model(text)), 3)
    readers = {node.outputs[0].name: node.inputs[1].name for node in model.graph if node.op_type == "DequantizeLinear"}
    assert readers["a"] == readers["b"] != readers["c"] == "s"
    assert array(model, "s") == np.float32(0.5)
    assert array(model, readers["a"]) == np.float32(0.5 * 127 / 3)
