"""A network small enough to be measured hundreds of times, with a protected form of it, and a plan for both."""

from types import SimpleNamespace

import numpy as np
import pytest

import nfkit
from nfkit.access.runtime import Runner
from nfkit.campaigns.kit import ClassMeasurement
from nfkit.graph.fusion.fuse import fuse
from nfkit.model import save
from nfkit.reports.figures import pack

# 36 features, seven classes: more than five, so that the five best are not all of them.
TINY = """
<ir_version: 8, opset_import: ["" : 18]>
tiny (float[N, 1, 6, 6] image) => (float[N, 7] scores)
<float s = {0.0078125}, int8 z = {0}, float s_w = {0.015625}, int64[2] shape = {-1, 36}>
{
    q = QuantizeLinear (image, s, z)
    f = DequantizeLinear (q, s, z)
    v = Reshape (f, shape)
    w_f = DequantizeLinear (w, s_w)
    scores = MatMul (v, w_f)
}
"""


@pytest.fixture(scope="session")
def tiny(parse, residual_generator, tmp_path_factory):
    """A base and a protected model, as files, with data that the base gets mostly right."""
    folder, random = tmp_path_factory.mktemp("tiny"), np.random.default_rng(0)
    base = parse(TINY, w=random.integers(-90, 91, (36, 7), np.int8))
    spec = nfkit.find_input(base)
    x = random.integers(0, 256, (100, 6, 6, 1), np.uint8)
    y = np.where(random.random(100) < 0.9, Runner(base).classify(spec.encode(x)), random.integers(0, 7, 100))
    np.savez(folder / "data.npz", x=x, y=y)
    return SimpleNamespace(
        folder=folder,
        model=base,
        spec=spec,
        x=x,
        y=y,
        base=save(base, folder / "base.onnx"),
        fused=save(fuse(residual_generator(1, 6, 6), base, spec, {}), folder / "fused.nf.onnx"),
        data=folder / "data.npz",
    )


@pytest.fixture
def plan(tiny):
    """plan(**changes): a plan of eight cells, as plain values."""
    return lambda **changes: (
        {
            "models": str(tiny.base),
            "data": str(tiny.data),
            "remedies": ["bare", f"neuralfuse:{tiny.fused}", "robust-bits:2", "ecc:secded-64"],
            "rates": [0.02, 0.05],
            "chips": 3,
        }
        | changes
    )


@pytest.fixture
def made():
    """made(cell, chip, correct, ...): a measurement as a worker gives it."""

    def build(cell, chip, correct, changed=None, top=None, cells=5, bits=3, seconds=0.25):
        flags = [
            None if f is None else pack(np.array(f, np.bool_))
            for f in (correct, correct if changed is None else changed, top)
        ]
        return ClassMeasurement(cell, chip, cells, bits, seconds, *flags)

    return build
