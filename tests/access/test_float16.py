"""Where ONNX Runtime rounds weights of a float16 model: what docs/forms.md states of the three modes."""

import numpy as np
import onnx_ir as ir
import pytest

from nfkit.access import float16_products
from nfkit.access.runtime import Runner
from nfkit.errors import UnsupportedError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.injection.inject import chip_inputs, inject
from nfkit.graph.memory.sites import fault_sites

HALF = """
<ir_version: 9, opset_import: ["" : 19]>
g (float16[N, 64] x) => (float16[N, 5] y)
{
    f = DequantizeLinear <axis = 1> (w, s)
    y = MatMul (x, f)
}
"""
ERRORS = BitErrors(0.02)


@pytest.fixture(scope="module")
def model(parse):
    """One product with scales that are no powers of two."""
    random = np.random.default_rng(0)
    w = random.integers(-127, 128, (64, 5), np.int8)
    return parse(HALF, w=w, s=random.uniform(0.01, 0.03, 5).astype(np.float16))


def products(model, chip, x, rounded):
    """x times the weights that a chip returns, each rounded to float16 or not, in float64, as float16."""
    (site,) = fault_sites(model)
    scale = np.float64(model.graph.initializers["s"].const_value.numpy())
    stored = model.graph.initializers["w"].const_value.numpy()
    weights = chip.faults(site, ERRORS).apply(stored) * scale
    return np.float64(x) @ (weights.astype(np.float16).astype(np.float64) if rounded else weights)


@pytest.mark.parametrize(
    ("mode", "level", "rounded"),
    [("baked", "none", True), ("baked", "basic", True), ("node", "none", False), ("node", "basic", True),
     ("input", "none", False), ("input", "basic", False), ("input", "all", False)],
)  # fmt: skip
def test_weights_are_rounded_where_they_are_constants(model, mode, level, rounded):
    chip, sites = Chip(50000), fault_sites(model)
    x = np.random.default_rng(1).uniform(-1, 1, (40, 64)).astype(np.float16)
    extra = chip_inputs(model, sites, chip, ERRORS) if mode == "input" else None
    y = np.float64(Runner(inject(model, sites, chip, ERRORS, mode), level=level)(x, extra=extra))
    expected, other = (products(model, chip, x, how) for how in (rounded, not rounded))
    # Sums in float32 lie far closer than the outputs' own rounding; a few fall to the other side of a half.
    step = np.float64(np.spacing(np.abs(expected).astype(np.float16)))
    assert np.abs(y - expected).max() <= 0.51 * step.max()
    assert np.mean(y == expected.astype(np.float16)) > 0.98
    assert np.mean(y == other.astype(np.float16)) < 0.95


def test_the_modes_differ_by_a_unit_in_the_last_place(model):
    chip, sites = Chip(50000), fault_sites(model)
    x = np.random.default_rng(1).uniform(-1, 1, (40, 64)).astype(np.float16)
    baked, fed = (
        Runner(inject(model, sites, chip, BitErrors(0.0), mode), level="basic")(x) for mode in ("baked", "input")
    )
    assert not np.array_equal(baked, fed)
    assert np.abs(np.float64(baked) - np.float64(fed)).max() <= 2 * np.float64(np.spacing(np.abs(baked).max()))


def test_zeros_of_the_runtime_are_no_result(model):
    if not float16_products.are_lost(model):  # a runtime that computes them is right
        assert np.abs(Runner(model, level="extended")(np.ones((2, 64), np.float16))).max() > 0
        return
    with pytest.raises(UnsupportedError, match=r"computes zeros for this model's float16 products.*--optimization all"):
        Runner(model, level="extended")


def test_float32_products_are_not_suspected(convnet):
    assert not float16_products.are_lost(convnet())
    assert isinstance(convnet(), ir.Model)
