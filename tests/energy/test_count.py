"""Operations and parameters, against counts made by hand."""

import numpy as np
import pytest

from nfkit.energy import count_macs, count_parameters
from nfkit.errors import UnsupportedError
from nfkit.model import to_bytes


def one_node(parse, node, shape, weight=None):
    """A model of one node that reads x of the given shape and weights w."""
    axes = ", ".join(f"d{i}" for i in range(len(shape) - 1))
    text = f"""
    <ir_version: 10, opset_import: ["" : 18]>
    one (float[{", ".join(map(str, shape))}] x) => (float[M, {axes}] y)
    {{ [only] y = {node} }}
    """
    return parse(text, **({} if weight is None else {"w": np.ones(weight, np.float32)}))


@pytest.mark.parametrize(
    ("node", "shape", "weight", "expected"),
    [
        # output 4 x 6 x 5, 2 x 3 x 3 multiplications each
        ("Conv <pads = [1, 1, 1, 1]> (x, w)", ("N", 2, 6, 5), (4, 2, 3, 3), 4 * 6 * 5 * 2 * 3 * 3),
        # every second position: 4 x 3 x 3
        ("Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w)", ("N", 2, 6, 5), (4, 2, 3, 3), 4 * 3 * 3 * 2 * 3 * 3),
        # four groups of one channel each
        ("Conv <group = 4, pads = [1, 1, 1, 1]> (x, w)", ("N", 4, 6, 5), (4, 1, 3, 3), 4 * 6 * 5 * 3 * 3),
        # each of 2 x 6 x 5 inputs meets 4 x 4 x 4 weights, whatever the stride
        ("ConvTranspose <strides = [2, 2]> (x, w)", ("N", 2, 6, 5), (2, 4, 4, 4), 2 * 6 * 5 * 4 * 4 * 4),
        ("MatMul (x, w)", ("N", 7), (7, 3), 7 * 3),
        ("MatMul (x, w)", ("N", 5, 7), (7, 3), 5 * 7 * 3),
        ("Gemm (x, w)", ("N", 7), (7, 3), 7 * 3),
        ("Gemm <transB = 1> (x, w)", ("N", 7), (3, 7), 7 * 3),
        ("MatMul (x, w)", (16, 7), (7, 3), 7 * 3),  # a fixed batch counts one sample
        ("Relu (x)", ("N", 7), None, 0),
    ],
)
def test_operations_of_one_node(parse, node, shape, weight, expected):
    assert count_macs(one_node(parse, node, shape, weight)) == expected


def test_an_operand_of_unknown_shape_is_refused_by_name(parse):
    model = one_node(parse, "Conv <pads = [1, 1, 1, 1]> (x, w)", ("N", 2, "H", "W"), (4, 2, 3, 3))
    with pytest.raises(UnsupportedError, match=r"'only' \(Conv\)"):
        count_macs(model)


def test_operations_of_a_quantised_network(convnet):
    # 3 x 4 x 4 positions of 2 x 3 x 3, then a product of 3 x 3.
    assert count_macs(convnet()) == 3 * 4 * 4 * 2 * 3 * 3 + 3 * 3


def test_the_model_is_not_changed(convnet):
    model = convnet()
    before = to_bytes(model)
    count_macs(model)
    assert to_bytes(model) == before


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
    assert count_parameters(model) == 4 * 3 + 3  # neither the scale nor the shape
