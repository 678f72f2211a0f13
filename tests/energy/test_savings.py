"""Savings, against the published ones."""

import numpy as np
import pytest

from nfkit.energy import (
    SystolicArray,
    compare,
    count,
    efficiency_ratio,
    energy_saving,
    load_curve,
)
from nfkit.energy.curve_files import parse_curve
from nfkit.errors import ModelError

GENERATORS = ("ConvL", "ConvS", "DeConvL", "DeConvS", "UNetL", "UNetS")

# Accesses to the weight memory, and operations in millions, as published.
GENERATOR_ACCESSES = (320_256, 41_508, 259_264, 86_208, 180_894, 45_711)
GENERATOR_MACS = (80.5, 10.34, 64.69, 22.44, 41.41, 10.58)
BASE_ACCESSES = {
    "ResNet18": 2_755_968,
    "ResNet50": 6_182_144,
    "VGG11": 1_334_656,
    "VGG16": 2_366_848,
    "VGG19": 3_104_128,
}
BASE_MACS = {"ResNet18": 557.14, "ResNet50": 1310.0, "VGG11": 153.5, "VGG16": 314.43, "VGG19": 399.47}

# Energy saved in %, in the order of GENERATORS.
TABLE_2 = {
    "ResNet18": (19.0, 29.1, 21.2, 27.5, 24.0, 28.9),
    "ResNet50": (25.4, 29.9, 26.4, 29.2, 27.7, 29.9),
    "VGG11": (6.6, 27.5, 11.2, 24.1, 17.1, 27.2),
    "VGG16": (17.1, 28.9, 19.7, 27.0, 23.0, 28.7),
    "VGG19": (20.3, 29.7, 22.3, 27.8, 24.8, 29.1),
}
TABLE_8 = {
    "ResNet18": (16.2, 28.7, 19.0, 26.6, 23.2, 28.7),
    "ResNet50": (24.5, 29.8, 25.7, 28.9, 27.4, 29.8),
    "VGG11": (-21.8, 23.9, -11.5, 16.0, 3.6, 23.7),
    "VGG16": (5.0, 27.3, 10.0, 23.5, 17.4, 27.2),
    "VGG19": (10.4, 28.0, 14.4, 25.0, 20.2, 28.0),
}
SLIP = ("VGG19", "ConvS")  # printed 29.7; the paper's own accesses give 29.3

ENERGY = load_curve("neuralfuse").at_rate(0.01).energy
CURVE = parse_curve(
    "volts_over_vmin,bit_error_rate,energy_per_access\n0.8,0.01,0.64\n0.9,0.0001,0.81\n1,0,1\n", "square"
)


def assess(base, generator, point, curve, *, name="the generator", array=None):
    """What a generator, counted with 8-bit weights, saves in front of a base."""
    return compare(name, count(base, array), count(generator, array, weight_bits=8, part="generator"), point, curve)


@pytest.mark.parametrize("base", TABLE_2)
def test_table_2_to_the_digit(base):
    for generator, accesses, published in zip(GENERATORS, GENERATOR_ACCESSES, TABLE_2[base], strict=True):
        saved = round(100 * energy_saving(ENERGY, accesses, BASE_ACCESSES[base]), 1)
        assert saved == (29.3 if (base, generator) == SLIP else published)


@pytest.mark.parametrize("base", TABLE_8)
def test_table_8_to_a_tenth(base):
    for macs, published in zip(GENERATOR_MACS, TABLE_8[base], strict=True):
        assert abs(100 * energy_saving(ENERGY, macs, BASE_MACS[base]) - published) <= 0.1


def dense(parse, depth, outputs):
    """A base of one layer, which reads each of its weights once."""
    return parse(
        f"""
        <ir_version: 10, opset_import: ["" : 18]>
        dense (float[N, {depth}] x) => (float[N, {outputs}] y)
        <float s = {{0.5}}>
        {{ q = DequantizeLinear (w, s)  y = MatMul (x, q) }}
        """,
        w=np.ones((depth, outputs), np.int8),
    )


@pytest.fixture(scope="module")
def base(parse):
    return dense(parse, 100, 80)  # 1,000 words


