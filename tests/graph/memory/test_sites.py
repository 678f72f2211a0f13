"""Which initializers are memory, and what they are read as."""

import numpy as np
import pytest

from nfkit.errors import ModelError
from nfkit.graph.memory.coverage import coverage
from nfkit.graph.memory.sites import codes, fault_sites, find_sites

HEADER = '<ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>\n'


def roles(model):
    return {site.name: site.role for site in find_sites(model)}


def site(model, name):
    return next(s for s in find_sites(model) if s.name == name)


def test_qdq_network_is_read_in_the_order_of_the_file(convnet):
    assert list(roles(convnet()).items()) == [
        ("z", "zero_point"),
        ("z_conv", "zero_point"),
        ("z_dense", "zero_point"),
        ("b", "bias"),
        ("w", "weight"),
        ("d", "weight"),
    ]


def test_per_axis_weight(convnet):
    weight = site(convnet(), "w")
    assert (weight.bits, weight.shape, weight.count, weight.dtype) == (8, (3, 2, 3, 3), 54, "int8")
    assert weight.scale == pytest.approx((0.01, 0.02, 0.03), rel=1e-7)  # held in float32
    assert (weight.zero_point, weight.axis) == ((0, 0, 0), 0)
    assert (weight.consumers, weight.part) == (("Conv",), "base")


def test_per_tensor_weight(convnet):
    weight = site(convnet(), "d")
    assert (weight.bits, weight.shape, weight.count, weight.dtype) == (8, (3, 3), 9, "uint8")
    assert (weight.zero_point, weight.axis, weight.consumers) == ((128,), None, ("MatMul",))


def test_int32_bias_has_32_bits_and_no_zero_point(convnet):
    bias = site(convnet(), "b")
    assert (bias.role, bias.bits, bias.dtype, bias.zero_point, bias.consumers) == ("bias", 32, "int32", None, ("Conv",))


def test_codes_are_those_of_the_file(convnet):
    model = convnet()
    stored = codes(model, site(model, "w"))
    assert stored.tolist() == np.random.default_rng(1).integers(-128, 128, (3, 2, 3, 3), np.int8).tolist()


def test_fault_sites_are_weights_alone_unless_asked(convnet):
    model = convnet()
    assert [s.name for s in fault_sites(model)] == ["w", "d"]
    assert [s.name for s in fault_sites(model, roles=("bias",))] == ["b"]
    assert [s.name for s in fault_sites(model, roles=("weight", "bias"))] == ["b", "w", "d"]


def test_one_initializer_with_two_consumers_is_one_site(parse):
    model = parse(
        HEADER
        + """g (float[N, 2] x) => (float[N, 2] y) <int8[2, 2] w = {1, -2, 3, -4}, float s = {0.5}> {
            f = DequantizeLinear (w, s)
            a = MatMul (x, f)
            y = MatMul (a, f)
        }"""
    )
    assert roles(model) == {"w": "weight"}


def test_tied_dequantizers_are_one_site_that_names_both_consumers(parse):
    model = parse(
        HEADER
        + """g (float[N, 2] x) => (float[N, 2] y) <int8[2, 2] w = {1, -2, 3, -4}, float s = {0.5}> {
            f = DequantizeLinear (w, s)
            h = DequantizeLinear (w, s)
            [first] a = MatMul (x, f)
            [second] y = Gemm (a, h)
        }"""
    )
    assert roles(model) == {"w": "weight"}
    assert site(model, "w").consumers == ("first", "second")


def test_a_memory_read_as_a_weight_anywhere_is_weight_memory(parse):
    model = parse(
        HEADER
        + """g (float[N, 2] x) => (float[N, 2] y) <int8[2, 2] w = {1, -2, 3, -4}, float s = {0.5}> {
            f = DequantizeLinear (w, s)
            a = Mul (f, f)
            b = MatMul (x, f)
            y = MatMul (b, a)
        }"""
    )
    assert roles(model) == {"w": "weight"}


