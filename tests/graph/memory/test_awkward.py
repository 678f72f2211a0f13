"""Weights in awkward places: found where a layer reads them, and named where no memory of codes holds them."""

import ml_dtypes
import numpy as np
import onnx
import pytest

from nfkit.access.runtime import Runner
from nfkit.energy.count import count
from nfkit.errors import ModelError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.injection.inject import with_codes
from nfkit.graph.memory.coverage import coverage
from nfkit.graph.memory.inventory import inventory
from nfkit.graph.memory.scales import odd_scales
from nfkit.graph.memory.sites import codes, fault_sites, find_sites
from nfkit.graph.memory.survey import Survey
from nfkit.graph.quantised.fold import fold

W = np.arange(-6, 6, dtype=np.int8).reshape(4, 3)
X = np.random.default_rng(1).uniform(-1, 1, (5, 4)).astype(np.float32)


def header(opset=21):
    return f'<ir_version: 10, opset_import: ["" : {opset}, "local" : 1]>\n'


def weights(model):
    return {site.name for site in find_sites(model) if site.role == "weight"}


def left_out(model):
    return {entry.name: entry.count for entry in coverage(model).left_out}


def test_an_axis_that_the_caller_of_a_function_gives(parse):
    model = parse(
        header()
        + """g (float[N, 4] x) => (float[N, 3] y) { f = local.Real <ax = -1> (w, s)  y = MatMul (x, f) }
        <domain: "local", opset_import: ["" : 21]>
        Real <ax> (q, s) => (r) { r = DequantizeLinear <axis: int = @ax> (q, s) }""",
        w=W,
        s=np.array([1, 2, 4], np.float32),
    )
    (site,) = find_sites(model)
    assert (site.role, site.axis, site.scale) == ("weight", 1, (1, 2, 4))
    np.testing.assert_allclose(Runner(model)(X), X @ (W * np.array([1, 2, 4], np.float32)), rtol=1e-5)


def test_a_type_that_the_caller_of_a_function_gives(parse):
    model = parse(
        header()
        + """g (float[N, 4] x) => (float[N, 3] y) <float s = {0.5}> {
            f = local.Real <kind = 1> (w, s)
            y = MatMul (x, f)
        }
        <domain: "local", opset_import: ["" : 21]>
        Real <kind> (q, s) => (r) { c = Cast <to: int = @kind> (q)  r = Mul (c, s) }""",
        w=W,
    )
    (site,) = find_sites(model)
    assert (site.role, site.scale) == ("weight", (0.5,))


def test_factors_of_low_rank_are_weights_beside_what_they_are_added_to(parse):
    model = parse(
        header()
        + """g (float[N, 4] x) => (float[N, 3] y) <float s = {0.5}> {
            f = DequantizeLinear (w, s)
            a = DequantizeLinear (u, s)
            b = DequantizeLinear (v, s)
            product = MatMul (a, b)
            sum = Add (f, product)
            y = MatMul (x, sum)
        }""",
        w=W,
        u=np.array([[1], [2], [3], [-4]], np.int8),
        v=np.array([[5, -6, 7]], np.int8),
    )
    assert weights(model) == {"w", "u", "v"}
    assert (coverage(model).reached, left_out(model)) == (12 + 4 + 3, {})
    u = codes(model, next(s for s in find_sites(model) if s.name == "u")).copy()
    u[0, 0] = -128
    expected = X @ (W * 0.5 + (u * 0.5) @ (np.array([[5, -6, 7]]) * 0.5)).astype(np.float32)
    np.testing.assert_allclose(Runner(with_codes(model, {"u": u}))(X), expected, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "ones"), [("int8", -1), ("uint8", 255)])
def test_a_mask_of_all_ones_and_zeros_is_no_weight(parse, dtype, ones):
    model = parse(
        header()
        + """g (float[N, 4] x) => (float[N, 3] y) <float s = {0.5}> {
            kept = BitwiseAnd (w, mask)
            f = DequantizeLinear (kept, s)
            y = MatMul (x, f)
        }""",
        w=W.astype(dtype),
        mask=np.where(np.arange(12) % 3, ones, 0).reshape(4, 3).astype(dtype),
    )
    assert weights(model) == {"w"}
    assert left_out(model) == {}


