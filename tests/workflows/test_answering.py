"""A front for a base that only answers, from labels and queries alone."""

import json

import numpy as np
import pytest

from nfkit.access.base import Description, FunctionBase, Tensor, best_only
from nfkit.access.guarded import Guarded
from nfkit.access.remote import open_endpoint
from nfkit.access.runtime import Runner
from nfkit.access.server import Server
from nfkit.data import Dataset
from nfkit.errors import AccessError, DataError, OptionError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fused import JOINT
from nfkit.graph.injection.inject import count_faults
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import fault_sites
from nfkit.learn.config import EvidenceConfig
from nfkit.learn.train import train
from nfkit.model import load
from nfkit.remedies.distillation import distil
from nfkit.workflows.answering import protect_answers

pytestmark = pytest.mark.usefixtures("one_thread")

SPEC = InputSpec("pixels", "uint8", "NHWC", (16, 16, 1), "N", (0.0,), (255.0,), "given")
CONFIG = EvidenceConfig("hint-8", epochs=5.0, batch=32, seed=1)


def images(count, seed):
    """Noise with one bright quadrant, which is the class."""
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 160, (count, 16, 16, 1)), random.integers(0, 4, count)
    for image, label in zip(x, y, strict=True):
        row, column = 8 * (label // 2), 8 * (label % 2)
        image[row : row + 8, column : column + 8] += 80
    return Dataset("quadrants", x.astype(np.uint8), y)


TRAIN, TEST = images(400, 0), images(200, 1)


class Device:
    """A base that is right four times in five, and counts what it is asked."""

    graph = None
    about = Description("device", "1", Tensor("pixels", "uint8", (-1, 16, 16, 1)), 4)

    def __init__(self):
        self.asked = 0

    def __call__(self, x):
        self.asked += len(x)
        quadrants = x.astype(np.float32).reshape(len(x), 2, 8, 2, 8).mean((2, 4)).reshape(len(x), 4)
        broken = x[:, 0, 0, 0] % 5 == 0
        quadrants[broken] = np.roll(quadrants[broken], 1, axis=1)
        return quadrants / 10


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    device, output, stages = Device(), tmp_path_factory.mktemp("front") / "device.front.onnx", []
    result = protect_answers(device, TRAIN, TEST, SPEC, CONFIG, output, on_stage=stages.append)
    return device, output, result, stages


def test_the_front_is_worth_its_queries(made):
    device, output, result, stages = made
    front = result.front
    assert result.held_out > 0.9
    assert front.before.accuracy.value < 0.9
    assert front.after.accuracy.value >= 0.95
    assert front.asked < 0.5
    assert front.after.accuracy.samples == 100
    # Once for the fit, once to measure the base, and where the front had to ask.
    assert device.asked == 100 + 100 + round(100 * front.asked)
    assert stages[0].startswith("a base that only answers gives no gradients")
    assert output.is_file()


def test_the_file_does_what_was_measured(made):
    _, output, result, _ = made
    rest = TEST.select(np.arange(1, 200, 2))
    guarded = Guarded(output, Device())
    assert int((guarded(rest.x).argmax(1) == rest.y).sum()) == result.front.after.accuracy.hits
    front = load(output)
    assert JOINT not in [value.name for node in front.graph for value in node.outputs]  # nothing of the patterns
    assert not [name for name in front.graph.initializers if "pattern" in name]
    assert front.metadata_props["nfkit.generator"] == "hint-8"


def test_it_is_a_record(made):
    record = json.loads(json.dumps(made[2].to_dict(), allow_nan=False))
    assert record["schema"] == "nfkit.protect-answers/1"
    assert record["labels"] == "data"
    assert record["macs"] > 1000
    assert {"fit", "threshold", "before", "after", "asked", "why", "held_out"} <= set(record)


def test_the_same_seed_gives_the_same_evidence():
    rest, held_out = TRAIN.hold_out(0.1, 1)
    config = EvidenceConfig("hint-8", epochs=1.0, batch=32)
    first, second = (train(None, [], SPEC, rest, held_out, config, classes=4).generator.state_dict() for _ in range(2))
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(first.values(), second.values(), strict=True))


class Killed(BaseException):
    """What ends a run without a word."""


