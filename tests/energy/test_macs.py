"""Operations and parameters, against counts made by hand or published."""

import numpy as np
import onnx_ir as ir
import pytest

from nfkit.energy import count_macs, count_parameters
from nfkit.errors import UnsupportedError
from nfkit.learn.export import export_generator
from nfkit.model import to_bytes
from nfkit.models.generators import build

# Multiplications of the convolutions for one image of 3x32x32.
GENERATORS = {
    "conv-l": 79_626_240,
    "conv-s": 10_036_224,
    "deconv-l": 50_298_880,
    "deconv-s": 11_501_568,
    "unet-l": 36_274_176,
    "unet-s": 9_191_424,
}


@pytest.mark.parametrize("name", GENERATORS)
def test_operations_of_the_generators(name):
    model = export_generator(build(name, 3), (3, 32, 32), opset=18, batch="N")
    assert count_macs(model) == GENERATORS[name]


def test_quantised_and_static_graphs_count_the_same():
    x = np.random.default_rng(0).uniform(-1, 1, (4, 3, 32, 32)).astype(np.float32)
    model = export_generator(build("conv-s", 3), (3, 32, 32), opset=18, batch=4, calibration=x)
    assert count_macs(model) == GENERATORS["conv-s"]


ONE_NODE = """
<ir_version: 10, opset_import: ["" : 18]>
one (float[N, {shape}] x) => (float y)
{{ y = {node} }}
"""


@pytest.mark.parametrize(
    ("shape", "node", "weight", "expected"),
    [
        # output 4 x 6 x 5, 2 x 3 x 3 multiplications each
        ("2, 6, 5", "Conv <pads = [1, 1, 1, 1]> (x, w)", (4, 2, 3, 3), 4 * 6 * 5 * 2 * 3 * 3),
        # every second position: 4 x 3 x 3
        ("2, 6, 5", "Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w)", (4, 2, 3, 3), 4 * 3 * 3 * 2 * 3 * 3),
        # four groups of one channel each
        ("4, 6, 5", "Conv <group = 4, pads = [1, 1, 1, 1]> (x, w)", (4, 1, 3, 3), 4 * 6 * 5 * 3 * 3),
        # each of 2 x 6 x 5 inputs meets 4 x 4 x 4 weights, whatever the stride
        ("2, 6, 5", "ConvTranspose <strides = [2, 2]> (x, w)", (2, 4, 4, 4), 2 * 6 * 5 * 4 * 4 * 4),
        ("7", "MatMul (x, w)", (7, 3), 7 * 3),
        ("5, 7", "MatMul (x, w)", (7, 3), 5 * 7 * 3),
        ("7", "Gemm (x, w)", (7, 3), 7 * 3),
        ("7", "Gemm <transB = 1> (x, w)", (3, 7), 7 * 3),
        ("7", "Relu (x)", None, 0),
    ],
)
def test_operations_of_one_node(parse, shape, node, weight, expected):
    arrays = {} if weight is None else {"w": np.ones(weight, np.float32)}
    text = ONE_NODE.format(shape=shape, node=node).replace("float y", "float[" + "K, " * _rank(shape, node) + "M] y")
    assert count_macs(parse(text, **arrays)) == expected


def _rank(shape, node):
    return shape.count(",") + 1


def test_a_fixed_batch_counts_one_sample(parse):
    text = (
        ONE_NODE.format(shape="7", node="MatMul (x, w)")
        .replace("[N, 7]", "[16, 7]")
        .replace("float y", "float[16, 3] y")
    )
    assert count_macs(parse(text, w=np.ones((7, 3), np.float32))) == 21


def test_an_operand_of_unknown_shape_is_refused_by_name(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        free (float[N, 2, H, W] x) => (float[N, 4, H, W] y)
        { [stem] y = Conv <pads = [1, 1, 1, 1]> (x, w) }
        """,
        w=np.ones((4, 2, 3, 3), np.float32),
    )
    with pytest.raises(UnsupportedError, match=r"'stem' \(Conv\)"):
        count_macs(model)


def test_the_model_is_not_changed(convnet):
    model = convnet()
    before = to_bytes(model)
    count_macs(model)
    assert to_bytes(model) == before


def test_operations_of_a_quantised_network(convnet):
    # 3 x 4 x 4 positions of 2 x 3 x 3, then a product of 3 x 3.
    assert count_macs(convnet()) == 3 * 4 * 4 * 2 * 3 * 3 + 3 * 3


def test_parameters_are_the_elements_of_weights(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        mixed (float[N, 4] x) => (float[N, 3] y)
        <float s = {0.5}, int64[2] shape = {-1, 4}>
        {
            r = Reshape (x, shape)
            w_f = DequantizeLinear (w, s)
            p = MatMul (r, w_f)
            y = Add (p, b)
        }
        """,
        w=np.ones((4, 3), np.int8),
        b=np.ones(3, np.float32),
    )
    assert isinstance(model, ir.Model)
    assert count_parameters(model) == 4 * 3 + 3  # neither the scale nor the shape
