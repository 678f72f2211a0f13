"""`nfkit transfer`: to a file, to an address, and what it says where it cannot."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from nfkit.access.base import GraphBase
from nfkit.access.guarded import Guarded
from nfkit.access.server import Server
from nfkit.cli.main import app
from nfkit.data import load as load_data
from nfkit.errors import NfkitError
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.metadata import read_answer
from nfkit.model import load, save

LOOKS = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 1, 28, 28] image) => (float[N, 1, 28, 28] protected)
<float s = {0.0078125}, float low = {-1}, float high = {1}>
{
    flat = Flatten (image)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (flat, k_f)
    pushed = Add (image, image)
    protected = Clip (pushed, low, high)
}
"""


@pytest.fixture(scope="module")
def looker(parse, zoo, tmp_path_factory):
    """A protected model whose generator has evidence: the mean image of each class."""
    images = zoo.spec.encode(zoo.train.x[:500]).reshape(500, -1)
    means = np.stack([images[zoo.train.y[:500] == c].mean(0) for c in range(10)], axis=1)
    codes = np.clip(np.rint(100 * (means - means.mean())), -128, 127).astype(np.int8)
    fused = fuse(parse(LOOKS, k=codes), zoo.model, zoo.spec, {"nfkit.generator": "means"})
    return save(fused, tmp_path_factory.mktemp("looker") / "looker.nf.onnx")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NFKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def refused():
    """refused(*arguments): the sentence that the command ends with."""

    def run(*arguments):
        result = CliRunner().invoke(app, ["transfer", *map(str, arguments)])
        assert isinstance(result.exception, NfkitError)
        return str(result.exception)

    return run


def test_to_a_file(invoke, files, looker, tmp_path):
    record = json.loads(
        invoke(
            "transfer", looker, files.base, "--data", files.data, "-o", "o.nf.onnx", "--chips", 2, "--json", "-"
        ).stdout
    )
    assert (record["schema"], record["patterns"], record["base"]) == ("nfkit.transfer/2", "dropped", str(files.base))
    assert record["fit"]["samples"] == 30
    assert [point["ber"] for point in record["evaluate"]["points"]] == [0.01]
    assert read_answer(load(tmp_path / "o.nf.onnx")) is not None


def test_to_an_address(invoke, files, looker, zoo, tmp_path):
    base = GraphBase(zoo.model)
    with Server(base, "fashion") as server:
        arguments = ["transfer", looker, server.address, "--data", files.data]
        record = json.loads(invoke(*arguments, "--json", "-").stdout)
        text = invoke(*arguments, "--force").stdout
    data = load_data(str(files.data), "test")
    rest = data.select(np.arange(1, 60, 2))
    answers = Guarded(tmp_path / "fashion.front.onnx", base)(zoo.spec.encode(rest.x))
    assert record["after"]["accuracy"]["hits"] == int((answers.argmax(1) == rest.y).sum())
    assert record["output"]["path"] == "fashion.front.onnx"
    assert text.splitlines()[-1] == f"the base was asked for {100 * record['asked']:.1f} % of them"


def test_a_base_behind_its_front(invoke, files, looker, zoo, tmp_path):
    base = GraphBase(zoo.model)
    with Server(base, "fashion") as server:
        invoke("transfer", looker, server.address, "--data", files.data, "--early-loss", 0.5)
        arguments = ["evaluate", server.address, "--data", files.data, "--front", "fashion.front.onnx"]
        record = json.loads(invoke(*arguments, "--json", "-").stdout)
        text = invoke(*arguments).stdout
    guarded, data = Guarded(tmp_path / "fashion.front.onnx", base), load_data(str(files.data), "test")
    answers = guarded(zoo.spec.encode(data.x))
    assert record["accuracy"]["hits"] == int((answers.argmax(1) == data.y).sum())
    assert (record["front"]["asked"], record["front"]["spared"]) == (guarded.asked, guarded.spared)
    assert "which asked the base for" in text.splitlines()[-1]


def test_as_it_is(invoke, files, tmp_path):
    record = json.loads(
        invoke("transfer", files.fused, files.base, "--keep-patterns", "-o", "o.nf.onnx", "--json", "-").stdout
    )
    assert record["patterns"] == "kept"
    assert "fit" not in record


def test_what_is_missing_is_named(refused, files, looker):
    assert "give --data, or --keep-patterns" in refused(looker, files.base, "-o", "o.onnx")
    given = ["--data", files.data, "-o", "o.onnx"]
    assert "no evidence of its own" in refused(files.fused, files.base, *given)
    assert "--queries: for a model behind an address" in refused(looker, files.base, *given, "--queries", 5)
    address = "http://127.0.0.1:9/v2/models/m"
    assert "for files: behind an address nothing is simulated" in refused(looker, address, *given, "--ber", 0.01)
