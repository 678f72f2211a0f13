"""The torch function is the ONNX model: same numbers as ONNX Runtime, and gradients that are what they should be."""

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from nfkit.access.runtime import Runner
from nfkit.errors import UnsupportedError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.injection.inject import with_codes
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.learn.gradients.frozen import FrozenGraph
from nfkit.learn.gradients.obstacles import find_unsupported, refuse_unsupported
from nfkit.model import to_bytes

ERRORS = BitErrors(0.05)


def gradient(frozen, x, cotangent, **options):
    x = x.clone().requires_grad_()
    (frozen(x, **options) * cotangent).sum().backward()
    return x.grad


# --- parity ---


def test_exact_model_equals_onnx_runtime_to_the_bit(exact, images):
    x = 1.5 * images(256, 2, 4, 4)  # beyond the range of the input's codes as well
    scores = FrozenGraph(exact)(x)
    assert scores.dtype is torch.float32
    assert np.array_equal(scores.numpy(), Runner(exact, level="basic")(x.numpy()))


def test_exact_model_on_a_faulty_chip_equals_onnx_runtime_to_the_bit(exact, images, read_by):
    x = 1.5 * images(256, 2, 4, 4)
    frozen = FrozenGraph(exact, fault_sites(exact))
    for seed in range(3):
        read = read_by(exact, Chip(seed), ERRORS)
        faulty = frozen(x, frozen.weights(read)).numpy()
        assert np.array_equal(faulty, Runner(with_codes(exact, read), level="basic")(x.numpy()))
        assert not np.array_equal(faulty, frozen(x).numpy())


