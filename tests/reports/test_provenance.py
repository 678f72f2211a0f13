"""What a record says about model and data can be checked against the files."""

import hashlib

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from nfkit.data import Dataset
from nfkit.model import save, sha256
from nfkit.reports.provenance import describe
from nfkit.version import __version__


@pytest.fixture
def data():
    return Dataset("some", np.zeros((3, 4, 4, 2), np.uint8), np.arange(3))


def test_a_file_is_described_by_path_and_digest(convnet, data, tmp_path):
    path = save(convnet(), tmp_path / "base.onnx")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for source in (path, str(path)):
        record = describe(source, convnet(), data)
        assert record["model"] == {
            "path": str(path), "sha256": digest, "base_sha256": digest, "protected": False,
        }  # fmt: skip
    assert record["data"] == {"name": "some", "n": 3, "sha256": data.sha256}
    assert record["versions"]["nfkit"] == __version__
    assert record["versions"]["onnxruntime"] == onnxruntime.__version__


def test_a_model_in_memory_is_described_by_its_graph(convnet, data):
    model = convnet()
    for source in (model, ir.to_proto(model)):
        record = describe(source, model, data)["model"]
        assert record["path"] == "convnet"
        assert record["sha256"] == sha256(model)


def test_a_file_to_be_written_is_described_by_what_will_be_in_it(convnet, data, tmp_path):
    model, path = convnet(), tmp_path / "later.onnx"
    before = describe(path, model, data)
    save(model, path)
    assert describe(path, model, data) == before