def test_a_training_that_was_killed_goes_on_to_the_same_front(made, tmp_path, monkeypatch):
    monkeypatch.setattr("nfkit.learn.train.SAVE_EVERY", 0.0)
    output, stages, steps = tmp_path / "device.front.onnx", [], []

    def interrupt(progress):
        steps.append(progress)
        if len(steps) == 12:
            raise Killed

    with pytest.raises(Killed):
        protect_answers(Device(), TRAIN, TEST, SPEC, CONFIG, output, on_progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["device.front.onnx.checkpoint.pt"]
    device = Device()
    result = protect_answers(device, TRAIN, TEST, SPEC, CONFIG, output, on_stage=stages.append)
    assert any(stage.startswith("going on from step ") for stage in stages)
    assert output.read_bytes() == made[1].read_bytes()
    assert result.front.after.accuracy == made[2].front.after.accuracy
    assert [path.name for path in tmp_path.iterdir()] == ["device.front.onnx"]


def test_the_base_can_give_the_labels(tmp_path):
    device, nobody_knows = Device(), Dataset("unlabelled", TRAIN.x, None)
    result = protect_answers(device, nobody_knows, TEST, SPEC, CONFIG, tmp_path / "f.onnx", labels="base")
    assert result.labels == "base"
    assert device.asked >= 400 + 200
    assert result.front.after.accuracy.value > 0.75  # it cannot know better than what taught it


def test_a_base_that_names_its_best_class(tmp_path):
    device = Device()
    about = Description("named", "1", device.about.input, 4, "top-1")
    named = FunctionBase(lambda x: device(x).argmax(1), about)
    result = protect_answers(named, TRAIN, TEST, SPEC, CONFIG, tmp_path / "f.onnx", early_loss=None)
    assert result.front.after.accuracy.value > result.front.before.accuracy.value
    assert (result.front.asked, result.front.threshold) == (1, None)


def test_nothing_is_written_where_it_cannot_work(tmp_path):
    output = tmp_path / "f.onnx"
    with pytest.raises(DataError, match="too few"):
        protect_answers(Device(), TRAIN, TEST.take(20), SPEC, CONFIG, output)
    with pytest.raises(DataError, match="beyond the model's 4 classes"):
        protect_answers(Device(), Dataset("d", TRAIN.x, TRAIN.y + 1), TEST, SPEC, CONFIG, output)
    with pytest.raises(OptionError, match="--labels guessed: choose data"):
        protect_answers(Device(), TRAIN, TEST, SPEC, CONFIG, output, labels="guessed")
    with pytest.raises(OptionError, match="unet-s has no evidence of its own"):
        protect_answers(Device(), TRAIN, TEST, SPEC, EvidenceConfig("unet-s", epochs=1.0), output)
    with pytest.raises(OptionError, match="either as --epochs or as --minutes"):
        EvidenceConfig("hint-8")

    def broken(x):
        raise RuntimeError("gone")

    quick = EvidenceConfig("hint-8", epochs=0.1)
    with pytest.raises(AccessError, match="gone"):
        protect_answers(FunctionBase(broken, Device.about), TRAIN, TEST, SPEC, quick, output)
    assert [path.name for path in tmp_path.iterdir()] == ["f.onnx.checkpoint.pt"]  # the training is not lost


@pytest.mark.parametrize("helps", [True, False])
def test_surrogates_train_a_transform_and_the_base_decides_whether_it_helps(quadrants, tmp_path, helps):
    device = Device()
    about = Description("device", "2", device.about.input, 4)

    def answer(x):
        # Where it does not help, the base is one that nothing but plain noise of that brightness gets right.
        plain = x.astype(np.float32).mean((1, 2, 3)) < 110
        scores = device(x)
        return scores if helps else np.where(plain[:, None], 10 * scores, np.roll(10 * scores, 1, axis=1))

    output = tmp_path / "f.onnx"
    base = FunctionBase(answer, about)
    result = protect_answers(
        base, TRAIN, TEST, SPEC, CONFIG, output, surrogates=[quadrants], ber=0.01, early_loss=None
    )  # fmt: skip
    (facts,) = result.surrogates
    assert (facts.name, facts.loss > 0) == ("surrogate 1", True)
    record = result.to_dict()
    assert record["surrogates"][0]["sha256"] == facts.sha256
    assert "through surrogates at 1.5 times the rate" in record["why"]
    outputs = [value.name for value in load(output).graph.outputs]
    assert (JOINT in outputs) == result.front.transform
    rest = TEST.select(np.arange(1, 200, 2))
    assert int((Guarded(output, base)(rest.x).argmax(1) == rest.y).sum()) == result.front.after.accuracy.hits
    assert result.front.after.accuracy.value >= result.front.before.accuracy.value


def test_an_imitation_of_the_base_stands_in_for_it(tmp_path):
    device, output, stages = Device(), tmp_path / "f.onnx", []
    config = EvidenceConfig("hint-8", epochs=8.0, batch=32, seed=1)

    def protect(base):
        return protect_answers(
            base, TRAIN, TEST, SPEC, config, output, distil=360, ber=0.01, early_loss=None, on_stage=stages.append
        )

    result = protect(device)
    asked = device.asked
    (facts,) = result.surrogates
    assert facts.name == "f.surrogate"
    assert (facts.distilled.samples, facts.distilled.held_out) == (360, 36)
    assert facts.distilled.agreement >= 0.6
    assert "a network that imitates its answers is made first" in result.why
    said = f"agrees with it on {100 * facts.distilled.agreement:.1f} % of 36 held-out samples"
    assert any(said in line for line in result.sentences())
    # The file is a model by itself: it agrees as was said, and holds codes that can err.
    student = load(tmp_path / "f.surrogate.onnx")
    sites = fault_sites(student)
    assert {site.bits for site in sites} == {8}
    assert count_faults(student, sites, Chip(1), BitErrors(0.01))[0] > 0
    agreed = Runner(student).classify(SPEC.normalise(SPEC.encode(TEST.x))) == Device()(TEST.x).argmax(1)
    assert agreed.mean() >= 0.6
    # Again, it is taken as it is: only the choice of the state, the fit and the measurement ask.
    again = Device()
    assert protect(again).surrogates == result.surrogates
    assert again.asked == asked - 360
    assert any("taken as it is" in stage for stage in stages)


def test_a_base_that_names_its_best_class_is_imitated(tmp_path):
    device = Device()
    about = Description("named", "1", device.about.input, 4, "top-1")
    named = FunctionBase(lambda x: device(x).argmax(1), about)
    result = protect_answers(named, TRAIN, TEST, SPEC, CONFIG, tmp_path / "f.onnx", distil=200, early_loss=None)
    assert result.surrogates[0].distilled.agreement >= 0.6


def weights(path):
    """The numbers of a model, by name."""
    return {name: value.const_value.numpy() for name, value in load(path).graph.initializers.items()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_an_imitation_of_what_is_behind_an_address_learns_from_its_scores(tmp_path):
    """The same numbers as of the same base in this process, each sample asked for once; not those of best classes."""
    device, config = Device(), EvidenceConfig("hint-8", epochs=6.0, batch=16, seed=1)
    with (
        Server(FunctionBase(device, Device.about), "device") as server,
        open_endpoint(server.address, answers=tmp_path / "answers.sqlite") as endpoint,
    ):
        output = tmp_path / "asked.onnx"
        result = protect_answers(
            endpoint, TRAIN, TEST, SPEC, config, output, distil=240, ber=0.01, early_loss=None
        )  # fmt: skip
        usage, about = endpoint.record(), endpoint.about
    assert (about.answers, about.classes) == ("scores", 4)
    assert usage["queries"] == usage["answered"] == device.asked
    assert usage["queries"] >= 240 + len(TEST)
    (facts,) = result.surrogates
    assert (facts.distilled.samples, facts.distilled.held_out) == (240, 24)

    rest, _ = TRAIN.hold_out(0.1, config.seed)
    named = best_only(FunctionBase(device, Device.about))
    for name, base in (("here", Device()), ("named", named)):
        distil(base, name, rest, SPEC, 240, config, tmp_path / f"{name}.onnx")
    asked = weights(tmp_path / "asked.surrogate.onnx")
    assert same(asked, weights(tmp_path / "here.onnx"))
    assert not same(asked, weights(tmp_path / "named.onnx"))


def test_what_cannot_be_imitated_and_what_is_in_the_way(tmp_path):
    output, device = tmp_path / "f.onnx", Device()
    with pytest.raises(OptionError, match="50 answers are too few to imitate a base by: give 100 or more to --distil"):
        protect_answers(device, TRAIN, TEST, SPEC, CONFIG, output, distil=50)
    (tmp_path / "f.surrogate.onnx").write_bytes(b"mine")
    with pytest.raises(OptionError, match="is no imitation of a base that nfkit made: move it away"):
        protect_answers(device, TRAIN, TEST, SPEC, CONFIG, output, distil=200)
    assert (tmp_path / "f.surrogate.onnx").read_bytes() == b"mine"
    assert device.asked == 0


def test_a_rate_is_for_surrogates(tmp_path):
    with pytest.raises(OptionError, match="a rate is for surrogates"):
        protect_answers(Device(), TRAIN, TEST, SPEC, CONFIG, tmp_path / "f.onnx", ber=0.01)
