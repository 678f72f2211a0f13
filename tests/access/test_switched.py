"""A file with modes, switched while it runs."""

import numpy as np
import pytest

import nfkit
from nfkit.access.runtime import Runner
from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.modes.giving import with_modes
from nfkit.graph.fusion.modes.record import Mode, set_mode
from nfkit.graph.fusion.modes.taking import plain
from nfkit.graph.fusion.scores import find_form
from nfkit.graph.fusion.trust import Trust
from nfkit.graph.injection.inject import inject, remove
from nfkit.graph.memory.sites import fault_sites
from nfkit.model import save, to_bytes

LOOKS = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 1, 28, 28] image) => (float[N, 10] evidence)
<float s = {0.015625}>
{
    flat = Flatten (image)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (flat, k_f)
}
"""


@pytest.fixture(scope="module")
def files(zoo, parse, tmp_path_factory):
    """A protected file of the zoo's model with modes, and images."""
    x = zoo.spec.encode(zoo.test.x[:64])
    generator = parse(LOOKS, k=np.random.default_rng(4).integers(-9, 10, (784, 10), np.int8))
    trust = Trust(0.7, 0.3, 0.2, 1.5)
    fused = fuse(generator, zoo.model, zoo.spec, {}, Answer(find_form(zoo.model, Runner(zoo.model)(x)), trust))
    switched = with_modes(fused, [Mode("low", 0.01, trust), Mode("lower", 0.02, Trust(0.5, 0.6, 0.4, 1.5))])
    return save(switched, tmp_path_factory.mktemp("switched") / "p.onnx"), fused, x


@pytest.mark.parametrize("level", ["none", "basic", "extended", "all"])
def test_nominal_is_the_zoos_model_bit_for_bit(files, zoo, level):
    switched = nfkit.Switched(files[0], level=level)
    assert switched.mode == "low"
    low = switched(files[2])
    switched.mode = "nominal"
    assert switched(files[2]).tobytes() == Runner(zoo.model, level=level)(files[2]).tobytes()
    assert not np.array_equal(low, switched(files[2]))
    switched.mode = "low"
    assert switched(files[2]).tobytes() == low.tobytes() == Runner(files[1], level=level)(files[2]).tobytes()


def test_faults_hit_the_base_in_every_mode(files, zoo):
    path, fused, x = files
    model, chip, errors = nfkit.load_model(path), nfkit.Chip(7), nfkit.BitErrors(0.01)
    faulty = inject(model, fault_sites(model), chip, errors)
    alone = inject(zoo.model, zoo.sites, chip, errors)
    assert Runner(set_mode(model, "nominal"))(x).tobytes() == Runner(zoo.model)(x).tobytes()
    run = Runner(faulty)
    assert run(x, extra={"nfkit/mode": np.array(0)}).tobytes() == Runner(alone)(x).tobytes()
    assert run(x).tobytes() == Runner(inject(fused, fault_sites(fused), chip, errors))(x).tobytes()
    assert to_bytes(remove(faulty)) == to_bytes(model)
    assert fault_sites(plain(model)) == fault_sites(model)


def test_what_cannot_be(files):
    with pytest.raises(ModelError, match="has no modes: nfkit modes"):
        nfkit.Switched(files[1])
    switched = nfkit.Switched(files[0])
    with pytest.raises(OptionError, match="no mode 'off': choose from nominal, low, lower"):
        switched.mode = "off"
