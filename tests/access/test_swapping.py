"""Codes written into a serialised model, against the same model made anew."""

import numpy as np
import pytest

from nfkit.access.runtime import Runner
from nfkit.access.swapping import Swapper
from nfkit.graph.injection.inject import with_codes
from nfkit.graph.memory.sites import codes, fault_sites


def flipped(model, seed):
    """Other codes of all sites."""
    random = np.random.default_rng(seed)
    stored = {site.name: codes(model, site) for site in fault_sites(model)}
    return {
        name: np.frombuffer(random.bytes(array.nbytes), array.dtype).reshape(array.shape)
        for name, array in stored.items()
    }


@pytest.mark.parametrize("level", ["none", "basic", "extended", "all"])
def test_it_answers_as_a_model_made_anew(convnet, level):
    model = convnet()
    x = np.random.default_rng(0).integers(0, 256, (5, 2, 4, 4)).astype(np.float32) / 255
    swapper = Swapper(model, [site.name for site in fault_sites(model)], level=level)
    assert swapper.in_place
    seen = []
    for seed in (1, 2, 1):
        other = flipped(model, seed)
        seen.append(swapper.open(other, threads=1)(x))
        np.testing.assert_array_equal(seen[-1], Runner(with_codes(model, other), level=level, threads=1)(x))
    assert (seen[0] == seen[2]).all()
    assert (seen[0] != seen[1]).any()


def test_it_answers_as_a_model_made_anew_on_the_zoo(zoo):
    x, names = zoo.spec.encode(zoo.test.x[:20]), [site.name for site in zoo.sites]
    swapper = Swapper(zoo.model, names)
    assert swapper.in_place
    other = flipped(zoo.model, 3)
    expected = Runner(with_codes(zoo.model, other))(x)
    np.testing.assert_array_equal(swapper.open(other)(x), expected)
    many = np.concatenate([x] * 30)  # batches enough to be side by side
    np.testing.assert_array_equal(
        swapper.open(other, threads=2, samples=len(many))(many), np.concatenate([expected] * 30)
    )


def test_codes_that_cannot_be_told_apart_make_a_new_model(parse):
    """The content of a tensor of a single code is everywhere; then each model is made anew, with the same answers."""
    model = parse(
        """<ir_version: 8, opset_import: ["" : 18]>
        one (float[N, 1] x) => (float[N, 1] y)
        <float s = {0.5}> { f = DequantizeLinear (w, s) y = MatMul (x, f) }""",
        w=np.array([[3]], np.int8),
    )
    swapper = Swapper(model, ["w"])
    x = np.array([[1.0], [2.0]], np.float32)
    assert swapper.open({"w": np.array([[4]], np.int8)})(x).tolist() == [[2.0], [4.0]]
    assert swapper.open({"w": np.array([[-2]], np.int8)})(x).tolist() == [[-1.0], [-2.0]]


def test_packed_codes_make_a_new_model(parse):
    model = parse(
        """<ir_version: 10, opset_import: ["" : 21]>
        four (float[N, 2] x) => (float[N, 2] y)
        <float s = {0.5}, int4[2, 2] w = {1, -2, 3, -4}> { f = DequantizeLinear (w, s) y = MatMul (x, f) }"""
    )
    (site,) = fault_sites(model)
    swapper = Swapper(model, [site.name])
    assert not swapper.in_place
    other, x = np.roll(codes(model, site), 1), np.eye(2, dtype=np.float32)
    answers = swapper.open({site.name: other})(x)
    np.testing.assert_array_equal(answers, Runner(with_codes(model, {site.name: other}))(x))
    assert (answers != Runner(model)(x)).any()
