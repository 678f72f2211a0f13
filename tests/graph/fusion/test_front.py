"""The front alone answers as the fused file does, from the base's scores."""

import numpy as np
import onnx
import pytest
from scipy.special import log_softmax, softmax

from nfkit.access.base import Description, FunctionBase, Tensor
from nfkit.access.guarded import Guarded
from nfkit.errors import ModelError
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.front import ANSWERED, SCORES, SEEN, build_front, front_of
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.fused import JOINT, is_fused
from nfkit.graph.fusion.metadata import read_answer, read_input
from nfkit.graph.fusion.scores import find_form, form_of
from nfkit.graph.fusion.trust import Trust, combine
from nfkit.graph.fusion.two_files import SURE
from nfkit.graph.input.discovery import find_input
from nfkit.model import load, save

CODED = ["int8-probabilities", "uint8-logits", "int8-log", "qlinear"]
TRUST = Trust(sharpness=0.7, doubt=0.3, weight=0.6, temperature=1.5)


@pytest.fixture(scope="module")
def case(base_of, looker, images, execute):
    """case(form, pushes, threshold): base, fused model, and what they answer."""

    def build(form="logits", pushes=False, threshold=None, opset=18):
        base = base_of(form, opset)
        spec = find_input(base, layout="NCHW", value_range=(-1, 1))
        answer = Answer(find_form(base, execute(base, {"image": images})[0]), TRUST, threshold)
        fused = fuse(looker(opset, pushes), base, spec, {"nfkit.generator": "looker"}, answer)
        return base, spec, fused, answer

    return build


def outputs_of(front):
    return [value.name for value in front.graph.outputs]


@pytest.mark.parametrize("form", ["logits", "probabilities", "log-probabilities", "deep"])
@pytest.mark.parametrize("pushes", [False, True])
def test_it_answers_as_the_fused_file(case, images, execute, form, pushes):
    base, spec, fused, _ = case(form, pushes)
    front = front_of(fused, spec)
    names = outputs_of(front)
    assert names == [JOINT, SEEN, ANSWERED] if pushes else names == [SEEN, ANSWERED]
    asked = dict(zip(names, execute(front, {"image": images}), strict=True))[JOINT] if pushes else images
    scores = execute(base, {"image": asked})[0].reshape(len(images), -1)
    answered = execute(front, {"image": images, SCORES: scores})[-1]
    expected = execute(fused, {"image": images})[0].reshape(len(images), -1)
    np.testing.assert_allclose(answered, expected, rtol=1e-5, atol=1e-6)


def test_early_answers_do_not_need_the_scores(case, images, execute):
    base, spec, fused, _ = case(threshold=0.6)
    front = front_of(fused, spec)
    assert outputs_of(front) == [SEEN, SURE, ANSWERED]
    _, sure, blind = execute(front, {"image": images})
    assert 0 < sure.sum() < len(images)
    told = execute(front, {"image": images, SCORES: execute(base, {"image": images})[0]})[-1]
    assert np.array_equal(blind[sure], told[sure])
    np.testing.assert_allclose(told, execute(fused, {"image": images})[0], rtol=1e-5, atol=1e-6)


def test_a_front_is_built_without_a_base(case, looker, images, execute):
    base, spec, fused, answer = case(pushes=True, threshold=0.6)
    built = build_front(looker(18, True), spec, {"nfkit.generator": "looker"}, answer)
    taken = front_of(fused, spec)
    feeds = {"image": images, SCORES: execute(base, {"image": images})[0]}
    assert outputs_of(built) == outputs_of(taken)
    for ours, theirs in zip(execute(built, feeds), execute(taken, feeds), strict=True):
        assert np.array_equal(ours, theirs)


def test_the_transform_can_be_left_out(case, looker, images, execute):
    _, spec, fused, answer = case(pushes=True)
    for front in (
        front_of(fused, spec, transform=False),
        build_front(looker(18, True), spec, {}, answer, transform=False),
    ):
        assert outputs_of(front) == [SEEN, ANSWERED]
        assert not [node for node in front.graph if node.op_type == "Clip"]
        assert execute(front, {"image": images})[0].shape == (len(images), 3)


def test_it_says_what_it_is(case, tmp_path):
    _, spec, fused, answer = case(threshold=0.6)
    front = front_of(fused, spec)
    path = save(front, tmp_path / "front.onnx")
    onnx.checker.check_model(str(path), full_check=True)
    again = load(path)
    assert read_input(again) == spec
    read = read_answer(again)
    assert read.form == answer.form
    assert (read.threshold, *read.trust.to_dict().values()) == pytest.approx((0.6, *TRUST.to_dict().values()))
    assert not is_fused(again)
    assert again.metadata_props["nfkit.generator"] == "looker"
    assert "nfkit.base.graph_sha256" not in again.metadata_props


@pytest.mark.parametrize("form", CODED)
def test_codes_are_taken_as_their_numbers_and_answered_in_floats(case, images, execute, form):
    base, spec, fused, answer = case(form)
    front = front_of(fused, spec)
    codes = execute(base, {"image": images})[0]
    evidence, answered = execute(front, {"image": images, SCORES: codes.reshape(len(images), -1).astype(np.float32)})
    joined = combine(answer.form.log_scores(codes), evidence, TRUST)
    stated = {
        "logits": joined,
        "probabilities": softmax(joined, axis=1),
        "log-probabilities": log_softmax(joined, axis=1),
    }
    relative = stated[answer.form.kind]
    if answer.form.kind == "logits":  # they have no level of their own
        relative, answered = relative - relative.max(1, keepdims=True), answered - answered.max(1, keepdims=True)
    np.testing.assert_allclose(answered, relative, rtol=1e-4, atol=1e-5)
    # The file rounds to codes, whose ties it breaks for the winner: so both name the same class.
    file = execute(fused, {"image": images})[0].reshape(len(images), -1)
    assert np.array_equal(answered.argmax(1), file.argmax(1))
    about = Description("codes", "1", Tensor("image", "float32", (-1, 2, 4, 4)), 3)
    device = FunctionBase(lambda x: execute(base, {"image": x})[0].reshape(len(x), -1), about)
    assert np.array_equal(Guarded(front, device, level="basic")(images).argmax(1), file.argmax(1))


def test_a_transform_alone(residual_generator, convnet, execute):
    model = convnet()
    spec, x = find_input(model), np.random.default_rng(0).uniform(-1, 1, (3, 2, 4, 4)).astype(np.float32)
    fused = fuse(residual_generator(2, 4, 4), model, spec, {})
    for front in (front_of(fused, spec), build_front(residual_generator(2, 4, 4), spec, {})):
        assert outputs_of(front) == [JOINT]
        asked = execute(front, {"image": x})[0]
        np.testing.assert_allclose(execute(model, {"image": asked})[0], execute(fused, {"image": x})[0], atol=1e-5)
    with pytest.raises(ModelError, match="nothing is left of the generator"):
        front_of(fused, spec, transform=False)


def test_forms_are_told_by_the_numbers():
    assert form_of(np.array([[0.2, 0.8, 0.0], [1, 0, 0]], np.float32)).kind == "probabilities"
    assert form_of(np.array([[3.0, -1.0, 0.5]], np.float32)).kind == "logits"
    assert form_of(np.log(np.array([[0.25, 0.5, 0.25]], np.float32))).kind == "log-probabilities"
