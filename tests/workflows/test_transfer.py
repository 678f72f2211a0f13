"""Evidence for another base: trusted as far as it deserves, and measured on what nothing was fitted on."""

import json

import numpy as np
import pytest

from nfkit.access.base import Description, FunctionBase, GraphBase, Tensor
from nfkit.access.guarded import Guarded
from nfkit.data import Dataset
from nfkit.errors import DataError, ModelError, OptionError
from nfkit.faults import BitErrors, Iid
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.fused import JOINT
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.split import evidence_model, split
from nfkit.graph.input.discovery import find_input
from nfkit.model import load, to_bytes
from nfkit.workflows.transfer import transfer_as_it_is, transfer_to_answers, transfer_to_file

PUSHES = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 2, 4, 4] image) => (float[N, 2, 4, 4] protected)
<float s = {0.25}, float low = {-1}, float high = {1}>
{
    flat = Flatten (image)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (flat, k_f)
    pushed = Add (image, image)
    protected = Clip (pushed, low, high)
}
"""
N = 400


@pytest.fixture(scope="module")
def fused(parse, convnet):
    """A generator whose evidence is a linear look at the image, in front of some base."""
    generator = parse(PUSHES, k=np.random.default_rng(4).integers(-9, 10, (32, 3), np.int8))
    return fuse(generator, convnet(18), find_input(convnet(18)), {"nfkit.generator": "looker"})


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(2).uniform(-1, 1, (N, 2, 4, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def seen(fused, x, execute):
    """What the evidence says of the images, [N, 3]."""
    return execute(evidence_model(fused), {"image": x})[0]


@pytest.fixture(scope="module")
def easy(x, seen):
    """Images labelled as the evidence sees them, but for one in ten."""
    y = seen.argmax(1)
    wrong = np.random.default_rng(3).permutation(N)[: N // 10]
    y[wrong] = (y[wrong] + 1) % 3
    return Dataset("easy", x, y)


def base_of(answer):
    return FunctionBase(answer, Description("device", "1", Tensor("pixels", "float32", (-1, 2, 4, 4)), 3))


@pytest.fixture
def spec(convnet):
    from dataclasses import replace

    return replace(find_input(convnet(18)), name="pixels")


def test_a_base_that_knows_nothing_is_not_trusted(fused, spec, easy, tmp_path):
    device = base_of(lambda v: np.random.default_rng(len(v)).normal(size=(len(v), 3)))
    result = transfer_to_answers(fused, device, spec, easy, tmp_path / "f.onnx")
    assert (result.front.fit.samples, result.front.fit.chips) == (N // 2, 1)
    assert result.front.before.accuracy.value < 0.5
    assert result.front.after.accuracy.value > 0.8
    assert result.front.asked < 0.2
    assert result.front.after.accuracy.samples == N // 2
    record = json.loads(json.dumps(result.to_dict()))
    assert (record["schema"], record["patterns"], record["generator"]) == ("nfkit.transfer/2", "dropped", "looker")
    assert "the base was asked for" in result.sentences()[-1]


def test_a_base_that_knows_everything_is_left_alone(fused, spec, x, tmp_path):
    y = np.random.default_rng(9).integers(0, 3, N)
    known = {image.tobytes(): label for image, label in zip(x, y, strict=True)}
    device = base_of(lambda v: 9.0 * np.eye(3)[[known[image.tobytes()] for image in v]])
    result = transfer_to_answers(fused, device, spec, Dataset("known", x, y), tmp_path / "f.onnx")
    assert result.front.before.accuracy.value == result.front.after.accuracy.value == 1
    assert result.front.asked == 1


def test_the_front_does_what_was_measured(fused, spec, easy, tmp_path):
    device = base_of(lambda v: v.reshape(len(v), -1)[:, :3])
    result = transfer_to_answers(fused, device, spec, easy, tmp_path / "f.onnx", early_loss=None)
    assert (result.front.threshold, result.front.asked) == (None, 1)
    front = load(tmp_path / "f.onnx")
    assert JOINT not in [value.name for value in front.graph.outputs]
    assert front.graph.inputs[0].name == "pixels"
    rest = slice(1, None, 2)
    answers = Guarded(tmp_path / "f.onnx", device)(easy.x[rest])
    assert result.front.after.accuracy.hits == int((answers.argmax(1) == easy.y[rest]).sum())


@pytest.mark.parametrize("opset", [18, 20])
def test_another_base_in_a_file(fused, convnet, easy, tmp_path, opset):
    other = convnet(opset)
    before = to_bytes(other)
    result = transfer_to_file(
        fused, other, find_input(other), easy, tmp_path / "o.nf.onnx", BitErrors(0.02), Iid(), chips=2
    )
    moved = load(tmp_path / "o.nf.onnx")
    assert to_bytes(split(moved)[1]) == to_bytes(other) == before
    assert JOINT not in [value.name for node in moved.graph for value in node.outputs]
    answer = read_answer(moved)
    assert answer.trust.to_dict() == pytest.approx(result.fit.trust.to_dict(), rel=1e-6)
    assert (result.fit.samples, result.fit.chips) == (N // 2, 4)
    rest = easy.select(np.arange(1, N, 2))
    whole = (GraphBase(moved, threads=1)(rest.x).argmax(1) == rest.y).mean()
    assert result.evaluation.clean.protected.accuracy == pytest.approx(whole)
    assert whole > 0.8  # the evidence is right nine times in ten, the base by chance
    assert len(result.evaluation.points[0].rows) == 2
    assert json.loads(json.dumps(result.to_dict()))["evaluate"]["points"][0]["ber"] == 0.02


def test_patterns_come_along_on_request(fused, convnet, x, tmp_path, execute):
    other = convnet(20)
    result = transfer_as_it_is(fused, other, find_input(other), tmp_path / "o.nf.onnx")
    assert result.to_dict()["patterns"] == "kept"
    assert "may mislead this base" in result.sentences()[0]
    expected = execute(other, {"image": np.clip(2 * x, -1, 1)})[0]
    np.testing.assert_allclose(execute(load(tmp_path / "o.nf.onnx"), {"image": x})[0], expected, atol=1e-5)


def test_nothing_is_written_where_it_cannot_work(fused, spec, easy, convnet, residual_generator, tmp_path):
    device, output = base_of(lambda v: np.zeros((len(v), 3))), tmp_path / "f.onnx"
    with pytest.raises(DataError, match=r"30 samples are too few .* give 40"):
        transfer_to_answers(fused, device, spec, easy.take(30), output)
    with pytest.raises(OptionError, match=r"--early-loss 1\.5"):
        transfer_to_answers(fused, device, spec, easy, output, early_loss=1.5)
    blind = fuse(residual_generator(2, 4, 4), convnet(18), find_input(convnet(18)), {})
    with pytest.raises(ModelError, match=r"no evidence of its own, .* give --keep-patterns"):
        transfer_to_answers(blind, device, spec, easy, output)
    four = FunctionBase(
        lambda v: np.zeros((len(v), 4)), Description("four", "1", Tensor("pixels", "float32", (-1, 2, 4, 4)), 4)
    )
    with pytest.raises(ModelError, match="tells 3 classes apart, the base 4"):
        transfer_to_answers(fused, four, spec, easy, output)
    assert list(tmp_path.iterdir()) == []
