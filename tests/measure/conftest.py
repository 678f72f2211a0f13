"""The zoo's model, bare and with a small generator in front."""

from types import SimpleNamespace

import pytest

from nfkit.graph.fusion.fuse import fuse


@pytest.fixture(scope="session")
def zoo(zoo):
    """With fewer samples to measure on."""
    return SimpleNamespace(**vars(zoo) | {"test": zoo.test.take(100)})


@pytest.fixture(scope="session")
def fused(residual_generator, zoo):
    return fuse(residual_generator(1, 28, 28), zoo.model, zoo.spec, {})