def test_per_axis_and_uint8_weights_equal_onnx_runtime(convnet, images, read_by):
    model, x = convnet(), images(64, 2, 4, 4)
    frozen = FrozenGraph(model, fault_sites(model))
    for read in ({}, read_by(model, Chip(1), ERRORS)):
        expected = Runner(with_codes(model, read), level="basic")(x.numpy())
        # No quantiser behind the sums, which the two add in different orders: float32 rounding.
        np.testing.assert_allclose(frozen(x, frozen.weights(read)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("faulty", [False, True])
def test_zoo_model_equals_onnx_runtime_within_steps(zoo, faulty, read_by):
    x = zoo.spec.encode(zoo.test.x[:64])
    frozen = FrozenGraph(zoo.model, zoo.sites)
    read = read_by(zoo.model, Chip(50_001), BitErrors(0.01)) if faulty else {}
    with torch.no_grad():
        computed = frozen(torch.from_numpy(x), frozen.weights(read)).numpy()
    expected = Runner(with_codes(zoo.model, read), level="basic")(x)
    scale = zoo.model.graph.outputs[0].producer().inputs[1].const_value.numpy()
    steps = np.abs(computed - expected) / scale
    # Sums in another order may round an activation to the next code, and some of that may reach an output. The
    # outputs spread over more than 30 steps.
    assert steps.max() <= 3
    assert steps.mean() <= 0.05


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_integer_channels_last_input_equals_onnx_runtime(parse, dtype):
    zero = {"uint8": 128, "int8": 0}[dtype]
    model = parse(
        f"""
        <ir_version: 10, opset_import: ["" : 18]>
        camera ({dtype}[N, 4, 5, 3] pixels) => ({dtype}[N, 6] out)
        <float s = {{0.0078125}}, {dtype} z = {{{zero}}}, float s_w = {{0.015625}}, float s_y = {{0.03125}}>
        {{
            f = DequantizeLinear (pixels, s, z)
            t = Transpose <perm = [0, 3, 1, 2]> (f)
            w_f = DequantizeLinear (w, s_w)
            c = Conv (t, w_f)
            m = Flatten (c)
            out = QuantizeLinear (m, s_y, z)
        }}
        """,
        w=np.random.default_rng(0).integers(-30, 30, (1, 3, 3, 3), np.int8),
    )
    info = np.iinfo(dtype)
    x = np.random.default_rng(1).integers(info.min, info.max + 1, (50, 4, 5, 3), dtype)
    codes_out = FrozenGraph(model)(torch.from_numpy(x.astype(np.float32)))
    assert np.array_equal(codes_out.numpy(), Runner(model, level="basic")(x).astype(np.float32))


def test_bfloat16_is_close_to_float32(zoo):
    x = torch.from_numpy(zoo.spec.encode(zoo.test.x[:32]))
    with torch.no_grad():
        exact = FrozenGraph(zoo.model)(x)
        rounded = FrozenGraph(zoo.model, dtype=torch.bfloat16)(x)
    assert rounded.dtype is torch.float32
    # bfloat16 keeps 8 bits of a sum: relative errors of 2^-9 a layer, over some twenty layers that quantise in turn.
    assert (rounded - exact).abs().mean() <= 0.1 * exact.std()
    assert (rounded.argmax(1) == exact.argmax(1)).float().mean() >= 0.9


def test_the_model_and_the_given_codes_stay_as_they_are(exact, images, read_by):
    before = to_bytes(exact)
    read = read_by(exact, Chip(3), ERRORS)
    given = {name: array.copy() for name, array in read.items()}
    frozen = FrozenGraph(exact, fault_sites(exact))
    gradient(frozen, images(4, 2, 4, 4), 1.0, weights=frozen.weights(read))
    assert to_bytes(exact) == before
    assert all(np.array_equal(read[name], given[name]) for name in given)


# --- weights ---


def test_the_models_own_codes_are_the_default(exact, images):
    x, sites = images(32, 2, 4, 4), fault_sites(exact)
    frozen = FrozenGraph(exact, sites)
    own = frozen.weights({site.name: codes(exact, site) for site in sites})
    assert torch.equal(frozen(x, own), frozen(x))
    assert torch.equal(frozen(x, frozen.weights({})), frozen(x))


@pytest.mark.parametrize("name", ["w", "d"])
def test_codes_of_one_site_leave_the_others_as_they_are(exact, images, name):
    x = images(64, 2, 4, 4)
    site = next(s for s in fault_sites(exact) if s.name == name)
    other = codes(exact, site) ^ np.int8(64)
    frozen = FrozenGraph(exact, fault_sites(exact))
    expected = Runner(with_codes(exact, {name: other}), level="basic")(x.numpy())
    assert np.array_equal(frozen(x, frozen.weights({name: other})), expected)
    clean = Runner(exact, level="basic")(x.numpy())
    assert np.array_equal(frozen(x), clean)  # and no trace is left in the graph
    assert not np.array_equal(expected, clean)


def test_codes_that_an_operator_reads_directly_can_be_replaced(parse, images):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        integer (float[N, 4] x) => (float[N, 3] y)
        <float s = {0.0078125}, uint8 z = {128}, int8 z_w = {0}, float s_y = {0.0001220703125}>
        {
            q = QuantizeLinear (x, s, z)
            p = MatMulInteger (q, w, z, z_w)
            f = Cast <to = 1> (p)
            y = Mul (f, s_y)
        }
        """,
        w=np.random.default_rng(0).integers(-128, 128, (4, 3), np.int8),
    )
    x, (site,) = images(16, 4), fault_sites(model)
    frozen = FrozenGraph(model, [site])
    read = {"w": codes(model, site) ^ np.int8(64)}
    # Below level `extended` some processors saturate products of u8 and s8 codes.
    assert np.array_equal(frozen(x), Runner(model, level="all")(x.numpy()))
    expected = Runner(with_codes(model, read), level="all")(x.numpy())
    assert np.array_equal(frozen(x, frozen.weights(read)), expected)


# --- gradients ---


def test_gradient_of_a_smooth_model_is_that_of_central_differences(parse):
    random = np.random.default_rng(2)
    w1, w2 = random.normal(size=(5, 7)).astype(np.float32), random.normal(size=(7, 3)).astype(np.float32)
    bias, cotangent, x = random.normal(size=7).astype(np.float32), random.normal(size=3), random.normal(size=(4, 5))
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        smooth (float[N, 5] x) => (float[N, 3] y)
        { h = Gemm (x, w1, bias)
          t = Tanh (h)
          y = MatMul (t, w2) }
        """,
        w1=w1,
        w2=w2,
        bias=bias,
    )

    def value(x):  # in float64, where differences of 1e-6 leave ten digits
        return float((np.tanh(x @ w1.astype(float) + bias) @ w2.astype(float) @ cotangent).sum())

    expected = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-6
        expected[index] = (value(x + step) - value(x - step)) / 2e-6
    computed = gradient(FrozenGraph(model), torch.from_numpy(x).float(), torch.from_numpy(cotangent).float())
    # float32 in sums of seven terms: a few units of 1e-7, of values up to 10.
    np.testing.assert_allclose(computed, expected, atol=1e-5)


QUANTISED = """
    x_q = QuantizeLinear (x, s, z)
    x_f = DequantizeLinear (x_q, s, z)
    w1_f = DequantizeLinear (w1, s)
    h = MatMul (x_f, w1_f)
    h_q = QuantizeLinear (h, s_h, z_h)
    h_f = DequantizeLinear (h_q, s_h, z_h)
    w2_f = DequantizeLinear (w2, s)
    p = MatMul (h_f, w2_f)
    p_q = QuantizeLinear (p, s_p, z)
    y = DequantizeLinear (p_q, s_p, z)
"""
PLAIN = """
    w1_f = DequantizeLinear (w1, s)
    h = MatMul (x, w1_f)
    w2_f = DequantizeLinear (w2, s)
    y = MatMul (h, w2_f)
"""


def linear(parse, body, w1, w2, scale_of_h="0.125"):
    return parse(
        f"""
        <ir_version: 10, opset_import: ["" : 18]>
        linear (float[N, 4] x) => (float[N, 2] y)
        <float s = {{0.0078125}}, int8 z = {{0}}, float s_h = {{{scale_of_h}}}, uint8 z_h = {{100}},
         float s_p = {{0.25}}>
        {{ {body} }}
        """,
        w1=w1,
        w2=w2,
    )


def test_gradient_passes_straight_through_quantisers_that_do_not_saturate(parse, images):
    random = np.random.default_rng(3)
    w1, w2 = random.integers(-128, 128, (4, 6), np.int8), random.integers(-128, 128, (6, 2), np.int8)
    x, cotangent = 0.9 * images(32, 4), torch.tensor([1.0, -2.0])
    quantised, plain = (FrozenGraph(linear(parse, body, w1, w2)) for body in (QUANTISED, PLAIN))
    assert not torch.equal(quantised(x), plain(x))
    # Equal, not close: all factors are small multiples of powers of two.
    assert torch.equal(gradient(quantised, x, cotangent), gradient(plain, x, cotangent))


def test_gradient_is_zero_through_hidden_units_that_saturate(parse, images):
    w1 = np.full((4, 6), 16, np.int8)
    w1[:, 2] = 127  # with positive images, beyond the 155 steps that the hidden codes reach
    w2 = np.random.default_rng(3).integers(-128, 128, (6, 2), np.int8)
    x, cotangent = 0.5 + 0.4 * images(32, 4).abs(), torch.tensor([1.0, -2.0])
    quantised = FrozenGraph(linear(parse, QUANTISED, w1, w2, scale_of_h="0.0078125"))
    w2_of_the_others = w2.copy()
    w2_of_the_others[2] = 0
    others = FrozenGraph(linear(parse, PLAIN, w1, w2_of_the_others))
    assert torch.equal(gradient(quantised, x, cotangent), gradient(others, x, cotangent))
    assert gradient(quantised, x, cotangent).any()


@pytest.mark.parametrize(("zero", "low", "high"), [(0, -16.0, 15.875), (-28, -12.5, 19.375), (127, -31.875, 0.0)])
def test_gradient_is_one_within_the_codes_and_zero_beyond(parse, zero, low, high):
    model = parse(
        f"""
        <ir_version: 10, opset_import: ["" : 18]>
        rounding (float[N, 4] x) => (float[N, 4] y)
        <float s = {{0.125}}, int8 z = {{{zero}}}>
        {{ q = QuantizeLinear (x, s, z)
           y = DequantizeLinear (q, s, z) }}
        """
    )
    x = torch.tensor([[low - 1, low, -0.06, high], [low - 0.07, low + 0.5, high + 0.07, high + 1]])
    frozen = FrozenGraph(model)
    assert gradient(frozen, x, 1.0).tolist() == [[0, 1, 1, 1], [0, 1, 0, 0]]
    assert frozen(x)[0].tolist() == [low, low, 0.0, high]


def test_gradient_of_the_faulty_copy_is_that_of_the_baked_model(exact, images, read_by):
    sites = fault_sites(exact)
    frozen = FrozenGraph(exact, sites)
    read = read_by(exact, Chip(9), ERRORS)
    baked = exact.clone()
    for name, array in read.items():
        baked.graph.initializers[name].const_value = ir.tensor(array, name=name)
    x, cotangent = images(16, 2, 4, 4), torch.tensor([1.0, 2.0, -3.0])
    assert torch.equal(
        gradient(frozen, x, cotangent, weights=frozen.weights(read)), gradient(FrozenGraph(baked), x, cotangent)
    )
    assert gradient(frozen, x, cotangent).any()


# --- scores ---

TAILS = {
    "none": "y = Identity (p)",
    "softmax": "y = Softmax (p)",
    "softmax, then a cast": "t = Softmax (p) y = Cast <to = 1> (t)",
    "quantised": "q = QuantizeLinear (p, s, z) y = DequantizeLinear (q, s, z)",
    "quantised softmax": """
        q = QuantizeLinear (p, s, z)
        f = DequantizeLinear (q, s, z)
        t = Softmax (f)
        t_q = QuantizeLinear (t, s, z)
        y = DequantizeLinear (t_q, s, z)""",
}


@pytest.mark.parametrize("tail", TAILS)
def test_scores_are_the_values_in_front_of_softmax_and_quantisers(parse, images, tail):
    model = parse(
        f"""
        <ir_version: 10, opset_import: ["" : 18]>
        classifier (float[N, 4] x) => (float[N, 3] y)
        <float s = {{0.0078125}}, uint8 z = {{0}}>
        {{ p = MatMul (x, w)
           {TAILS[tail]} }}
        """,
        w=images(4, 3, seed=1).numpy(),
    )
    x = images(16, 4)
    logits = x @ images(4, 3, seed=1)
    torch.testing.assert_close(FrozenGraph(model)(x, scores=True), logits, rtol=0, atol=1e-6)  # sums of four terms
    np.testing.assert_allclose(FrozenGraph(model)(x), Runner(model, level="basic")(x.numpy()), atol=1e-6)


def test_scores_are_not_codes(parse, images):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        classifier (float[N, 4] x) => (float[N, 3] y)
        <float s = {0.5}, uint8 z = {100}>
        { p = MatMul (x, w)
          q = QuantizeLinear (p, s, z)
          f = Flatten (q)
          y = DequantizeLinear (f, s, z) }
        """,
        w=images(4, 3, seed=1).numpy(),
    )
    x, frozen = images(16, 4), FrozenGraph(model)
    # The logits or the output, which is half a step of 0.5 from them; the codes lie around 100.
    assert (frozen(x, scores=True) - frozen(x)).abs().max() <= 0.26


# --- what cannot be differentiated ---

FOREIGN = """
<ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>
foreign (float[2, 3, 3] x, int64[3] lengths) => (float[2] y)
{
    [first] a = Det (x)
    [second] b = ReverseSequence (x, lengths)
    [third] c = com.microsoft.Gelu (b)
    [fourth] d = Det (c)
    [fifth] y = Add (a, d)
}
"""


def test_every_operator_without_a_gradient_is_named_at_once(parse):
    found = {u.op: (u.nodes, u.reason) for u in find_unsupported(parse(FOREIGN))}
    assert {op: nodes for op, (nodes, _) in found.items()} == {
        "Det": ("first", "fourth"),
        "ReverseSequence": ("second",),
        "com.microsoft::Gelu": ("third",),
    }
    assert all("no gradient is known" in reason for _, reason in found.values())


def test_supported_models_have_nothing_to_name(exact, zoo):
    assert find_unsupported(exact) == []
    assert find_unsupported(zoo.model) == []
    refuse_unsupported(exact)


def test_unsupported_is_a_record(parse):
    entry = find_unsupported(parse(FOREIGN))[0].to_dict()
    assert entry == {"op": "Det", "nodes": ["first", "fourth"], "reason": "no gradient is known for it at opset 18"}


def test_refusal_names_operators_and_nodes_and_says_what_still_works(parse):
    model = parse(FOREIGN)
    with pytest.raises(UnsupportedError) as refusal:
        FrozenGraph(model)
    sentence = str(refusal.value)
    assert "Det (no gradient is known for it at opset 18) in nodes 'first', 'fourth'" in sentence
    assert "ReverseSequence (no gradient is known for it at opset 18) in node 'second'" in sentence
    assert "com.microsoft::Gelu" in sentence
    assert "Evaluating and injecting still work" in sentence
    assert "\n" not in sentence


def test_long_refusals_are_cut_after_five_nodes(parse):
    nodes = "\n".join(f"[n{i}] v{i + 1} = ReverseSequence (v{i}, lengths)" for i in range(8))
    text = f"""
    <ir_version: 10, opset_import: ["" : 18]>
    chain (float[2, 3, 3] v0, int64[3] lengths) => (float[2, 3, 3] v8)
    {{ {nodes} }}
    """
    with pytest.raises(UnsupportedError, match=r"nodes 'n0', 'n1', 'n2', 'n3', 'n4' and 3 more"):
        refuse_unsupported(parse(text))


def test_refusal_at_run_time_names_the_node(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 21]>
        early (float[N, 4] x) => (float8e4m3fn[N, 4] y)
        <float s = {0.5}>
        { [rounding] y = QuantizeLinear <output_dtype = 17> (x, s) }
        """
    )
    with pytest.raises(UnsupportedError, match="node 'rounding'"):
        FrozenGraph(model)(torch.zeros(1, 4))


