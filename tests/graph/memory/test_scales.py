"""Scales that are no use are named; those that make no numbers are refused."""

import numpy as np
import pytest

from nfkit.errors import ModelError
from nfkit.graph.memory.scales import odd_scales
from nfkit.graph.memory.sites import fault_sites, find_sites
from nfkit.graph.memory.survey import Survey

CHANNELS = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[N, 4] x) => (float[N, 6] y) <float a = {0.1}, uint8 z = {0}> {
    q = QuantizeLinear (x, a, z)
    d = DequantizeLinear (q, a, z)
    [weights] f = DequantizeLinear <axis = 1> (w, s)
    y = MatMul (d, f)
}
"""


def channels(parse, *scales, text=CHANNELS):
    return parse(text, w=np.ones((4, 6), np.int8), s=np.array(scales, np.float32))


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_a_scale_that_is_no_number_is_refused_by_name(parse, value, word):
    model = channels(parse, 1, 1, value, 1, 1, value)
    with pytest.raises(ModelError, match=rf"'s' of node 'weights' is {word} at 2 of 6 places \(2, 5\).*quantise"):
        fault_sites(model)
    assert [site.name for site in find_sites(model) if site.role == "weight"] == ["w"]  # looking at it still works


def test_odd_scales_are_warned_of_and_do_not_stop(parse):
    model = channels(parse, 1, 0, 1e-42, 1e30, -0.02, 0.02)
    found = {odd.what: (odd.places, odd.fatal) for odd in odd_scales(Survey(model))}
    assert found == {"0": ((1,), False), "denormal": ((2,), False), "huge": ((3,), False)}
    assert [site.name for site in fault_sites(model)] == ["w"]


def test_a_quantiser_that_divides_by_zero_is_refused(parse):
    model = channels(parse, *[1] * 6, text=CHANNELS.replace("a = {0.1}", "a = {0.0}"))
    with pytest.raises(ModelError, match="scale 'a' of node 'QuantizeLinear' is 0 throughout: the model computes no"):
        fault_sites(model)


def test_scales_of_arithmetic_are_scales_too(parse):
    text = CHANNELS.replace(
        "[weights] f = DequantizeLinear <axis = 1> (w, s)", "c = Cast <to = 1> (w) [weights] f = Mul (s, c)"
    )
    with pytest.raises(ModelError, match="'s' of node 'weights' is NaN"):
        fault_sites(channels(parse, 1, np.nan, 1, 1, 1, 1, text=text))
    assert odd_scales(Survey(channels(parse, 1, 0, 1, 0, 1, 0, text=text))) == []  # a mask of channels


def test_small_scales_of_half_precision_are_usual(parse):
    text = CHANNELS.replace("float", "float16").replace("float16 a = {0.1}, ", "").replace('"" : 18', '"" : 19')
    half = np.full(6, 3e-5, np.float16)
    model = parse(text, w=np.ones((4, 6), np.int8), s=half, a=half[0])
    assert odd_scales(Survey(model)) == []