PALETTE = "i = Cast <to = 6> (w)  f = Gather (book, i)"
PACKED = (
    'four = Constant <value = uint8[1] {4}> ()  i = BitShift <direction = "RIGHT"> (w, four)  '
    "j = Cast <to = 7> (i)  f = Gather (book, j)"
)
POSITIONS = "f = Gather (book, w)"
SIGNS = "i = Cast <to = 9> (w)  f = Where (i, plus, minus)"
LEFT = "numbers, which a wrong bit leaves"


@pytest.mark.parametrize(
    ("nodes", "arrays", "dtype", "reason"),
    [
        (PALETTE, {"book": np.linspace(-1, 1, 6)}, "uint8", f"codes of a palette of 6 {LEFT}: pad the palette to 8"),
        (
            PALETTE,
            {"book": np.linspace(-1, 1, 8)},
            "int8",
            f"int8 codes of a palette of 8 {LEFT}: store them unsigned",
        ),
        (PACKED, {"book": np.linspace(-1, 1, 4)}, "uint8", "they choose weights out of a few stored numbers, a form "),
        (POSITIONS, {"book": np.linspace(-1, 1, 4)}, "int64", "int64 codes that choose weights out of a few stored "),
        (
            SIGNS,
            {"plus": 1, "minus": -1},
            "uint8",
            "they choose weights out of a few stored numbers, a form that nfkit ",
        ),
    ],
    ids=["palette that is no power of two", "signed codes of a small palette", "packed", "positions", "signs"],
)
def test_what_chooses_weights_out_of_a_few_numbers_is_named(parse, nodes, arrays, dtype, reason):
    model = parse(
        header()
        + f"""g (float[N, 4] x) => (float[N, 3] y) <float s = {{0.5}}> {{
            {nodes}
            h = MatMul (x, f)
            v_f = DequantizeLinear (v, s)
            y = MatMul (h, v_f)
        }}""",
        w=(np.arange(12) % 2).reshape(4, 3).astype(dtype),
        v=np.arange(9, dtype=np.int8).reshape(3, 3),
        **{key: np.asarray(value, np.float32) for key, value in arrays.items()},
    )
    assert weights(model) == {"v"}
    assert left_out(model)["w"] == 12
    assert f"'w' (12, {reason}" in coverage(model).sentence()


@pytest.mark.parametrize(
    ("dtype", "numbers", "bits"),
    [("uint8", 16, 4), ("uint8", 11, None), ("int4", 8, 4), ("int4", 7, None)],
    ids=["full", "not full", "signed, counted from the end", "signed, beyond the end"],
)
def test_each_code_of_a_palette_stands_for_a_number(parse, dtype, numbers, bits):
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    model = parse(
        header()
        + """g (float[N, 4] x) => (float[N, 6] y) <float s = {0.5}> {
            i = Cast <to = 7> (w)
            f = Gather (book, i)
            h = MatMul (x, f)
            g = DequantizeLinear (v, s)
            y = MatMul (h, g)
        }""",
        w=(np.arange(24) % 2).reshape(4, 6).astype(kind),
        v=np.arange(36, dtype=np.int8).reshape(6, 6),
        book=np.linspace(-1, 1, numbers, dtype=np.float32),
    )
    found = {site.name: site.bits for site in find_sites(model) if site.role == "weight"}
    assert found == {"v": 8} | ({} if bits is None else {"w": bits})


