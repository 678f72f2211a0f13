"""Closed forms of the weight reads, against a simulation that works off the folds of real layers."""

from itertools import product

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nfkit.energy import DATAFLOWS, SystolicArray, count, parse_array
from nfkit.energy.layers import Layer
from nfkit.errors import OptionError


def windows(extents, kernel, strides, dilations, pads):
    """Output positions of a convolution, found by moving the kernel over the padded input until it no longer fits."""
    along = []
    for extent, size, stride, dilation, (before, after) in zip(extents, kernel, strides, dilations, pads, strict=True):
        starts, start = [], -before
        while start + dilation * (size - 1) < extent + after:
            starts.append(start)
            start += stride
        along.append(starts)
    return list(product(*along))


def simulate(array, groups, positions, weights):
    """Weights that flow from the memory into the array, counted one by one.

    Args:
        array: The accelerator.
        groups: How many products.
        positions: Output positions of one product.
        weights: [groups, depth, outputs], each a number of its own.

    Returns:
        Reads, and how often each weight is read.
    """
    depth, outputs = weights.shape[1:]
    times = np.zeros(weights.size, np.int64)
    for group in range(groups):
        matrix = weights[group]
        if array.dataflow == "os":  # rows hold positions, columns outputs
            for _ in range(0, positions, array.rows):
                for column in range(0, outputs, array.columns):
                    for step in range(depth):
                        times[matrix[step, column : column + array.columns]] += 1
        elif array.dataflow == "ws":  # rows hold the depth, columns outputs
            for row in range(0, depth, array.rows):
                for column in range(0, outputs, array.columns):
                    times[matrix[row : row + array.rows, column : column + array.columns]] += 1
        else:  # rows hold the depth of the inputs, columns positions; the weights stream through
            for row in range(0, depth, array.rows):
                for _ in range(0, positions, array.columns):
                    for output in range(outputs):
                        times[matrix[row : row + array.rows, output]] += 1
    return times


@st.composite
def convolutions(draw):
    axes = draw(st.integers(1, 3))
    extents = draw(st.lists(st.integers(1, 7), min_size=axes, max_size=axes))
    kernel = draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    strides = draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    dilations = draw(st.lists(st.integers(1, 2), min_size=axes, max_size=axes))
    pads = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=axes, max_size=axes))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    return extents, kernel, strides, dilations, pads, groups, inputs, outputs


@given(
    layer=convolutions(),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    dataflow=st.sampled_from(DATAFLOWS),
)
def test_reads_of_a_convolution_are_those_of_the_simulated_folds(layer, rows, columns, dataflow):
    extents, kernel, strides, dilations, pads, groups, inputs, outputs = layer
    positions = windows(extents, kernel, strides, dilations, pads)
    assume(positions)
    # Numbered in the layout of ONNX, [Cout, Cin / group, *kernel], and then cut into one matrix a group.
    weight = np.arange(groups * outputs * inputs * np.prod(kernel)).reshape(groups * outputs, inputs, *kernel)
    matrices = weight.reshape(groups, outputs, -1).transpose(0, 2, 1)
    array = SystolicArray(rows, columns, dataflow)
    times = simulate(array, groups, len(positions), matrices)

    counted = count(convolution(layer, weight.shape), array)
    assert counted.uncounted == ()
    assert counted.reads == times.sum()
    assert counted.weights == times.size
    assert counted.accesses == times.sum() / 8
    assert len(set(times)) == 1  # every weight is read equally often
    assert counted.macs == len(positions) * times.size


def convolution(layer, weight_shape):
    extents, _, strides, dilations, pads, groups, inputs, _ = layer
    image = ir.Value(name="x", shape=ir.Shape(["N", groups * inputs, *extents]), type=ir.TensorType(ir.DataType.FLOAT))
    codes = ir.tensor(np.zeros(weight_shape, np.int8), name="w")
    scale = ir.tensor(np.array(0.5, np.float32), name="s")
    initializers = [
        ir.Value(name=t.name, shape=t.shape, type=ir.TensorType(t.dtype), const_value=t) for t in (codes, scale)
    ]
    dequantise = ir.node("DequantizeLinear", initializers, name="dequantise")
    attributes = {
        "group": groups,
        "strides": strides,
        "dilations": dilations,
        "pads": [before for before, _ in pads] + [after for _, after in pads],
    }
    node = ir.node("Conv", [image, dequantise.outputs[0]], attributes, name="conv")
    dequantise.outputs[0].name, node.outputs[0].name = "w_f", "y"
    graph = ir.Graph(
        [image], [node.outputs[0]], nodes=[dequantise, node], initializers=initializers, opset_imports={"": 18}
    )
    return ir.Model(graph, ir_version=10)


@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    groups=st.integers(1, 3),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    dataflow=st.sampled_from(DATAFLOWS),
)
def test_reads_of_a_product_are_those_of_the_simulated_folds(shape, groups, rows, columns, dataflow):
    positions, depth, outputs = shape
    array = SystolicArray(rows, columns, dataflow)
    weights = np.arange(groups * depth * outputs).reshape(groups, depth, outputs)
    layer = Layer("l", "MatMul", positions, depth, outputs, groups, storage="w")
    assert array.weight_reads(layer) == simulate(array, groups, positions, weights).sum()


def test_words_and_repeats():
    layer = Layer("l", "LSTM", 1, 10, 40, repeats=7, storage="w", bits=4)
    array = SystolicArray(32, 32, "os", word_bits=32)
    assert array.weight_reads(layer) == 7 * 10 * 40
    assert array.accesses(layer) == 7 * 10 * 40 * 4 / 32


def test_a_product_of_activations_reads_no_weights():
    layer = Layer("l", "MatMul", 5, 10, 40, bits=0)
    assert SystolicArray().weight_reads(layer) == 0
    assert layer.macs == 5 * 10 * 40


def test_arrays_from_text():
    assert parse_array("16x8", "ws", 32) == SystolicArray(16, 8, "ws", 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("32",), "such as 32x32"),
        (("0x8",), "from 1 on"),
        (("8x8", "rs"), "choose one of os, ws, is"),
        (("8x8", "os", 0), "from 1 on"),
    ],
)
def test_arrays_that_do_not_exist(arguments, message):
    with pytest.raises(OptionError, match=message):
        parse_array(*arguments)
