"""A base without gradients, protected through models of the same task."""

import msgspec
import numpy as np
import pytest

from nfkit.access.runtime import Runner
from nfkit.data import Dataset
from nfkit.errors import ModelError, OptionError, UnsupportedError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import inject
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import fault_sites
from nfkit.learn.gradients.obstacles import find_unsupported
from nfkit.model import load, save, sha256
from nfkit.remedies.surrogates import load_surrogates
from nfkit.reports.protection import Protection
from nfkit.reports.reading import encode
from nfkit.workflows.protection import protect

pytestmark = pytest.mark.usefixtures("one_thread")

# Masks bits of the pixels, as fixed hardware may: nothing to differentiate.
CLOSED = """
<ir_version: 10, opset_import: ["" : 18]>
closed (uint8[N, 3, 8, 8] pixels) => (float[N, 4] scores)
<float s = {0.0001}, uint8 z = {128}, float s_d = {0.03125}, uint8 mask = {252}>
{
    b = BitwiseAnd (pixels, mask)
    c = ConvInteger <pads = [1, 1, 1, 1], strides = [2, 2]> (b, w, z)
    c_f = Cast <to = 1> (c)
    c_s = Mul (c_f, s)
    r = Relu (c_s)
    p = GlobalAveragePool (r)
    v = Flatten (p)
    d_f = DequantizeLinear (d, s_d)
    scores = MatMul (v, d_f)
}
"""

# The same task in QDQ form, with normalised floats for an input.
OPEN = """
<ir_version: 10, opset_import: ["" : 18]>
open (float[N, 3, 8, 8] image) => (float[N, K] scores)
<float s_image = {0.0078125}, int8 z_image = {0}, float s_w = {0.0127}, float s_d = {0.03125}>
{
    q = QuantizeLinear (image, s_image, z_image)
    f = DequantizeLinear (q, s_image, z_image)
    w_f = DequantizeLinear (w, s_w)
    c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (f, w_f)
    r = Relu (c)
    p = GlobalAveragePool (r)
    v = Flatten (p)
    d_f = DequantizeLinear (d, s_d)
    scores = MatMul (v, d_f)
}
"""


@pytest.fixture(scope="module")
def task(parse):
    """A base without gradients, an open model of the same task, and samples with the base's own labels."""
    random = np.random.default_rng(1)
    w, d = random.integers(-60, 61, (6, 3, 3, 3), np.int8), random.integers(-60, 61, (6, 4), np.int8)
    closed, opened = parse(CLOSED, w=w, d=d), parse(OPEN.replace("K", "4"), w=w, d=d)
    coarse = random.integers(0, 256, (240, 2, 2, 3))
    x = np.clip(coarse.repeat(4, 1).repeat(4, 2) + random.integers(-20, 21, (240, 8, 8, 3)), 0, 255).astype(np.uint8)
    y = Runner(closed).classify(find_input(closed).encode(x))
    three = parse(OPEN.replace("K", "3"), w=w, d=d[:, :3].copy())
    return closed, opened, three, Dataset("random", x, y)


def test_a_base_without_gradients_is_protected_through_another_model(task, tmp_path):
    closed, opened, _, data = task
    assert [u.op for u in find_unsupported(closed)] == ["BitwiseAnd"]
    path = tmp_path / "opened.onnx"
    save(opened, path)
    said = []
    result = protect(
        closed, data, output=tmp_path / "closed.nf.onnx", ber=0.02, generator="conv-s", epochs=2, batch=32, copies=2,
        chips=2, around=False, surrogates=[path], allow_loss=True, allow_low_accuracy=True, on_stage=said.append,
    )  # fmt: skip
    assert "training through opened; the base chooses the best state" in said
    (through,) = result.training.surrogates
    assert (through.name, through.sha256) == ("opened", sha256(load(path)))
    assert through.loss > 0
    fused = load(tmp_path / "closed.nf.onnx")
    prefix, base = split(fused)
    assert sha256(base) == sha256(closed)
    # The generator changes what the base sees: it is more than the identity.
    x = find_input(closed).encode(data.x[:32])
    assert (Runner(prefix)(x) != x).any()
    assert result.training.held_out.clean > 0.25


def test_a_base_without_gradients_is_protected_through_an_imitation(task, tmp_path):
    closed, _, _, data = task
    result = protect(
        closed, data, output=tmp_path / "closed.nf.onnx", ber=0.02, generator="conv-s", epochs=8, batch=32, copies=2,
        chips=2, around=False, distil=190, allow_loss=True, allow_low_accuracy=True,
    )  # fmt: skip
    (through,) = result.training.surrogates
    assert through.name == "closed.nf.surrogate"
    assert (through.distilled.samples, through.distilled.held_out) == (190, 19)
    assert any("imitates the base by 190 of its answers" in note for note in result.overview().notes)
    assert sha256(split(load(tmp_path / "closed.nf.onnx"))[1]) == sha256(closed)
    assert msgspec.json.decode(encode(result), type=Protection).training.surrogates == result.training.surrogates


def test_without_surrogates_the_way_out_is_named(task, tmp_path):
    closed, _, _, data = task
    with pytest.raises(UnsupportedError, match=r"BitwiseAnd.*--surrogate"):
        protect(closed, data, output=tmp_path / "x.onnx", generator="conv-s", answer="base", epochs=1, allow_loss=True)
    with pytest.raises(OptionError, match="leave out --no-residual, or --surrogate"):
        protect(
            closed, data, output=tmp_path / "x.onnx", generator="hint-16", residual=False, surrogates=[task[1]],
            epochs=1, allow_loss=True,
        )  # fmt: skip


def test_what_cannot_stand_in_is_refused_by_name(task):
    closed, opened, three, data = task
    spec = find_input(closed)
    (found,) = load_surrogates([opened], spec, data, 4)
    assert found.name == "surrogate 1"
    assert [s.name for s in load_surrogates([opened, opened], spec, data, 4)] == ["surrogate 1", "surrogate 2"]
    with pytest.raises(UnsupportedError, match="BitwiseAnd"):
        load_surrogates([closed], spec, data, 4)
    with pytest.raises(OptionError, match="surrogate 1 tells 3 classes apart, the base 4"):
        load_surrogates([three], spec, data, 4)
    with pytest.raises(ModelError, match="holds the faults of chip 1"):
        load_surrogates([inject(opened, fault_sites(opened), Chip(1), BitErrors(0.05))], spec, data, 4)
    wrong = data.changed(y=(data.y + 2) % 4)
    with pytest.raises(OptionError, match=r"surrogate 1 is right on .* another task, or other classes"):
        load_surrogates([opened], spec, wrong, 4)
