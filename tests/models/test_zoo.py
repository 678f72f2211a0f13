"""What a model card says of its file is true."""

import hashlib
import re
import subprocess
import sys

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from nfkit.errors import OptionError
from nfkit.models import zoo

NAME = "resnet8-fashion-mnist"


@pytest.fixture(scope="module")
def card() -> str:
    return zoo.path(NAME).with_name("resnet8_fashion_mnist.md").read_text("utf-8")


@pytest.fixture(scope="module")
def model() -> ir.Model:
    return ir.load(zoo.path(NAME))


def test_digest_is_the_card_s(card):
    digest = hashlib.sha256(zoo.path(NAME).read_bytes()).hexdigest()
    assert re.findall(r"sha256 \| `(\w+)`", card) == [digest]


def test_accuracy_on_the_slice_is_the_card_s(card):
    (claimed,) = re.findall(r"first 1,000.*\| ([\d.]+) % \|$", card, re.MULTILINE)
    with np.load(zoo.images(NAME)) as arrays:
        pixels, labels = arrays["x_test"], arrays["y_test"]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(zoo.path(NAME), options, providers=["CPUExecutionProvider"])
    image = pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - np.float32(1)
    (logits,) = session.run(["logits"], {"image": image})
    assert int((logits.argmax(1) == labels).sum()) == round(float(claimed) * 10)


def test_weights_are_int8_with_one_scale_a_tensor(card, model):
    weights = [
        node
        for node in model.graph
        if node.op_type == "DequantizeLinear" and node.inputs[0].const_value is not None
        if node.inputs[0].dtype == ir.DataType.INT8
    ]
    assert len(weights) == 10
    for node in weights:
        codes, scale, zero_point = (value.const_value.numpy() for value in node.inputs)
        assert np.abs(codes.astype(int)).max() == 127  # the scale is the greatest weight over 127
        assert scale.shape == ()
        assert scale > 0
        assert zero_point == 0
    size = sum(node.inputs[0].const_value.size for node in weights)
    assert f"| {size:,} bytes in ten tensors" in card


def test_interface(model):
    (image,), (logits,) = model.graph.inputs, model.graph.outputs
    assert (image.name, logits.name) == ("image", "logits")
    assert (str(image.shape), str(logits.shape)) == ("[batch,1,28,28]", "[batch,10]")
    assert (model.opset_imports, model.ir_version) == ({"": 18}, 8)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)


def test_file_tells_nothing_of_the_machine_that_made_it():
    content = zoo.path(NAME).read_bytes()
    for trace in (b"pkg.", b"stack_trace", b".py", b"/work", b"/home"):
        assert trace not in content


def test_slice_is_the_start_of_the_data_set():
    with np.load(zoo.images(NAME)) as arrays:
        shapes = {name: (arrays[name].shape, str(arrays[name].dtype)) for name in arrays}
        # The labels that the official files begin with.
        assert arrays["y_train"][:5].tolist() == [9, 0, 0, 3, 0]
        assert arrays["y_test"][:5].tolist() == [9, 2, 1, 1, 6]
    assert shapes == {
        "x_train": ((6000, 28, 28, 1), "uint8"),
        "y_train": ((6000,), "int64"),
        "x_test": ((1000, 28, 28, 1), "uint8"),
        "y_test": ((1000,), "int64"),
    }


def test_licences(card):
    licence = zoo.path(NAME).with_name("FASHION_MNIST_LICENSE").read_text("utf-8")
    notice = "© 2017 Zalando SE, https://tech.zalando.com"
    assert notice in licence
    assert notice in card
    assert "Apache-2.0" in card


@pytest.mark.parametrize("find", [zoo.path, zoo.images])
def test_unknown_name_names_the_known_ones(find):
    with pytest.raises(OptionError, match=r"'resnet9'.*resnet8-fashion-mnist"):
        find("resnet9")


def test_every_file_is_there():
    for name in zoo.ZOO:
        assert zoo.path(name).is_file()
        assert zoo.images(name).is_file()


def test_images_that_did_not_come_along_are_missed_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(zoo.resources, "files", lambda package: tmp_path)
    with pytest.raises(OptionError, match="travel with the repository"):
        zoo.images("resnet8-fashion-mnist")


def test_finding_a_model_imports_neither_torch_nor_onnx():
    code = (
        "import sys; from nfkit.models import zoo; zoo.path('resnet8-fashion-mnist');"
        "sys.exit(bool({'torch', 'onnx', 'onnxruntime'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
