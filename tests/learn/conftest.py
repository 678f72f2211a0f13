"""For the training half: a model whose arithmetic is exact in float32, images, and one thread."""

import numpy as np
import pytest
import torch

# All scales are powers of two, so products of codes and their sums stay below 2^24 units and float32 holds them
# exactly, in whatever order they are added.
EXACT = """
<ir_version: 10, opset_import: ["" : 18]>
exact (float[N, 2, 4, 4] image) => (float[N, 3] scores)
<float s_image = {0.0078125}, int8 z_image = {0}, float s_w = {0.015625}, float s_r = {0.125}, uint8 z_r = {3},
 float s_d = {0.00390625}, float s_y = {0.25}, int8 z_y = {-5}, int64[2] flat = {0, -1}>
{
    image_q = QuantizeLinear (image, s_image, z_image)
    image_f = DequantizeLinear (image_q, s_image, z_image)
    w_f = DequantizeLinear (w, s_w)
    c = Conv <pads = [1, 1, 1, 1]> (image_f, w_f)
    r = Relu (c)
    r_q = QuantizeLinear (r, s_r, z_r)
    r_f = DequantizeLinear (r_q, s_r, z_r)
    f = Reshape (r_f, flat)
    d_f = DequantizeLinear (d, s_d)
    y = MatMul (f, d_f)
    y_q = QuantizeLinear (y, s_y, z_y)
    scores = DequantizeLinear (y_q, s_y, z_y)
}
"""


@pytest.fixture
def exact(parse):
    """A QDQ network of two int8 memories that every runtime computes to the last bit."""
    random = np.random.default_rng(5)
    return parse(
        EXACT, w=random.integers(-128, 128, (3, 2, 3, 3), np.int8), d=random.integers(-128, 128, (48, 3), np.int8)
    )


@pytest.fixture(scope="session")
def images():
    """images(count, *shape, seed=0): float32 tensor, uniform in [-1, 1]."""

    def draw(count, *shape, seed=0):
        return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1

    return draw


@pytest.fixture(scope="session", autouse=True)
def every_test_on_one_thread(one_thread):
    """See `one_thread`."""