# --- element types that torch or NumPy lack ---

EXOTIC = """
<ir_version: 11, opset_import: ["" : 23]>
g (float[N, 6] x) => (float[N, 4] y) <float s = {0.5}> {
    BODY
    y = MatMul (x, f)
}
"""


def exotic(body, kind, array):
    proto = onnx.parser.parse_model(EXOTIC.replace("BODY", body))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(array.astype(kind), "w"))
    return ir.from_proto(proto)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ml_dtypes.float8_e4m3fn, "f = DequantizeLinear (w, s)"),
        (ml_dtypes.float8_e5m2, "f = DequantizeLinear (w, s)"),
        (ml_dtypes.float4_e2m1fn, "f = DequantizeLinear (w, s)"),
        (ml_dtypes.float8_e4m3fn, "c = Cast <to = 1> (w)\n    f = Mul (c, s)"),
        (ml_dtypes.bfloat16, "c = Cast <to = 1> (w)\n    f = Mul (c, s)"),
    ],
)
def test_floats_of_few_bits_are_read_as_the_numbers_that_they_are(kind, body):
    array = np.random.default_rng(0).normal(size=(6, 4))
    model = exotic(body, kind, array)
    assert find_unsupported(model) == []
    x = torch.eye(6, requires_grad=True)
    y = FrozenGraph(model)(x)
    assert y.tolist() == (array.astype(kind).astype(np.float32) * np.float32(0.5)).tolist()
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient[0].tolist() == y.detach().sum(1).tolist()


