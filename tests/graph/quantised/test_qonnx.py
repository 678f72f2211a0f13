"""QONNX's Quant nodes become stored codes and standard operators that compute the same to the last bit.

What is right is computed here one number at a time: in float32 up to the clamp, as QONNX defines it, and in fractions
for the rounding.
"""

import math
from fractions import Fraction

import numpy as np
import onnx_ir as ir
import pytest

from nfkit.errors import UnsupportedError
from nfkit.graph.memory.bits import recorded_bits
from nfkit.graph.memory.sites import codes, fault_sites, find_sites
from nfkit.graph.quantised.fold import fold
from nfkit.model import to_bytes

DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
MODES = ("ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "ROUND_TO_ZERO", "HALF_UP", "HALF_DOWN")


def rounded(y, mode):
    """y, a Fraction, as a whole number."""
    low, up = math.floor(y), math.ceil(y)
    inner, outer = (low, up) if y >= 0 else (up, low)
    if mode in ("CEIL", "FLOOR", "UP", "DOWN", "ROUND_TO_ZERO"):
        return {"CEIL": up, "FLOOR": low, "UP": outer}.get(mode, inner)
    if y - low != Fraction(1, 2):
        return low if y - low < Fraction(1, 2) else up
    return {"HALF_UP": outer, "HALF_DOWN": inner}.get(mode, low if low % 2 == 0 else up)


def quant(x, scale, zero, bits, signed, narrow, mode):
    """(codes, values) of one number by QONNX's definition."""
    low = (-(2 ** (bits - 1)) + narrow) if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
    y = np.float32(np.float32(x) / np.float32(scale)) + np.float32(zero)
    code = rounded(Fraction(float(min(max(y, np.float32(low)), np.float32(high)))), mode)
    return code, (np.float32(code) - np.float32(zero)) * np.float32(scale)


def reference(x, scale, zero, bits, signed, narrow, mode):
    """The same for arrays."""
    x, scale, zero = np.broadcast_arrays(x, scale, zero)
    pairs = [quant(*one, bits, signed, narrow, mode) for one in zip(x.flat, scale.flat, zero.flat, strict=True)]
    return (
        np.array([part[i] for part in pairs], kind).reshape(x.shape) for i, kind in ((0, np.int64), (1, np.float32))
    )


def halves(shape, scale, seed=0):
    """Numbers that lie between codes, on codes, on halves, and beyond both ends of the range."""
    random = np.random.default_rng(seed)
    steps = random.integers(-44, 45, shape) / 4
    far = random.choice([1, 1, 1, 40], shape)
    return (steps * far * scale).astype(np.float32)


WEIGHT = """
<ir_version: 8, opset_import: ["" : OPSET, "DOMAIN" : 1]>
g (float[N, 6] x) => (float[N, 4] y)
{
    w_quantised = DOMAIN.OP <signed = SIGNED, narrow = NARROW, rounding_mode = "MODE"> (w, s, z, b)
    y = MatMul (x, w_quantised)
}
"""


def weight_model(parse, w, s, z, bits, *, signed=1, narrow=0, mode="ROUND", opset=18, domain=DOMAINS[0], op="Quant"):
    text = WEIGHT
    for word, value in {
        "OPSET": opset, "DOMAIN": domain, "OP": op, "SIGNED": signed, "NARROW": narrow, "MODE": mode,
    }.items():  # fmt: skip
        text = text.replace(word, str(value))
    numbers = {"s": s, "z": z, "b": bits}
    return parse(text, w=w, **{name: np.asarray(number, np.float32) for name, number in numbers.items()})


def stored(folded, execute, like):
    """The codes that a folded model holds, and the values that ONNX Runtime makes of them, by an identity matrix."""
    (site,) = fault_sites(folded)
    (values,) = execute(folded, {"x": np.eye(6, dtype=np.float32)})
    return site, codes(folded, site).astype(np.int64).reshape(like.shape), values


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize(("signed", "narrow"), [(1, 0), (1, 1), (0, 0), (0, 1)])
def test_codes_of_every_width(parse, execute, bits, signed, narrow):
    w = halves((6, 4), 0.3, seed=bits)
    folded = fold(weight_model(parse, w, 0.3, 0.0, bits, signed=signed, narrow=narrow))
    site, found, values = stored(folded, execute, w)
    expected, exact = reference(w, 0.3, 0.0, bits, signed, narrow, "ROUND")
    assert found.tolist() == expected.tolist()
    assert values.tolist() == exact.tolist()
    assert (site.name, site.bits, site.dtype) == ("w", bits, "int8" if signed else "uint8")
    assert recorded_bits(folded) == ({"w": bits} if bits < 8 else {})
    assert [node.op_type for node in folded.graph] == ["DequantizeLinear", "MatMul"]
    assert set(folded.opset_imports) == {""}
    assert set(folded.graph.initializers) == {"w", "w_scale", "w_zero_point"}


@pytest.mark.parametrize("mode", [*MODES, "round", "floor"])
def test_every_rounding_mode(parse, execute, mode):
    w = halves((6, 4), 0.25, seed=3)
    folded = fold(weight_model(parse, w, 0.25, 0.0, 6, mode=mode))
    _, found, values = stored(folded, execute, w)
    expected, exact = reference(w, 0.25, 0.0, 6, 1, 0, mode.upper())
    assert found.tolist() == expected.tolist()
    assert values.tolist() == exact.tolist()


def test_the_modes_differ():
    results = {
        mode: tuple(rounded(Fraction(y), mode) for y in (5.5, 2.5, 1.6, 1.1, -1.1, -1.6, -2.5)) for mode in MODES
    }
    assert results["ROUND"] == results["HALF_EVEN"] == (6, 2, 2, 1, -1, -2, -2)  # the table of QONNX's documents
    assert results["CEIL"] == (6, 3, 2, 2, -1, -1, -2)
    assert results["FLOOR"] == (5, 2, 1, 1, -2, -2, -3)
    assert results["UP"] == (6, 3, 2, 2, -2, -2, -3)
    assert results["DOWN"] == results["ROUND_TO_ZERO"] == (5, 2, 1, 1, -1, -1, -2)
    assert results["HALF_UP"] == (6, 3, 2, 1, -1, -2, -3)
    assert results["HALF_DOWN"] == (5, 2, 2, 1, -1, -2, -2)


SCALES = {
    "a column": (np.array([[0.1, 0.25, 0.3, 1.7]]), 0.0, ["DequantizeLinear"], 1),
    "a row": (np.array([0.1, 0.25, 0.3, 1.7, 0.01, 2.0]).reshape(6, 1), 0.0, ["DequantizeLinear"], 0),
    "a column, as a vector": (np.array([0.1, 0.25, 0.3, 1.7]), 0.0, ["DequantizeLinear"], 1),
    "one of rank 2": (np.array([[0.3]]), np.array([[0.0]]), ["DequantizeLinear"], None),
    "zero points": (0.3, np.array([[1.0, 0.0, -3.0, 2.0]]), ["DequantizeLinear"], 1),
    "one zero point": (0.3, -2.0, ["DequantizeLinear"], None),
    "both axes": (np.linspace(0.1, 2.0, 24).reshape(6, 4), 0.0, ["Cast", "Mul"], None),
    "a broken zero point": (0.3, 0.25, ["Cast", "Sub", "Mul"], None),
    "a zero point beyond the type": (0.3, 200.0, ["Cast", "Sub", "Mul"], None),
    "a negative scale": (-0.3, 0.0, ["DequantizeLinear"], None),
}


@pytest.mark.parametrize("name", SCALES)
def test_scales_and_zero_points(parse, execute, name):
    scale, zero, expected_ops, axis = SCALES[name]
    w = halves((6, 4), 0.3, seed=5)
    folded = fold(weight_model(parse, w, scale, zero, 5))
    site, found, values = stored(folded, execute, w)
    expected, exact = reference(w, scale, zero, 5, 1, 0, "ROUND")
    assert found.tolist() == expected.tolist()
    assert values.tolist() == exact.tolist()
    assert [node.op_type for node in folded.graph][:-1] == expected_ops
    assert (site.name, site.bits) == ("w", 5)
    if expected_ops == ["DequantizeLinear"]:
        assert site.axis == axis


@pytest.mark.parametrize("opset", [9, 10, 11, 13])
@pytest.mark.parametrize("scale", [0.3, np.array([[0.1, 0.25, 0.3, 1.7]])])
def test_old_opsets_have_other_operators_and_the_same_values(parse, execute, opset, scale):
    w = halves((6, 4), 0.3, seed=6)
    folded = fold(weight_model(parse, w, scale, 0.0, 4, opset=opset))
    _, found, values = stored(folded, execute, w)
    expected, exact = reference(w, scale, 0.0, 4, 1, 0, "ROUND")
    assert found.tolist() == expected.tolist()
    assert values.tolist() == exact.tolist()


@pytest.mark.parametrize("bits", [9, 16, 32])
def test_wide_codes_are_stored_in_int32(parse, execute, bits):
    w = (np.random.default_rng(0).normal(size=(6, 4)) * 3e5).astype(np.float32)
    folded = fold(weight_model(parse, w, 0.125, 0.0, bits))
    (site,) = find_sites(folded)
    expected, exact = reference(w, 0.125, 0.0, bits, 1, 0, "ROUND")
    assert codes(folded, site).tolist() == expected.tolist()
    assert execute(folded, {"x": np.eye(6, dtype=np.float32)})[0].tolist() == exact.tolist()
    assert (site.name, site.bits, site.dtype) == ("w", bits, "int32")


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("op", ["Quant", "IntQuant"])
def test_all_domains_and_both_names(parse, execute, domain, op):
    w = halves((6, 4), 0.3)
    model = weight_model(parse, w, 0.3, 0.0, 4, domain=domain, op=op)
    before = to_bytes(model)
    _, found, _ = stored(fold(model), execute, w)
    assert found.tolist() == next(reference(w, 0.3, 0.0, 4, 1, 0, "ROUND")).tolist()
    assert to_bytes(model) == before


def test_a_weight_that_is_moved_before_it_is_quantised(parse, execute):
    w = halves((4, 6), 0.3)
    text = WEIGHT.replace("(w, s, z, b)", "(t, s, z, b)").replace("{\n", "{\n    t = Transpose (w)\n", 1)
    for word, value in {
        "OPSET": 18,
        "DOMAIN": DOMAINS[0],
        "OP": "Quant",
        "SIGNED": 1,
        "NARROW": 0,
        "MODE": "ROUND",
    }.items():
        text = text.replace(word, str(value))
    numbers = {"s": np.float32(0.3), "z": np.float32(0), "b": np.float32(4)}
    site, found, _ = stored(fold(parse(text, w=w, **numbers)), execute, w.T)
    assert found.tolist() == next(reference(w.T, 0.3, 0.0, 4, 1, 0, "ROUND")).tolist()
    assert site.name == "w"


def test_one_weight_with_two_quantisers_keeps_both(parse, execute):
    text = """
    <ir_version: 8, opset_import: ["" : 18, "onnx.brevitas" : 1]>
    g (float[N, 6] x) => (float[N, 4] y)
    <float s = {0.5}, float t = {0.25}, float z = {0}, float b = {4}, float c = {7}>
    {
        one = onnx.brevitas.Quant <signed = 1, narrow = 1> (w, s, z, b)
        two = onnx.brevitas.Quant <signed = 1, narrow = 0> (w, t, z, c)
        p = MatMul (x, one)
        q = MatMul (x, two)
        y = Add (p, q)
    }
    """
    w = halves((6, 4), 0.5)
    folded = fold(parse(text, w=w))
    assert {s.name: s.bits for s in fault_sites(folded)} == {"w": 4, "w_quantized_2": 7}
    (y,) = execute(folded, {"x": np.eye(6, dtype=np.float32)})
    _, one = reference(w, 0.5, 0.0, 4, 1, 1, "ROUND")
    _, two = reference(w, 0.25, 0.0, 7, 1, 0, "ROUND")
    assert y.tolist() == (one + two).tolist()


def test_weights_in_a_branch_have_their_bits_recorded(parse, execute):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18, "onnx.brevitas" : 1]>
        g (float[N, 6] x, bool c) => (float[N, 4] y)
        <float s = {0.5}, float z = {0}, float b = {4}>
        {
            y = If (c) <then_branch = a () => (float[N, 4] p) {
                f = onnx.brevitas.Quant <signed = 1, narrow = 0> (w, s, z, b)
                p = MatMul (x, f)
            }, else_branch = e () => (float[N, 4] q) {
                h = onnx.brevitas.Quant <signed = 1, narrow = 0> (v, s, z, b)
                q = MatMul (x, h)
            }>
        }
        """,
        w=halves((6, 4), 0.5),
        v=halves((6, 4), 0.5, seed=9),
    )
    folded = fold(model)
    assert {s.name: s.bits for s in fault_sites(folded)} == {"w": 4, "v": 4}
    for taken, seed in ((True, 0), (False, 9)):
        (y,) = execute(folded, {"x": np.eye(6, dtype=np.float32), "c": np.array(taken)})
        assert y.tolist() == list(reference(halves((6, 4), 0.5, seed), 0.5, 0.0, 4, 1, 0, "ROUND"))[1].tolist()


ACTIVATION = """
<ir_version: 8, opset_import: ["" : OPSET, "onnx.brevitas" : 1]>
g (float[N, 6] x) => (float[N, 6] y)
<float z = {0}>
{
    y = onnx.brevitas.Quant <signed = SIGNED, narrow = NARROW, rounding_mode = "ROUND"> (x, s, z, b)
}
"""


@pytest.mark.parametrize("opset", [10, 11, 12, 13, 21])
@pytest.mark.parametrize(
    ("bits", "signed", "narrow"), [(8, 1, 0), (8, 0, 0), (8, 1, 1), (4, 0, 0), (3, 1, 1), (1, 0, 0)]
)
def test_activations_are_quantised_in_the_graph(parse, execute, opset, bits, signed, narrow):
    text = ACTIVATION.replace("OPSET", str(opset)).replace("SIGNED", str(signed)).replace("NARROW", str(narrow))
    folded = fold(parse(text, s=np.array(0.3, np.float32), b=np.array(bits, np.float32)))
    x = halves((9, 6), 0.3)
    _, exact = reference(x, 0.3, 0.0, bits, signed, narrow, "ROUND")
    assert execute(folded, {"x": x})[0].tolist() == exact.tolist()
    ops = [node.op_type for node in folded.graph]
    full = bits == 8 and not narrow
    assert sorted(ops) == sorted(["QuantizeLinear", "DequantizeLinear"] + ["Clip"] * (not full))


def test_activations_of_one_scale_a_channel(parse, execute):
    text = ACTIVATION.replace("OPSET", "13").replace("SIGNED", "1").replace("NARROW", "0")
    scale = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]], np.float32)
    folded = fold(parse(text, s=scale, b=np.array(4, np.float32)))
    x = halves((9, 6), 0.3)
    assert execute(folded, {"x": x})[0].tolist() == list(reference(x, scale, 0.0, 4, 1, 0, "ROUND"))[1].tolist()


# --- what is refused, by node and with a way out ---

REFUSED = {
    "floor": ('y = onnx.brevitas.Quant <rounding_mode = "FLOOR"> (x, s, z, b)', "'n0' .*FLOOR.* export with .*ROUND"),
    "zero point": (
        "y = onnx.brevitas.Quant (x, s, s, b)",
        "'n0' .*zero point, which QuantizeLinear adds after rounding",
    ),
    "wide": ("y = onnx.brevitas.Quant (x, s, z, wide)", "activations of 16 bits"),
    "bipolar": ("y = onnx.brevitas.BipolarQuant (x, s)", r"'n0' \(BipolarQuant\): .*1 bit.*narrow signed Quant of 2"),
    "trunc": ("y = onnx.brevitas.Trunc (x, s, z, b, b)", r"'n0' \(Trunc\): .*export average pooling without it"),
    "float": ("y = onnx.brevitas.FloatQuant (x, s, b)", r"'n0' \(FloatQuant\): .*quantise to integers"),
    "computed scale": (
        "t = ReduceMax (x)\n y = onnx.brevitas.Quant (x, t, z, b)",
        "'n1' .*scale is computed by the graph",
    ),
    "one bit": ("v = onnx.brevitas.Quant (w, s, z, one)\n y = MatMul (x, v)", "'n0' .*codes have 1 bit"),
    "half a bit": ("v = onnx.brevitas.Quant (w, s, z, s)\n y = MatMul (x, v)", "'n0' .*bit width is 0.5"),
    "mode": ('v = onnx.brevitas.Quant <rounding_mode = "ODD"> (w, s, z, b)\n y = MatMul (x, v)', "mode ODD is unknown"),
    "unsigned and wide": ("v = onnx.brevitas.Quant <signed = 0> (w, s, z, wide)\n y = MatMul (x, v)", "have 16 bits"),
    "no scale": ("v = onnx.brevitas.Quant (w, z, z, b)\n y = MatMul (x, v)", "'n0' .*scale or zero point is 0"),
    "computed": ("e = Exp (w)\n v = onnx.brevitas.Quant (e, s, z, b)\n y = MatMul (x, v)", "'n1' .*'e' is computed"),
    "no number": ("v = onnx.brevitas.Quant (nan, s, z, b)\n y = MatMul (x, v)", "'nan' are no numbers"),
}


def refused_model(parse, body):
    model = parse(
        f"""
        <ir_version: 8, opset_import: ["" : 18, "onnx.brevitas" : 1]>
        g (float[N, 6] x) => (float[N, 6] y)
        <float s = {{0.5}}, float z = {{0}}, float b = {{4}}, float one = {{1}}, float wide = {{16}}>
        {{ {body} }}
        """,
        w=halves((6, 6), 0.5),
        nan=np.full((6, 6), np.nan, np.float32),
    )
    for index, node in enumerate(model.graph):
        node.name = f"n{index}"
    return model


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_standard_form_is_refused_by_name(parse, name):
    body, match = REFUSED[name]
    with pytest.raises(UnsupportedError, match=match):
        fold(refused_model(parse, body))


def test_all_obstacles_are_named_at_once(parse):
    body = "t = onnx.brevitas.Trunc (x, s, z, b, b)\n y = onnx.brevitas.BipolarQuant (t, s)"
    with pytest.raises(UnsupportedError, match=r"'n0' \(Trunc\).*'n1' \(BipolarQuant\)"):
        fold(refused_model(parse, body))


def test_a_weight_that_callers_may_replace_is_refused(parse):
    model = refused_model(parse, "v = onnx.brevitas.Quant (w, s, z, b)\n y = MatMul (x, v)")
    model.graph.inputs.append(model.graph.initializers["w"])
    with pytest.raises(UnsupportedError, match="'w' is an input of the model too"):
        fold(model)


def test_files_that_had_to_list_their_weights_as_inputs_are_folded(parse, execute):
    w = halves((6, 4), 0.3)
    model = weight_model(parse, w, 0.3, 0.0, 4, opset=10)
    model.ir_version = 3
    model.graph.inputs.extend(model.graph.initializers.values())
    folded = fold(model)
    _, found, _ = stored(folded, execute, w)
    assert found.tolist() == next(reference(w, 0.3, 0.0, 4, 1, 0, "ROUND")).tolist()
    assert ([v.name for v in folded.graph.inputs], folded.ir_version) == (["x"], 4)
    assert len(model.graph.inputs) == 5  # the model itself is as it was


def test_an_activation_that_a_branch_computes_is_one(parse, execute):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18, "onnx.brevitas" : 1]>
        g (float[N, 6] x) => (float[N, 6] y) <float s = {0.3}, float z = {0}, float b = {4}, bool c = {1}> {
            h = If (c) <then_branch = a () => (float[N, 6] p) { p = Neg (x) },
                        else_branch = e () => (float[N, 6] q) { q = Identity (x) }>
            y = onnx.brevitas.Quant <signed = 1, narrow = 0> (h, s, z, b)
        }
        """
    )
    x = halves((9, 6), 0.3)
    expected = list(reference(-x, 0.3, 0.0, 4, 1, 0, "ROUND"))[1]
    assert execute(fold(model), {"x": x})[0].tolist() == expected.tolist()


