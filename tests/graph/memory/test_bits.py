"""Codes of fewer bits than their type: recorded, checked, and honoured by sites and faults."""

import json

import numpy as np
import pytest

from nfkit.errors import ModelError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import inject, remove
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.bits import BITS_KEY, record_bits, recorded_bits
from nfkit.graph.memory.sites import codes, fault_sites, find_sites
from nfkit.graph.quantised.requantise import requantise

GENERATOR = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 2, 4, 4] image) => (float[N, 2, 4, 4] protected)
<float low = {-1}, float high = {1}>
{ protected = Clip (image, low, high) }
"""


def allowed(site):
    """Least and greatest code of a site."""
    if site.dtype.startswith("u"):
        return 0, 2**site.bits - 1
    return -(2 ** (site.bits - 1)), 2 ** (site.bits - 1) - 1


@pytest.fixture
def dense(parse):
    """dense(codes): one matrix of int8 codes."""

    def build(stored):
        return parse(
            """
            <ir_version: 8, opset_import: ["" : 18]>
            g (float[N, 4] x) => (float[N, 2] y)
            <float s = {0.5}>
            { w_f = DequantizeLinear (w, s)
              y = MatMul (x, w_f) }
            """,
            w=np.array(stored, np.int8).reshape(4, 2),
        )

    return build


def test_a_model_without_a_record_has_none(convnet):
    assert recorded_bits(convnet()) == {}
    assert {site.bits for site in fault_sites(convnet())} == {8}


def test_sites_have_the_recorded_bits(dense):
    model = dense([-4, 3, 0, 1, 2, -1, -2, -3])
    record_bits(model, {"w": 3})
    assert recorded_bits(model) == {"w": 3}
    assert [site.bits for site in find_sites(model)] == [3]


def test_records_add_up(convnet):
    model = requantise(convnet(), 4)
    record_bits(model, {"w": 5})
    assert recorded_bits(model) == {"w": 5, "d": 4}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{", "no JSON object"),
        ("[3]", "no JSON object"),
        ('{"w": "3"}', "no JSON object"),
        ('{"w": true}', "no JSON object"),
        ('{"v": 3}', "'v' 3 bits, but the model holds none of that name"),
        ('{"s": 3}', "stores no integers"),
        ('{"w": 9}', "int8 has 2 to 8"),
        ('{"w": 1}', "int8 has 2 to 8"),
        ('{"w": 2}', "'w' 2 bits, -2 to 1, but its codes span -4 to 3"),
    ],
)
def test_a_record_that_is_not_so_is_refused(dense, record, message):
    model = dense([-4, 3, 0, 1, 2, -1, -2, -3])
    model.metadata_props[BITS_KEY] = record
    with pytest.raises(ModelError, match=message):
        find_sites(model)


@pytest.mark.parametrize("bits", range(2, 7))
@pytest.mark.parametrize("kind", ["stuck", "flip", "asymmetric"])
def test_faults_stay_within_b_bits_and_reach_both_ends(convnet, bits, kind):
    model = requantise(convnet(), bits)
    for site in fault_sites(model):
        least, most = allowed(site)
        read = np.concatenate(
            [Chip(seed).faults(site, BitErrors(0.5, kind)).apply(codes(model, site)).ravel() for seed in range(40)]
        ).astype(int)
        assert (read.min(), read.max()) == (least, most)


@pytest.mark.parametrize("bits", [2, 3, 5])
@pytest.mark.parametrize("kind", ["stuck", "flip", "asymmetric"])
def test_injected_nodes_return_the_same_narrow_codes_as_baked_ones(convnet, execute, serialised, bits, kind):
    model = requantise(convnet(), bits)
    chip, errors, image = Chip(3), BitErrors(0.2, kind), np.random.default_rng(0).uniform(-1, 1, (5, 2, 4, 4))
    feeds = {"image": image.astype(np.float32)}
    nodes, baked = (inject(model, fault_sites(model), chip, errors, mode) for mode in ("node", "baked"))
    assert {site.bits for site in fault_sites(baked)} == {bits}
    np.testing.assert_array_equal(execute(nodes, feeds)[0], execute(baked, feeds)[0])
    assert not np.array_equal(execute(nodes, feeds)[0], execute(model, feeds)[0])
    assert serialised(remove(baked)) == serialised(model)


def test_a_narrow_base_keeps_its_bits_behind_a_generator(convnet, parse, serialised):
    base = requantise(convnet(), 4)
    fused = fuse(parse(GENERATOR), base, find_input(base), {"nfkit.format": "1"})
    assert {site.bits for site in fault_sites(fused)} == {4}
    prefix, again = split(fused)
    assert serialised(again) == serialised(base)
    assert BITS_KEY not in prefix.metadata_props
    assert json.loads(again.metadata_props[BITS_KEY]) == {"w": 4, "d": 4}