@pytest.mark.parametrize(
    "body",
    [
        "t = Transpose (w) f = DequantizeLinear (t, s) y = MatMul (x, f)",
        "f = DequantizeLinear (w, s) t = Transpose (f) y = MatMul (x, t)",
        "t = Reshape (w, shape) f = DequantizeLinear (t, s) y = MatMul (x, f)",
        "f = DequantizeLinear (w, s) t = Reshape (f, shape) y = MatMul (x, t)",
        "t = Transpose (w) u = Reshape (t, shape) f = DequantizeLinear (u, s) v = Transpose (f) y = MatMul (x, v)",
    ],
)
def test_moves_between_memory_and_operator_do_not_hide_a_weight(parse, body):
    model = parse(
        HEADER
        + """g (float[N, 2] x) => (float[N, 2] y)
        <int8[2, 2] w = {1, -2, 3, -4}, float s = {0.5}, int64[2] shape = {2, 2}> {"""
        + body
        + "}"
    )
    assert roles(model) == {"w": "weight"}
    assert site(model, "w").scale == (0.5,)
    assert site(model, "w").consumers == ("MatMul",)


def test_dequantised_constants_are_no_weights(parse):
    model = parse(
        HEADER
        + """g (float[N, 2] x) => (float[N, 2] y)
        <int8[2] k = {1, -2}, uint8[2] c = {3, 4}, int32[2] t = {5, 6}, float s = {0.5}, uint8 z = {1}> {
            m = DequantizeLinear (k, s)
            a = DequantizeLinear (c, s, z)
            u = DequantizeLinear (t, s)
            v = Mul (x, m)
            w = Add (v, a)
            y = Add (w, u)
        }"""
    )
    assert roles(model) == {"k": "constant", "c": "constant", "t": "bias", "z": "zero_point"}
    assert site(model, "k").consumers == ("Mul",)


def test_operands_of_qlinear_conv(parse):
    model = parse(
        HEADER
        + """g (uint8[N, 2, 4, 4] x) => (uint8[N, 3, 4, 4] y)
        <float xs = {0.1}, uint8 xz = {1}, float[3] ws = {0.1, 0.2, 0.3}, int8[3] wz = {0, 0, 0}, float ys = {0.1},
         uint8 yz = {2}, int32[3] b = {1, 2, 3}> {
            y = QLinearConv (x, xs, xz, w, ws, wz, ys, yz, b)
        }""",
        w=np.zeros((3, 2, 1, 1), np.int8),
    )
    found = roles(model)
    assert (found["w"], found["b"], found["wz"]) == ("weight", "bias", "zero_point")
    assert set(found) <= {"w", "b", "wz", "xz", "yz"}
    assert {found.get(name, "zero_point") for name in ("xz", "yz")} == {"zero_point"}
    assert site(model, "w").scale == pytest.approx((0.1, 0.2, 0.3), rel=1e-7)  # held in float32
    assert (site(model, "w").zero_point, site(model, "w").axis) == ((0, 0, 0), 0)


def test_operands_of_integer_operators(parse):
    model = parse(
        HEADER
        + """g (uint8[N, 2, 4, 4] x) => (int32[N, 3, 4, 2] y)
        <uint8 xz = {1}, int8 wz = {0}, uint8[4, 2] d = {1, 2, 3, 4, 5, 6, 7, 8}, uint8 dz = {128}> {
            c = ConvInteger (x, w, xz, wz)
            u = Cast <to = 2> (c)
            y = MatMulInteger (u, d, xz, dz)
        }""",
        w=np.zeros((3, 2, 1, 1), np.int8),
    )
    found = roles(model)
    assert (found["w"], found["d"], found["wz"], found["dz"]) == ("weight", "weight", "zero_point", "zero_point")
    assert site(model, "d").scale is None
    assert [s.name for s in fault_sites(model)] == ["d", "w"]


