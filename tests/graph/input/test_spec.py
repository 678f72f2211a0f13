"""What a model takes, found from its graph or given, and the way into its input space and back."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfkit.errors import DataError, OptionError, UnsupportedError
from nfkit.graph.input.discovery import find_input
from nfkit.graph.input.spec import InputSpec

HEADER = '<ir_version: 10, opset_import: ["" : 18]>\n'


@pytest.fixture(scope="module")
def network(parse):
    """network(input, initializers, nodes): a model from its input's type to whatever comes out."""

    def build(image, body, initializers="", out="float"):
        return parse(f"{HEADER}g ({image} x) => ({out} y) <{initializers}> {{ {body} }}")

    return build


def quantised_at_the_input(network, scale, zero, kind="uint8", shape="N, 3, 8, 8", before="", name="x"):
    return network(
        f"float[{shape}]",
        f"{before} q = QuantizeLinear ({name}, s, z) y = DequantizeLinear (q, s, z)",
        f"float s = {{{scale}}}, {kind} z = {{{zero}}}",
    )


@pytest.mark.parametrize(
    ("scale", "zero", "kind", "snapped"),
    [
        (2 / 255, 128, "uint8", (-1.0, 1.0)),
        (2 / 255, 127, "uint8", (-1.0, 1.0)),
        (1 / 128, 0, "int8", (-1.0, 1.0)),
        (1 / 127, 0, "int8", (-1.0, 1.0)),
        (1 / 255, 0, "uint8", (0.0, 1.0)),
        (1 / 255, -128, "int8", (0.0, 1.0)),
        (1.0, 0, "uint8", (0.0, 255.0)),
        (1.0, -128, "int8", (0.0, 255.0)),
        (1.0, 0, "int8", (-128.0, 127.0)),
    ],
)
def test_range_of_a_quantised_input_snaps_to_the_customary_one(network, scale, zero, kind, snapped):
    spec = find_input(quantised_at_the_input(network, scale, zero, kind))
    assert (spec.name, spec.dtype, spec.layout, spec.shape, spec.batch) == ("x", "float32", "NCHW", (3, 8, 8), "N")
    assert (spec.low, spec.high) == ((snapped[0],), (snapped[1],))
    assert "QuantizeLinear" in spec.source


def test_range_that_nobody_uses_is_kept_as_it_is(network):
    spec = find_input(quantised_at_the_input(network, 0.0625, 100))
    assert (spec.low, spec.high) == ((-6.25,), (9.6875,))


def test_quantize_without_a_zero_point_is_uint8_from_0(network):
    model = network("float[N, 3, 8, 8]", "q = QuantizeLinear (x, s) y = DequantizeLinear (q, s)", "float s = {0.0625}")
    assert (find_input(model).low, find_input(model).high) == ((0.0,), (15.9375,))


