"""The class patterns of a fused hint: read, changed, and mixed as the formula says."""

import numpy as np
import pytest

from nfkit.access.runtime import Runner
from nfkit.errors import ModelError
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.patterns import read_patterns, shares_of, with_patterns
from nfkit.graph.fusion.split import split
from nfkit.learn.export import export_generator
from nfkit.model import sha256
from nfkit.models.generators import build


@pytest.fixture(scope="module", params=["int8", "float"])
def fused(request, zoo):
    """A hint with drawn weights in front of the zoo's model, and images."""
    import torch

    torch.manual_seed(0)
    generator = build("hint-8", 1, (28, 28), 10)
    with torch.no_grad():
        generator.pattern.normal_()
        generator.head.weight.mul_(40)  # sure of one class or another
    generator.eval()
    x = zoo.spec.encode(zoo.test.x[:64])
    calibration = zoo.spec.normalise(x) if request.param == "int8" else None
    prefix = export_generator(generator, (1, 28, 28), opset=18, batch="N", calibration=calibration)
    return fuse(prefix, zoo.model, zoo.spec, {}), x


def expected(fused, x, values, step, spec):
    shares = Runner(shares_of(fused))(x)
    mixed = np.einsum("nc,cdhw->ndhw", shares, values).repeat(step, 2).repeat(step, 3)
    image = spec.normalise(x)
    return np.clip(image + mixed[..., : image.shape[2], : image.shape[3]], -1, 1)


def test_the_image_is_changed_by_the_patterns_that_were_read(fused, zoo):
    model, x = fused
    patterns = read_patterns(model)
    assert patterns.values.shape == (10, 1, 14, 14)
    assert patterns.step == 2
    changed = zoo.spec.normalise(Runner(split(model)[0])(x))
    assert np.abs(changed - zoo.spec.normalise(x)).max() > 0.2
    # Half a step of the quantised mixture.
    assert np.abs(changed - expected(model, x, patterns.values, 2, zoo.spec)).max() < 0.005


def test_other_patterns_change_it_as_the_formula_says_and_nothing_else(fused, zoo):
    model, x = fused
    values = np.random.default_rng(1).uniform(-0.9, 0.6, (10, 1, 14, 14)).astype(np.float32)
    made = with_patterns(model, values, {"nfkit.device": "{}"})
    written = read_patterns(made).values
    assert np.abs(written - values).max() <= 0.9 / 63 / 2 + 1e-6
    changed = zoo.spec.normalise(Runner(split(made)[0])(x))
    assert np.abs(changed - expected(model, x, written, 2, zoo.spec)).max() < 0.005
    assert np.array_equal(Runner(shares_of(made))(x), Runner(shares_of(model))(x))
    assert sha256(split(made)[1]) == sha256(zoo.model)
    differ = [
        name
        for name, value in made.graph.initializers.items()
        if not np.array_equal(value.const_value.numpy(), model.graph.initializers[name].const_value.numpy())
    ]
    assert all("view" in name or "matmul" in name for name in differ), differ
    assert made.metadata_props["nfkit.device"] == "{}"
    assert "nfkit.device" not in model.metadata_props


def test_a_file_without_patterns_is_refused(zoo):
    with pytest.raises(ModelError, match=r"there are no patterns: protect the base with --generator hint-64"):
        read_patterns(zoo.model)