def test_other_commands_point_to_fold(parse):
    model = weight_model(parse, halves((6, 4), 0.3), 0.3, 0.0, 4)
    next(iter(model.graph)).name = "weights"
    with pytest.raises(UnsupportedError, match=r"qonnx.custom_op.general::Quant in node 'weights'.*nfkit fold"):
        fault_sites(model)


def test_a_network_with_both_computes_what_its_quantisers_say(parse, execute):
    text = """
    <ir_version: 8, opset_import: ["" : 18, "qonnx.custom_op.general" : 1]>
    g (float[N, 3, 8, 8] x) => (float[N, 4] y)
    <float a = {0.00392156862}, float z = {0}, float b8 = {8}, float b4 = {4}, float b16 = {16}, float s_v = {0.2},
     float s_c = {0.01}>
    {
        p = qonnx.custom_op.general.Quant <signed = 0, narrow = 0, rounding_mode = "ROUND"> (x, a, z, b8)
        k = qonnx.custom_op.general.Quant <signed = 1, narrow = 1, rounding_mode = "ROUND"> (w, s_w, z, b4)
        c = qonnx.custom_op.general.Quant <signed = 1, narrow = 0, rounding_mode = "ROUND"> (bias, s_c, z, b16)
        h = Conv <pads = [1, 1, 1, 1]> (p, k, c)
        r = Relu (h)
        m = GlobalAveragePool (r)
        f = Flatten (m)
        d = qonnx.custom_op.general.Quant <signed = 1, narrow = 1, rounding_mode = "ROUND"> (v, s_v, z, b4)
        y = MatMul (f, d)
    }
    """
    random = np.random.default_rng(1)
    arrays = {
        "w": random.normal(size=(6, 3, 3, 3)).astype(np.float32),
        "s_w": (0.2 * (0.5 + random.random((6, 1, 1, 1)))).astype(np.float32),
        "v": random.normal(size=(6, 4)).astype(np.float32),
        "bias": random.normal(size=6).astype(np.float32),
    }
    folded = fold(parse(text, **arrays))
    x = random.random((5, 3, 8, 8), np.float32)
    # The same network in floats, every quantiser replaced by the numbers that it gives.
    values = {
        "p": reference(x, np.float32(0.00392156862), 0, 8, 0, 0, "ROUND"),
        "k": reference(arrays["w"], arrays["s_w"], 0, 4, 1, 1, "ROUND"),
        "c": reference(arrays["bias"], 0.01, 0, 16, 1, 0, "ROUND"),
        "d": reference(arrays["v"], 0.2, 0, 4, 1, 1, "ROUND"),
    }
    values = {name: list(pair)[1] for name, pair in values.items()}
    plain = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        g (float[N, 3, 8, 8] p) => (float[N, 4] y)
        {
            h = Conv <pads = [1, 1, 1, 1]> (p, k, c)
            r = Relu (h)
            m = GlobalAveragePool (r)
            f = Flatten (m)
            y = MatMul (f, d)
        }
        """,
        **{name: values[name] for name in "kcd"},
    )
    assert execute(folded, {"x": x})[0].tolist() == execute(plain, {"p": values["p"]})[0].tolist()
    assert {s.name: (s.role, s.bits) for s in find_sites(folded) if s.role in ("weight", "bias")} == {
        "w": ("weight", 4),
        "v": ("weight", 4),
        "bias": ("bias", 16),
    }
    assert {node.domain for node in folded.graph} == {""}
    assert isinstance(folded, ir.Model)