def test_range_is_found_where_scales_are_constant_nodes(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        g (float[N, 3, 4, 4] x) => (uint8[N, 3, 4, 4] y) {
            two = Constant <value = float {2.0}> ()
            s = Constant <value = float {0.0078431}> ()
            z = Constant <value = uint8 {0}> ()
            h = Mul (x, two)
            y = QuantizeLinear (h, s, z)
        }
        """
    )
    spec = find_input(model, layout="NCHW")
    assert (spec.low, spec.high) == ((0.0,), (1.0,))


@pytest.mark.parametrize(
    ("body", "initializers", "low", "high"),
    [
        # 2 x - 1 spans -1 to 1: x from 0 to 1
        ("a = Mul (x, two) b = Add (a, minus)", "float two = {2}, float minus = {-1}", 0.0, 1.0),
        ("a = Mul (two, x) b = Sub (a, one)", "float two = {2}, float one = {1}", 0.0, 1.0),
        # x / 127.5 - 1: x from 0 to 255
        ("a = Div (x, half) b = Add (a, minus)", "float half = {127.5}, float minus = {-1}", 0.0, 255.0),
        ("a = Transpose <perm = [0, 3, 1, 2]> (x) b = Mul (a, c)", "float c = {0.0078125}", -128.0, 127.0),
        # one number a channel, all of them equal
        (
            "a = Sub (x, m) t = Transpose <perm = [0, 3, 1, 2]> (a) b = Add (t, m)",
            "float[1, 1, 1] m = {0.25}",
            -1.0,
            1.0,
        ),
        # a negative factor turns the range round
        ("a = Mul (x, two) b = Add (a, one)", "float two = {-2}, float one = {1}", 0.0, 1.0),
    ],
)
def test_range_is_carried_back_through_an_affine_chain(network, body, initializers, low, high):
    model = network(
        "float[N, 8, 8, 3]",
        f"{body} q = QuantizeLinear (b, s, z) y = DequantizeLinear (q, s, z)",
        f"{initializers}, float s = {{0.00784313725490196}}, int8 z = {{0}}",
    )
    spec = find_input(model)
    assert (spec.low, spec.high) == ((low,), (high,))
    assert spec.layout == "NHWC"


@pytest.mark.parametrize(
    ("body", "initializers"),
    [
        ("y = Relu (x)", ""),
        ("a = Relu (x) q = QuantizeLinear (a, s) y = DequantizeLinear (q, s)", "float s = {1}"),
        (
            "a = Mul (x, k) q = QuantizeLinear (a, s) y = DequantizeLinear (q, s)",
            "float[3, 1, 1] k = {1, 2, 3}, float s = {1}",
        ),
        ("a = Sub (k, x) q = QuantizeLinear (a, s) y = DequantizeLinear (q, s)", "float k = {1}, float s = {1}"),
    ],
)
def test_unknown_range_is_asked_for_when_needed(network, body, initializers):
    spec = find_input(network("float[N, 3, 8, 8]", body, initializers))
    assert (spec.low, spec.high, spec.source) == (None, None, "unknown")
    with pytest.raises(OptionError, match=r"range of input 'x' cannot be told .* give --range LOW HIGH, or --mean"):
        spec.bounds()


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("int8", -128.0, 127.0), ("uint8", 0.0, 255.0), ("int16", -32768.0, 32767.0)]
)
def test_integer_input_takes_all_its_codes(network, kind, low, high):
    spec = find_input(network(f"{kind}[N, 8, 8, 3]", "y = Cast <to = 1> (x)"))
    assert (spec.dtype, spec.layout, spec.low, spec.high) == (kind, "NHWC", (low,), (high,))
    assert spec.image_shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("shape", "layout", "image_shape"),
    [
        ("N, 3, 8, 9", "NCHW", (3, 8, 9)),
        ("N, 1, 8, 9", "NCHW", (1, 8, 9)),
        ("N, 8, 9, 3", "NHWC", (3, 8, 9)),
        ("N, 8, 9, 1", "NHWC", (1, 8, 9)),
        ("N, 8, 9", "NHW", (1, 8, 9)),
        ("N, 30", "NC", (1, 1, 30)),
    ],
)
def test_layout_follows_from_the_shape(network, shape, layout, image_shape):
    spec = find_input(network(f"float[{shape}]", "y = Relu (x)"))
    assert (spec.layout, spec.image_shape) == (layout, image_shape)


def test_layout_follows_from_the_first_operator_where_the_shape_does_not_tell(network, parse):
    model = network("float[N, 8, 8, 8]", "y = Transpose <perm = [0, 3, 1, 2]> (x)")
    assert find_input(model).layout == "NHWC"
    model = network("float[N, 8, 8, 8]", "y = Transpose <perm = [0, 2, 3, 1]> (x)")
    assert find_input(model).layout == "NCHW"
    text = HEADER + "g (float[N, 8, 8, 8] x) => (float[N, 2, 8, 8] y) { y = Conv (x, w) }"
    assert find_input(parse(text, w=np.zeros((2, 8, 1, 1), np.float32))).layout == "NCHW"
    text = (
        HEADER + "g (float[N, 3, 8, 3] x) => (float[N, 2, 8, 3] y) <float k = {2}> { a = Mul (x, k) y = Conv (a, w) }"
    )
    assert find_input(parse(text, w=np.zeros((2, 3, 1, 1), np.float32))).layout == "NCHW"


@pytest.mark.parametrize("shape", ["N, 8, 8, 8", "N, 3, 8, 3"])
def test_ambiguous_layout_is_asked_for(network, shape):
    model = network(f"float[{shape}]", "y = Relu (x)")
    with pytest.raises(OptionError, match="may be channels first or last: give --input-layout"):
        find_input(model)
    assert find_input(model, layout="nhwc").layout == "NHWC"


@pytest.mark.parametrize("layout", ["NHW", "NC", "HWC", "NCHWD"])
def test_layout_that_does_not_fit_is_refused(network, layout):
    model = network("float[N, 3, 8, 8]", "y = Relu (x)")
    with pytest.raises(OptionError, match=r"does not fit an input of shape \[3, 8, 8\]: choose NCHW or NHWC"):
        find_input(model, layout=layout)


def test_several_inputs_are_refused_by_name(parse):
    model = parse(HEADER + "g (float[N, 3] a, float[N, 3] b) => (float[N, 3] y) { y = Add (a, b) }")
    with pytest.raises(UnsupportedError, match=r"2 inputs \('a', 'b'\): nfkit treats models with one"):
        find_input(model)


def test_initializers_among_the_inputs_do_not_count(network):
    model = quantised_at_the_input(network, 1.0, 0)
    model.graph.inputs.insert(0, model.graph.initializers["s"])
    assert find_input(model).name == "x"


@pytest.mark.parametrize("shape", ["N", "N, 1, 2, 3, 4"])
def test_inputs_that_are_no_image_and_no_features_are_refused(network, shape):
    with pytest.raises(UnsupportedError, match="input 'x'"):
        find_input(network(f"float[{shape}]", "y = Relu (x)"))


def test_free_axes_besides_the_batch_are_refused(network):
    with pytest.raises(UnsupportedError, match=r"free axes besides the batch .*fix them first"):
        find_input(network("float[N, 3, H, 8]", "y = Relu (x)"))


def test_fixed_batch_is_a_number(network):
    assert find_input(network("float[4, 3, 8, 8]", "y = Relu (x)")).batch == 4
    assert find_input(network("float[samples, 3, 8, 8]", "y = Relu (x)")).batch == "samples"


def test_given_range_goes_first(network):
    spec = find_input(quantised_at_the_input(network, 1.0, 0), value_range=(-2.0, 3.0))
    assert (spec.low, spec.high, spec.source) == ((-2.0,), (3.0,), "given")


def test_mean_and_std_give_a_range_a_channel(network):
    mean, std = (0.5, 0.25, 0.0), (0.5, 0.25, 2.0)
    spec = find_input(network("float[N, 3, 8, 8]", "y = Relu (x)"), mean=mean, std=std)
    assert (spec.low, spec.high) == ((-1.0, -1.0, 0.0), (1.0, 3.0, 0.5))
    one = find_input(network("float[N, 3, 8, 8]", "y = Relu (x)"), mean=(0.5,), std=(0.25,))
    assert (one.low, one.high) == ((-2.0,), (2.0,))
    mixed = find_input(network("float[N, 3, 8, 8]", "y = Relu (x)"), mean=(0.5,), std=(0.5, 0.25, 0.125))
    assert (mixed.low, mixed.high) == ((-1.0, -2.0, -4.0), (1.0, 2.0, 4.0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mean": (0.5,)}, "mean and std go together"),
        ({"std": (0.5,)}, "mean and std go together"),
        ({"mean": (0.5,), "std": (0.5,), "value_range": (0, 1)}, "not both"),
        ({"mean": (0.5, 0.5), "std": (0.5,)}, "take 1 or 3 numbers"),
        ({"mean": (0.5,), "std": (0.0,)}, "std above 0"),
        ({"mean": (0.5,), "std": (-1.0,)}, "std above 0"),
        ({"value_range": (1.0, 1.0)}, "is empty"),
        ({"value_range": (1.0, 0.0)}, "is empty"),
        ({"value_range": (float("nan"), 1.0)}, r"--range nan 1: give finite numbers"),
        ({"value_range": (-float("inf"), float("inf"))}, r"--range -inf inf: give finite numbers"),
        ({"value_range": (-1e300, 1e300)}, r"--range -1e\+300 1e\+300: give finite numbers"),
        ({"mean": (float("nan"),), "std": (0.5,)}, r"--mean nan: give finite numbers"),
        ({"mean": (0.5,), "std": (0.5, float("inf"), 0.5)}, r"--std 0\.5 inf 0\.5: give finite numbers"),
        ({"mean": (0.5,), "std": (1e-45,)}, "leave no range that float32 can hold"),
    ],
)
def test_options_that_contradict_are_refused(network, options, words):
    with pytest.raises(OptionError, match=words):
        find_input(network("float[N, 3, 8, 8]", "y = Relu (x)"), **options)


def spec_of(dtype, layout, shape, low, high):
    return InputSpec("x", dtype, layout, shape, "N", low, high, "given")


SPECS = [
    spec_of("float32", "NCHW", (3, 4, 5), (-1.0,), (1.0,)),
    spec_of("float32", "NCHW", (3, 4, 5), (0.0,), (1.0,)),
    spec_of("float32", "NHWC", (4, 5, 3), (0.0,), (255.0,)),
    spec_of("float32", "NCHW", (3, 4, 5), (-2.1, -2.0, -1.8), (2.2, 2.4, 2.6)),
    spec_of("float32", "NHWC", (4, 5, 3), (-2.1, -2.0, -1.8), (2.2, 2.4, 2.6)),
    spec_of("int8", "NHWC", (4, 5, 3), (-128.0,), (127.0,)),
    spec_of("uint8", "NHWC", (4, 5, 3), (0.0,), (255.0,)),
    spec_of("int8", "NCHW", (3, 4, 5), (-128.0,), (127.0,)),
    spec_of("float32", "NHW", (4, 5), (0.0,), (1.0,)),
    spec_of("float32", "NC", (20,), (0.0,), (1.0,)),
    spec_of("float16", "NCHW", (3, 4, 5), (-1.0,), (1.0,)),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.dtype}-{s.layout}-{s.low}")
def test_uint8_images_become_the_valid_range(spec):
    C, H, W = spec.image_shape
    images = np.random.default_rng(2).integers(0, 256, (7, H, W, C), np.uint8)
    images[0], images[1] = 0, 255
    encoded = spec.encode(images)
    assert encoded.dtype == spec.dtype
    assert encoded.shape == (7, *spec.shape)
    by_channel = images.astype(np.float64) / 255 * (np.array(spec.high) - spec.low) + spec.low
    expected = by_channel if spec.layout == "NHWC" else by_channel.transpose(0, 3, 1, 2)
    # float32 rounds the level, the product and the sum, float16 the result: each half a unit of the largest value.
    # Integer codes are a grid of the levels themselves, so they are met exactly.
    widest = max(map(abs, (*spec.low, *spec.high)))
    slack = {"float32": 4 * 2.0**-24, "float16": 2.0**-10}.get(spec.dtype, 0.0) * widest
    assert np.abs(encoded.reshape(expected.shape) - expected).max() <= slack + 1e-12


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "NC"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_every_code_survives_normalising_and_denormalising(dtype, layout):
    info = np.iinfo(dtype)
    shape = {"NCHW": (1, 16, 16), "NHWC": (16, 16, 1), "NC": (256,)}[layout]
    spec = spec_of(dtype, layout, shape, (float(info.min),), (float(info.max),))
    every = np.arange(info.min, info.max + 1).astype(dtype).reshape(1, *shape)
    levels = spec.normalise(every)
    assert levels.dtype == np.float32
    assert (levels.min(), levels.max()) == (-1.0, 1.0)
    back = spec.denormalise(levels)
    assert back.dtype == dtype
    assert back.tolist() == every.tolist()


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_every_level_of_an_image_is_a_code_of_its_own(dtype):
    info = np.iinfo(dtype)
    spec = spec_of(dtype, "NHWC", (16, 16, 1), (float(info.min),), (float(info.max),))
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert spec.encode(images).ravel().tolist() == list(range(info.min, info.max + 1))


def test_denormalise_saturates_and_rounds_half_to_even():
    spec = spec_of("int8", "NC", (6,), (-2.0,), (2.0,))
    levels = np.array([-1.25, -0.75, -0.25, 0.25, 0.75, 100.0], np.float32).reshape(1, 1, 1, 6)
    assert spec.denormalise(levels).tolist() == [[-2, -2, 0, 0, 2, 127]]


@given(st.sampled_from([s for s in SPECS if s.dtype == "float32"]), st.integers(0, 2**32))
def test_floats_survive_denormalising_and_normalising(spec, seed):
    levels = np.random.default_rng(seed).uniform(-1, 1, (2, *spec.image_shape)).astype(np.float32)
    # Three roundings to float32 of values no larger than twice the range's, seen in half widths of it.
    reach = max(max(abs(a), abs(b)) / ((b - a) / 2) for a, b in zip(spec.low, spec.high, strict=True))
    assert np.abs(spec.normalise(spec.denormalise(levels)) - levels).max() <= 4 * 2.0**-23 * (1 + reach)


def test_arrays_in_the_input_space_pass_unchanged():
    generator = np.random.default_rng(2)
    floats = generator.uniform(-1, 1, (2, 3, 4, 5)).astype(np.float32)
    assert SPECS[0].encode(floats).tolist() == floats.tolist()
    assert SPECS[0].encode(floats.transpose(0, 2, 3, 1)).tolist() == floats.tolist()
    assert SPECS[0].encode(floats.astype(np.float64)).dtype == np.float32
    codes = generator.integers(-128, 128, (2, 4, 5, 3), np.int8)
    assert SPECS[5].encode(codes).tolist() == codes.tolist()
    assert SPECS[5].encode(codes.transpose(0, 3, 1, 2)).tolist() == codes.tolist()


@pytest.mark.parametrize(
    ("spec", "data", "words"),
    [
        (SPECS[0], np.zeros((2, 3, 4, 6), np.float32), r"shape \[3, 4, 6\] a sample, input 'x' takes \[3, 4, 5\]"),
        (SPECS[0], np.zeros((2, 4, 3, 5), np.float32), "resize or transpose the data"),
        (SPECS[0], np.zeros((2, 4, 5, 1), np.uint8), "give uint8 images"),
        (SPECS[0], np.zeros((2, 3, 4, 5), np.int8), "the data is int8"),
        (SPECS[5], np.zeros((2, 4, 5, 3), np.float32), "the data is float32"),
        (SPECS[5], np.zeros((2, 5, 4, 3), np.int8), "resize or transpose the data"),
        (SPECS[0], np.full((2, 3, 4, 5), 255, np.float32), r"spans 255 to 255, input 'x' takes -1 to 1 \(given\)"),
        (SPECS[1], np.full((2, 3, 4, 5), -1, np.float32), "preprocess the data as for the model, or give --range"),
        (SPECS[1], np.full((2, 3, 4, 5), np.inf, np.float32), "spans inf"),
        (SPECS[1], np.full((2, 3, 4, 5), np.nan, np.float32), "nan"),
    ],
)
def test_data_that_does_not_fit_is_refused(spec, data, words):
    with pytest.raises(DataError, match=words):
        spec.encode(data)


def test_range_is_not_checked_where_nobody_knows_it():
    spec = spec_of("float32", "NC", (2,), None, None)
    assert spec.encode(np.array([[1e6, -1e6]], np.float32)).tolist() == [[1e6, -1e6]]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.dtype}-{s.layout}-{s.low}")
def test_specs_survive_a_record(spec):
    assert InputSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(("value", "fits"), [(-2.09, True), (-2.11, False), (3.09, True), (3.11, False)])
def test_channels_of_different_ranges_leave_a_fiftieth_of_the_widest_span(value, fits):
    """Ranges -2 to 1 and -1 to 3 span 5 together, so that data may be 0.1 beyond."""
    spec = InputSpec("x", "float32", "NCHW", (2, 1, 1), "N", (-2.0, -1.0), (1.0, 3.0), "given")
    x = np.array([[0.0, value]], np.float32).reshape(1, 2, 1, 1)
    if fits:
        assert spec.encode(x).tolist() == x.tolist()
    else:
        with pytest.raises(DataError, match="takes -2 to 3"):
            spec.encode(x)