def test_operands_of_qlinear_matmul_and_qgemm(parse):
    model = parse(
        HEADER
        + """g (uint8[N, 2] x) => (uint8[N, 2] y)
        <float s = {0.1}, uint8 z = {1}, uint8[2, 2] w = {1, 2, 3, 4}, uint8[2, 2] v = {5, 6, 7, 8},
         int32[2] b = {9, 10}> {
            a = QLinearMatMul (x, s, z, w, s, z, s, z)
            y = com.microsoft.QGemm (a, s, z, v, s, z, b, s, z)
        }"""
    )
    assert roles(model) == {"w": "weight", "v": "weight", "b": "bias", "z": "zero_point"}
    assert (site(model, "v").scale, site(model, "v").zero_point) == (pytest.approx((0.1,), rel=1e-7), (1,))


def test_embedding_table_is_a_weight(parse):
    model = parse(
        HEADER
        + """g (int64[N, 2] x) => (float[N, 2, 3] y) <int8[2, 3] table = {1, 2, 3, 4, 5, 6}, float s = {0.5}> {
            f = DequantizeLinear (table, s)
            y = Gather (f, x)
        }"""
    )
    assert roles(model) == {"table": "weight"}


def test_16_bit_weights_have_16_bits(parse):
    model = parse(
        '<ir_version: 10, opset_import: ["" : 21]>'
        """g (float[N, 2] x) => (float[N, 2] y) <int16[2, 2] w = {1, -2, 3, -400}, float s = {0.5}> {
            f = DequantizeLinear (w, s)
            y = MatMul (x, f)
        }"""
    )
    assert (site(model, "w").bits, site(model, "w").dtype) == (16, "int16")


def test_shapes_axes_and_indices_are_no_sites(parse):
    model = parse(
        HEADER
        + """g (float[2, 6] x) => (float[3, 2] y)
        <int64[2] shape = {3, 4}, int64[1] starts = {0}, int64[1] ends = {2}, int64[1] axes = {1},
         int32[2] picks = {1, 0}> {
            r = Reshape (x, shape)
            s = Slice (r, starts, ends, axes)
            y = Gather <axis = 1> (s, picks)
        }"""
    )
    assert find_sites(model) == []


def test_float_model_has_no_bits_to_fault(parse):
    model = parse(
        HEADER
        + """net (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {1, 2, 3, 4}> {
            y = MatMul (x, w)
        }"""
    )
    assert find_sites(model) == []
    with pytest.raises(ModelError, match=r"graph 'net' stores no weights as integers.*quantise it first"):
        fault_sites(model)


def test_positions_that_a_graph_looks_up_are_no_weights_of_a_float_model(parse):
    model = parse(
        HEADER
        + """net (float[N, 2] x) => (float[N, 2] y)
        <float[2, 2] w = {1, 2, 3, 4}, int64[2] lengths = {5, 7}, int64[1] zero = {0}, int64[1] one = {1}> {
            p = MatMul (x, w)
            shape = Shape (x)
            first = Slice (shape, zero, one)
            which = Sub (first, first)
            rows = Gather (lengths, which)
            f = Cast <to = 1> (rows)
            y = Add (p, f)
        }"""
    )
    with pytest.raises(ModelError) as caught:
        fault_sites(model)
    assert "int64" not in str(caught.value)
    assert "nfkit quantize" in str(caught.value)


def test_part_follows_the_metadata_of_the_readers(parse):
    model = parse(
        HEADER
        + """g (float[N, 2] x) => (float[N, 2] y)
        <int8[2, 2] v = {1, -2, 3, -4}, int8[2, 2] w = {1, -2, 3, -4}, float s = {0.5}> {
            f = DequantizeLinear (v, s)
            a = MatMul (x, f)
            h = DequantizeLinear (w, s)
            y = MatMul (a, h)
        }"""
    )
    for node in list(model.graph)[:2]:
        node.metadata_props["nfkit.role"] = "generator"
    assert {s.name: s.part for s in find_sites(model)} == {"v": "generator", "w": "base"}
    assert [s.name for s in fault_sites(model)] == ["w"]
    assert [s.name for s in fault_sites(model, generator=True)] == ["v", "w"]


