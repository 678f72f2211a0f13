"""The zoo's model, bare and with a small generator in front."""

from types import SimpleNamespace

import numpy as np
import pytest

from nfkit.data import load as load_data
from nfkit.graph.discovery import find_input
from nfkit.graph.fuse import fuse
from nfkit.graph.sites import codes, fault_sites
from nfkit.model import load
from nfkit.models import zoo as model_zoo

# F(x) = clip(x + G(x), -1, 1) with one int8 convolution as G: enough to have weights of its own.
GENERATOR = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 1, 28, 28] image) => (float[N, 1, 28, 28] protected)
<float s = {0.00390625}, float low = {-1}, float high = {1}>
{
    k_f = DequantizeLinear (k, s)
    residual = Conv <pads = [1, 1, 1, 1]> (image, k_f)
    total = Add (image, residual)
    protected = Clip (total, low, high)
}
"""


@pytest.fixture(scope="session")
def zoo():
    model = load(model_zoo.path("resnet8-fashion-mnist"))
    return SimpleNamespace(
        model=model,
        sites=fault_sites(model),
        spec=find_input(model),
        test=load_data(str(model_zoo.images("resnet8-fashion-mnist")), "test").take(100),
    )


@pytest.fixture(scope="session")
def fused(parse, zoo):
    generator = parse(GENERATOR, k=np.random.default_rng(0).integers(-30, 31, (1, 1, 3, 3), np.int8))
    return fuse(generator, zoo.model, zoo.spec, {})


@pytest.fixture(scope="session")
def read_by():
    """read_by(model, chip, errors): the codes that a chip returns for the model's weights."""

    def read(model, chip, errors):
        sites = fault_sites(model)
        return {s.name: np.ascontiguousarray(chip.faults(s, errors).apply(codes(model, s))) for s in sites}

    return read
