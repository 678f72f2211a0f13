"""What stands against a model, said before anything begins."""

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.energy import count
from nfkit.errors import UnsupportedError
from nfkit.graph.input.positions import refuse_positions
from nfkit.graph.memory.coverage import coverage
from nfkit.graph.memory.scales import odd_scales
from nfkit.graph.memory.sites import find_sites
from nfkit.graph.memory.survey import Survey
from nfkit.workflows.obstacles import find_obstacles

HEADER = '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1, "qonnx.custom_op.general" : 1]>\n'


def parse(text, **arrays):
    proto = onnx.parser.parse_model(HEADER + text)
    for name, array in arrays.items():
        proto.graph.initializer.append(ir.to_proto(ir.tensor(array, name=name)))
    return ir.from_proto(proto)


def product(output="float[N, 4] y", tail="y = MatMul (x, f)", **more):
    text = f"g (float[N, 12] x) => ({output}) <float s = {{0.02}}> {{ f = DequantizeLinear (w, s)  {tail} }}"
    return parse(text, **{"w": np.ones((12, 4), np.int8), **more})


def test_nothing_stands_against_a_classifier():
    found = find_obstacles(product())
    assert (found.evaluating, found.protecting) == ((), ())


def test_an_output_that_is_no_score_a_class():
    model = parse(
        """
        g (float[N, 3, 8, 8] x) => (float[N, 5, 8, 8] y) <float s = {0.02}> {
            f = DequantizeLinear (w, s)
            y = Conv <pads = [1, 1, 1, 1]> (x, f)
        }
        """,
        w=np.ones((5, 3, 3, 3), np.int8),
    )
    (sentence,) = find_obstacles(model).evaluating
    assert "output 'y' has shape [1, 5, 8, 8]" in sentence
    assert "--metric" in sentence


def test_an_input_of_positions_is_refused_before_anything_runs():
    model = parse(
        """
        g (int64[N, 3] x) => (float[N, 4] y) <float s = {0.02}, int64[1] axis = {1}> {
            f = DequantizeLinear (w, s)
            e = Gather (f, x)
            y = ReduceMean <keepdims = 0> (e, axis)
        }
        """,
        w=np.ones((10, 4), np.int8),
    )
    found = find_obstacles(model)
    assert found.evaluating == ()
    assert "input 'x' holds positions that 'Gather' looks up" in found.protecting[0]
    with pytest.raises(UnsupportedError, match="holds positions"):
        refuse_positions(model)


QUANT = """
g (float[N, 12] x) => (float[N, 4] y) <float s = {{0.1}}, float z = {{0}}, float b = {{3}}> {{
    q = qonnx.custom_op.general.{quant}
    y = MatMul (x, q)
}}
"""


def test_what_fold_takes_is_sent_there_and_nothing_else():
    w = np.linspace(-1, 1, 48, dtype=np.float32).reshape(12, 4)
    three = parse(QUANT.format(quant="Quant <signed = 1, narrow = 1> (w, s, z, b)"), w=w)
    one = parse(QUANT.format(quant="BipolarQuant (w, s)"), w=w)
    assert "nfkit fold MODEL -o OUT" in find_obstacles(three).evaluating[0]
    assert "nfkit fold does not take them" in find_obstacles(one).evaluating[0]
    assert "nfkit fold stores them" in coverage(three).sentence()
    assert "one bit" in coverage(one).sentence()
    assert odd_scales(Survey(three)) == []  # a zero point of 0 is no scale of 0


def test_a_tensor_without_elements_is_no_memory():
    model = parse(
        """
        g (float[N, 12] x) => (float[N, 4] y) <float s = {0.02}> {
            c = Concat <axis = 0> (w, none)
            f = DequantizeLinear (c, s)
            y = MatMul (x, f)
        }
        """,
        w=np.ones((12, 4), np.int8),
        none=np.zeros((0, 4), np.int8),
    )
    assert [site.name for site in find_sites(model)] == ["w"]


def test_packed_codes_are_as_many_parameters_as_they_are_weights():
    model = parse(
        """
        g (float[N, 32] x) => (float[N, 4] y) {
            y = com.microsoft.MatMulNBits <K = 32, N = 4, bits = 4, block_size = 16> (x, w, s)
        }
        """,
        w=np.ones((4, 2, 8), np.uint8),
        s=np.ones(8, np.float32),
    )
    assert (count(model).weights, count(model).parameters) == (128, 128)
    narrow = product(w=np.ones((12, 4), ml_dtypes.int4))
    assert count(narrow).parameters == 48


def test_shapes_are_known_behind_a_global_average_of_codes():
    model = parse(
        """
        g (uint8[N, 3, 8, 8] x) => (uint8[N, 4] y) <float s = {0.02}, uint8 z = {0}, int8 zw = {0}> {
            a = com.microsoft.QLinearGlobalAveragePool <channels_last = 0> (x, s, z, s, z)
            f = Flatten (a)
            y = com.microsoft.QGemm (f, s, z, w, s, zw, b, s, z)
        }
        """,
        w=np.ones((3, 4), np.int8),
        b=np.zeros(4, np.int32),
    )
    counted = count(model)
    assert (counted.macs, counted.uncounted) == (12, ())