def test_a_generator_that_pays(parse, base):
    saving = assess(base, dense(parse, 80, 10), CURVE.at_volts(0.8), CURVE, name="small")  # 100 words
    assert (saving.overhead, saving.by_accesses, saving.by_macs) == pytest.approx((0.1, 0.26, 0.26))
    assert saving.pays
    assert saving.break_even.volts == pytest.approx(0.9**0.5)  # where an access costs 0.9
    assert saving.break_even.rate is None  # between 0.9 Vmin and Vmin the curve states no rate
    assert saving.verdict == (
        "small saves 26.0 % at 0.800 Vmin, where 1 % of the bits flip: the voltage saves 36.0 % of the weight memory's "
        "energy, the generator's reads cost 10.0 %"
    )


def test_a_generator_that_does_not_pay(parse, base):
    saving = assess(base, dense(parse, 80, 30), CURVE.at_volts(0.9), CURVE, name="large")  # 300 words
    assert saving.by_accesses == pytest.approx(0.19 - 0.3)
    assert not saving.pays
    assert saving.break_even.volts == pytest.approx(0.7**0.5)
    assert saving.break_even.rate == pytest.approx(CURVE.at_volts(0.7**0.5).rate)
    assert saving.verdict.startswith("large costs more than it saves at 0.900 Vmin")
    assert saving.verdict.endswith("it would pay below 0.837 Vmin, where 0.185 % of the bits flip")


def test_at_break_even_nothing_is_saved(parse, base):
    generator = dense(parse, 80, 30)
    even = assess(base, generator, CURVE.at_volts(0.9), CURVE).break_even
    assert assess(base, generator, CURVE.at_volts(even.volts), CURVE).by_accesses == pytest.approx(0)


@pytest.mark.parametrize(
    ("outputs", "remedy"),
    [(50, "no voltage of the curve 'square' pays for it"), (100, "reads as many weights as the base")],
)
def test_a_generator_that_never_pays(parse, base, outputs, remedy):
    saving = assess(base, dense(parse, 80, outputs), CURVE.at_volts(0.8), CURVE)
    assert saving.break_even is None
    assert remedy in saving.verdict


def test_the_two_measures_may_disagree(parse, base):
    generator = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        pixels (float[N, 1, 10, 100] x) => (float[N, 1, 10, 100] y)
        { y = Conv <pads = [1, 1, 1, 1]> (x, w) }
        """,
        w=np.ones((1, 1, 3, 3), np.float32),
    )
    saving = assess(base, generator, CURVE.at_volts(0.8), CURVE)
    assert saving.overhead == 32 * 9 / 8 / 1000  # ceil(1000 / 32) folds, 8 bits a weight
    assert saving.by_macs == pytest.approx(0.36 - 9000 / 8000)
    assert "by operations it costs 76.5 % more than it saves" in saving.verdict


def test_energy_in_picojoules(parse, base):
    absolute = parse_curve(
        "# picojoules_per_access: 2\n# word_bits: 64\nvolts_over_vmin,bit_error_rate,energy_per_access\n"
        "0.8,0.01,0.64\n1,0,1\n",
        "absolute",
    )
    saving = assess(base, dense(parse, 80, 10), absolute.at_volts(0.8), absolute)
    assert saving.picojoules() == pytest.approx({"base_nominal": 2000, "base": 1280, "protected": 1480})
    other = assess(base, dense(parse, 80, 10), absolute.at_volts(0.8), absolute, array=SystolicArray(word_bits=32))
    assert other.picojoules() is None  # an access of another width has another energy
    assert assess(base, dense(parse, 80, 10), CURVE.at_volts(0.8), CURVE).picojoules() is None


def test_a_base_without_weights_has_nothing_to_save(parse):
    empty = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        empty (float[N, 4] x) => (float[N, 4] y)
        { y = Relu (x) }
        """
    )
    with pytest.raises(ModelError, match="no reads of weights"):
        compare("g", count(empty), count(empty), CURVE.at_volts(0.8), CURVE)


def test_uncounted_operators_are_in_the_verdict(parse, base):
    looking_up = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        looking (int64[N] i) => (float[N, 8] y)
        { y = Gather (w, i) }
        """,
        w=np.ones((8, 8), np.float32),
    )
    assert "(1 operator could not be counted)" in assess(base, looking_up, CURVE.at_volts(0.8), CURVE).verdict


def test_efficiency_ratio():
    assert efficiency_ratio(48.9, 723_273) == pytest.approx(67.6, abs=0.05)