def test_codes_of_a_palette_are_memory_of_the_bits_that_it_needs(parse):
    book = np.array([-3, -1, 0, 3], np.float32)  # where 0 is no scale to warn of
    model = parse(
        header()
        + """g (float[N, 4] x) => (float[N, 3] y) <float s = {0.5}> {
            i = Cast <to = 7> (w)
            f = Gather (book, i)
            g = Mul (f, s)
            y = MatMul (x, g)
        }""",
        w=(np.arange(12) % 4).reshape(4, 3).astype(np.uint8),
        book=book,
    )
    (site,) = find_sites(model)
    assert (site.name, site.role, site.bits, site.scale, site.consumers) == ("w", "weight", 2, None, ("MatMul",))
    assert coverage(model).sentence() == "faults reach all of the 12 weights"
    assert {entry.name: entry.reason for entry in inventory(model)}["book"] == "a palette: registers, not memory"
    read = Chip(50_000).faults(site, BitErrors(0.5, "flip")).apply(codes(model, site))
    assert (read != codes(model, site)).any()
    assert set(read.ravel()) <= {0, 1, 2, 3}  # the palette has no more numbers, and ONNX Runtime would refuse others
    np.testing.assert_array_equal(Runner(with_codes(model, {"w": read}))(X), X @ (book[read] * np.float32(0.5)))
    counted = count(model)
    assert (counted.weights, counted.macs, counted.layers[0].storage, counted.layers[0].bits) == (12, 12, "w", 2)
    assert counted.uncounted == ()
    assert odd_scales(Survey(model)) == []


def test_a_permutation_by_stored_positions_is_none_of_that(parse):
    model = parse(
        header()
        + """g (float[N, 4] x) => (float[N, 3] y) <float s = {0.5}, int64[4] order = {2, 0, 3, 1}> {
            moved = Gather (w, order)
            f = DequantizeLinear (moved, s)
            y = MatMul (x, f)
        }""",
        w=W,
    )
    assert (weights(model), left_out(model)) == ({"w"}, {})


def test_numbers_that_a_constant_node_lists_are_seen(parse):
    model = parse(
        header()
        + """g (float[N, 4] x) => (float[N, 3] y) <float s = {0.5}, int64[2] shape = {3, 3}> {
            f = DequantizeLinear (w, s)
            h = MatMul (x, f)
            v = Constant <value_floats = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> ()
            square = Reshape (v, shape)
            y = MatMul (h, square)
        }""",
        w=W,
    )
    assert (weights(model), left_out(model)) == ({"w"}, {"v": 9})
    assert {entry.name: entry.dtype for entry in inventory(model)}["v"] == "float"


CAST = """g (float[N, 4] x) => (float[N, 3] y) <float s = {0.5}> {
    narrow = Cast <to = 3> (w)
    f = DequantizeLinear (narrow, s)
    y = MatMul (x, f)
}"""


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_codes_that_the_graph_casts_are_stored_by_fold(parse, dtype):
    model = parse(header() + CAST, w=W.astype(dtype))
    with pytest.raises(ModelError, match=rf"no weights as integers of up to 16 bits.*'w' of {dtype}.*nfkit fold"):
        fault_sites(model)
    folded = fold(model)
    (site,) = fault_sites(folded)
    assert (site.name, site.dtype, site.bits) == ("w", "int8", 8)
    assert np.array_equal(codes(folded, site), W)
    assert Runner(folded)(X).tobytes() == Runner(model)(X).tobytes()


def test_eight_bit_floats_are_refused_with_their_type_and_a_way_out(parse):
    float8 = W.astype(ml_dtypes.float8_e4m3fn)
    model = parse(header() + CAST.replace("narrow = Cast <to = 3> (w)", "narrow = Identity (w)"), w=float8)
    with pytest.raises(ModelError, match=r"'w' of float8e4m3fn: export the model in int8 or uint8, or give its float"):
        fault_sites(model)
    fake = CAST.replace("Cast <to = 3> (w)", f"QuantizeLinear <output_dtype = {onnx.TensorProto.FLOAT8E4M3FN}> (w, s)")
    with pytest.raises(ModelError, match=r"'narrow' quantises to float8_e4m3fn, which is no integer.*int8 or uint8"):
        fold(parse(header() + fake, w=W.astype(np.float32)))
