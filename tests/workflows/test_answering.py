"""A front for a base that only answers, from labels and queries alone."""

import json

import numpy as np
import pytest

from nfkit.access.base import Description, FunctionBase, Tensor
from nfkit.access.guarded import Guarded
from nfkit.data import Dataset
from nfkit.errors import AccessError, DataError, OptionError
from nfkit.graph.fusion.fused import JOINT
from nfkit.graph.input.spec import InputSpec
from nfkit.learn.config import EvidenceConfig
from nfkit.learn.train import train
from nfkit.model import load
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
    assert list(tmp_path.iterdir()) == []