def test_a_tensor_that_base_and_generator_share_is_memory_of_the_base(parse):
    model = parse(
        HEADER
        + """g (float[N, 2] x) => (float[N, 2] y) <int8[2, 2] w = {1, -2, 3, -4}, float s = {0.5}> {
            f = DequantizeLinear (w, s)
            a = MatMul (x, f)
            h = DequantizeLinear (w, s)
            y = MatMul (a, h)
        }"""
    )
    for node in list(model.graph)[:2]:
        node.metadata_props["nfkit.role"] = "generator"
    assert {s.name: s.part for s in find_sites(model)} == {"w": "base"}
    assert [s.name for s in fault_sites(model)] == ["w"]
    assert (coverage(model).reached, coverage(model).weights) == (4, 4)
    for node in model.graph:
        node.metadata_props["nfkit.role"] = "generator"
    assert (coverage(model).weights, coverage(model, generator=True).weights) == (0, 4)


def test_finding_sites_leaves_the_model_as_it_was(convnet, serialised):
    model = convnet()
    find_sites(model)
    assert serialised(model) == serialised(convnet())


def test_report_of_a_site(convnet):
    assert site(convnet(), "d").to_dict() == {
        "name": "d",
        "role": "weight",
        "bits": 8,
        "dtype": "uint8",
        "shape": [3, 3],
        "count": 9,
        "per_axis": None,
        "scale": [pytest.approx(0.05, rel=1e-7), pytest.approx(0.05, rel=1e-7)],
        "consumers": ["MatMul"],
        "part": "base",
    }


def test_a_memory_that_base_and_generator_share_is_the_bases(parse):
    model = parse(
        HEADER
        + """g (float[N, 2] x) => (float[N, 2] y) <int8[2, 2] w = {1, -2, 3, -4}, float s = {0.5}> {
            f = DequantizeLinear (w, s)
            a = MatMul (x, f)
            h = DequantizeLinear (w, s)
            y = MatMul (a, h)
        }"""
    )
    for node in list(model.graph)[:2]:
        node.metadata_props["nfkit.role"] = "generator"
    assert {s.name: s.part for s in find_sites(model)} == {"w": "base"}
    assert [s.name for s in fault_sites(model)] == ["w"]  # the base's weights err, whoever reads them besides


def test_what_no_output_depends_on_is_no_site(parse):
    model = parse(
        HEADER
        + """g (float[N, 2] x) => (float[N, 2] y)
        <int8[2, 2] w = {1, -2, 3, -4}, int8[2, 2] v = {1, -2, 3, -4}, float s = {0.5}> {
            f = DequantizeLinear (w, s)
            h = DequantizeLinear (v, s)
            dead = MatMul (x, h)
            y = MatMul (x, f)
        }"""
    )
    assert roles(model) == {"w": "weight"}


def test_the_numbers_of_a_site_are_those_of_its_arithmetic(parse):
    """(codes - 7) * [0.5, 0.25] * 4, in an order of operands that no exporter agrees on."""
    model = parse(
        HEADER
        + """g (float[N, 2] x) => (float[N, 2] y)
        <uint8[2, 2] w = {1, 2, 3, 4}, float z = {-7.0}, float[2] s = {0.5, 0.25}, float t = {4.0}> {
            f = Cast <to = 1> (w)
            d = Add (z, f)
            m = Mul (s, d)
            n = Mul (m, t)
            y = MatMul (x, n)
        }"""
    )
    found = site(model, "w")
    assert (found.scale, found.zero_point, found.axis) == ((2.0, 1.0), (7,), 1)


def test_an_offset_behind_the_scale_is_no_zero_point(parse):
    model = parse(
        HEADER
        + """g (float[N, 2] x) => (float[N, 2] y)
        <int8[2, 2] w = {1, 2, 3, 4}, float o = {3.0}, float s = {0.5}> {
            f = Cast <to = 1> (w)
            m = Mul (f, s)
            n = Add (m, o)
            y = MatMul (x, n)
        }"""
    )
    assert (site(model, "w").scale, site(model, "w").zero_point) == ((0.5,), None)
