"""The one way in for data: named or found, in memory, labelled or not, doubted before work begins."""

import json

import numpy as np
import pytest

from nfkit.cli.options import Chips
from nfkit.data import load
from nfkit.errors import DataError, OptionError
from nfkit.faults import EVALUATION_CHIPS
from nfkit.workflows.inputs import find_chips
from nfkit.workflows.intake import data_for_measuring, data_for_training


@pytest.fixture(scope="module")
def test_data(zoo):
    return load(zoo.images, "test").take(400)


@pytest.fixture
def beside(zoo, tmp_path, test_data):
    np.savez(tmp_path / "m.npz", x=test_data.x, y=test_data.y)
    np.savez(tmp_path / "bare.npz", x=test_data.x)
    np.savez(tmp_path / "wrong.npz", x=test_data.x, y=(test_data.y + np.arange(400)) % 10)
    np.savez(tmp_path / "few.npz", x=test_data.x[:5], y=test_data.y[:5])
    return tmp_path


def test_intake_for_measuring(zoo, beside, test_data):
    taken = data_for_measuring(zoo.model, beside / "m.onnx", None, zoo.spec)
    assert taken.test.sha256 == test_data.sha256
    assert taken.sentences == ("data: m.npz:x, 400 samples (m.npz beside the model)",)
    assert taken.warnings == ()
    with pytest.raises(DataError, match=r"has no labels; .* --labels base"):
        data_for_measuring(zoo.model, beside / "m.onnx", beside / "bare.npz", zoo.spec)
    agreed = data_for_measuring(zoo.model, beside / "m.onnx", beside / "bare.npz", zoo.spec, labels="base")
    assert agreed.test.labels == "base"
    with pytest.raises(DataError, match="holds 5 samples, too few to measure on"):
        data_for_measuring(zoo.model, beside / "m.onnx", beside / "few.npz", zoo.spec)
    asked = data_for_measuring(zoo.model, beside / "m.onnx", None, zoo.spec, samples=5)
    assert [doubt.kind for doubt in asked.doubts] == ["few samples"]
    in_memory = data_for_measuring(zoo.model, zoo.model, test_data.take(5), zoo.spec)
    assert [doubt.kind for doubt in in_memory.doubts] == ["few samples"]
    with pytest.raises(DataError, match="a model in memory has no folder to look for data in"):
        data_for_measuring(zoo.model, zoo.model, None, zoo.spec)
    measured = data_for_measuring(zoo.model, beside / "m.onnx", beside / "wrong.npz", zoo.spec)
    assert "near chance" in [doubt.kind for doubt in measured.doubts]
    with pytest.raises(OptionError, match="--labels mine: choose data"):
        data_for_measuring(zoo.model, beside / "m.onnx", None, zoo.spec, labels="mine")


def test_intake_for_training(zoo, beside):
    taken = data_for_training(zoo.model, beside / "m.onnx", None, None, zoo.spec, 0)
    assert (len(taken.train), len(taken.test)) == (360, 40)
    assert "the base without errors is right on 9" in taken.sentences[1]
    with pytest.raises(DataError, match=r"no more than chance .*; add --allow-low-accuracy to go on"):
        data_for_training(zoo.model, beside / "m.onnx", beside / "wrong.npz", None, zoo.spec, 0)
    allowed = data_for_training(
        zoo.model, beside / "m.onnx", beside / "wrong.npz", None, zoo.spec, 0, allow_low_accuracy=True
    )
    assert "near chance" in [doubt.kind for doubt in allowed.doubts]
    with pytest.raises(DataError, match="too few to train on"):
        data_for_training(zoo.model, beside / "m.onnx", beside / "few.npz", None, zoo.spec, 0, allow_low_accuracy=True)
    agreed = data_for_training(zoo.model, beside / "m.onnx", beside / "bare.npz", None, zoo.spec, 0, labels="base")
    assert {agreed.train.labels, agreed.test.labels} == {"base"}
    assert agreed.sentences[0] == "accuracy means agreement with the clean base"


def test_classes_are_numbered_by_names(zoo, beside, test_data):
    model = zoo.model.clone()
    names = [f"class {i}" for i in range(10)]
    model.metadata_props["names"] = json.dumps(names)
    order = np.random.default_rng(1).permutation(10)
    inverse = np.argsort(order)
    np.savez(beside / "n.npz", x=test_data.x, y=inverse[test_data.y], class_names=[names[i] for i in order])
    taken = data_for_measuring(model, beside / "m.onnx", beside / "n.npz", zoo.spec)
    assert taken.test.y.tolist() == test_data.y.tolist()
    assert [doubt.kind for doubt in taken.doubts] == ["changed by reading"]


def test_more_chips_than_there_are_is_refused_before_they_are_counted_through():
    assert len(find_chips(len(EVALUATION_CHIPS))) == len(EVALUATION_CHIPS)
    with pytest.raises(OptionError, match="99,999,999,999 chips: there are 950,000 that nothing is trained"):
        find_chips(99_999_999_999)


def test_the_command_line_knows_how_many_chips_there_are():
    (option,) = (part for part in Chips.__metadata__ if hasattr(part, "max"))
    assert option.max == len(EVALUATION_CHIPS)