@pytest.mark.parametrize(
    "body",
    [
        "c = Cast <to = 17> (x)\n    f = CastLike (w, x)",
        "c = CastLike (x, w)\n    f = CastLike (w, x)",
        "c = QuantizeLinear <output_dtype = 17> (x, s)\n    f = CastLike (w, x)",
    ],
)
def test_an_operator_that_makes_such_numbers_is_refused_in_the_report_as_in_the_run(body):
    model = exotic(body, ml_dtypes.float8_e4m3fn, np.ones((6, 4)))
    (unsupported,) = find_unsupported(model)
    assert unsupported.reason == "it makes element type FLOAT8E4M3FN"
    with pytest.raises(UnsupportedError, match="makes element type FLOAT8E4M3FN"):
        FrozenGraph(model)


def test_what_a_kernel_raises_is_a_sentence_with_the_node(parse):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        g (float[N, 6] x) => (float[N, 4] y) { [odd] y = MatMul (x, w) }
        """,
        w=np.ones((5, 4), np.float32),
    )
    with pytest.raises(
        UnsupportedError, match=r"node 'odd' \(MatMul\) cannot be computed of float32 \[2, 6\], .*\[5, 4\]"
    ):
        FrozenGraph(model)(torch.zeros(2, 6))


def test_codes_of_the_input_are_divided_as_integers(parse, execute):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        g (int8[N, 5] x) => (float[N, 5] y) <int8 by = {3}> {
            h = Div (x, by)
            y = Cast <to = 1> (h)
        }
        """
    )
    x = np.arange(-10, 10, dtype=np.int8).reshape(4, 5)
    given = torch.from_numpy(x.astype(np.float32)).requires_grad_()
    y = FrozenGraph(model)(given)
    assert y.tolist() == execute(model, {"x": x})[0].tolist()
    (gradient,) = torch.autograd.grad(y.sum(), given)
    assert gradient.unique().tolist() == [pytest.approx(1 / 3)]
