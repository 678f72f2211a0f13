"""The bill of materials: valid by the library's own schema, and true of the file."""

import json

import pytest

pytest.importorskip("cyclonedx")

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from typer.testing import CliRunner

from nfkit.cli.main import app
from nfkit.deploy.bom import describe
from nfkit.graph.fusion.fused import BASE_SOURCE_KEY
from nfkit.graph.fusion.seal import seal, seal_of
from nfkit.model import load, save, sha256

DIGEST = "ab" * 32


@pytest.fixture(params=["published", "modes", "front"])
def shipped(request, protected, tmp_path):
    """A file with all that protect records."""
    model = protected(request.param)
    model.metadata_props["license"] = "Apache-2.0"
    model.metadata_props["nfkit.version"] = "0.9.1"
    model.metadata_props[BASE_SOURCE_KEY] = DIGEST
    entry = {"source": None, "name": "images.npz:x", "n": 500, "sha256": "cd" * 32, "labels": "data"}
    model.metadata_props["nfkit.data"] = json.dumps({"train": entry, "test": entry, "seed": 0})
    results = [{"ber": 0.01, "base": {"mean": 0.5}, "protected": {"mean": 0.75}, "recovery": {"mean": 0.25}}]
    model.metadata_props["nfkit.results"] = json.dumps(results)
    seal(model)
    return save(model, tmp_path / "p.nf.onnx"), request.param


def test_it_is_valid_and_true(shipped):
    path, form = shipped
    model = load(path)
    text = describe(model, path)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom, sealed = json.loads(text), seal_of(model)
    assert bom["specVersion"] == "1.6"
    main = bom["metadata"]["component"]
    assert main["type"] == "machine-learning-model"
    assert main["hashes"] == [{"alg": "SHA-256", "content": sha256(path)}]
    told = {entry["name"]: entry["value"] for entry in main["properties"]}
    assert told["nfkit:graph_sha256"] == sealed.whole
    assert json.loads(told["nfkit:accuracy:0.01"]) == {"base": 0.5, "protected": 0.75}
    assert bom["metadata"]["tools"]["components"][0]["version"] == "0.9.1"
    parts = {entry["bom-ref"]: entry for entry in bom["components"]}
    assert ("machine-learning-model:base of p.nf.onnx" in parts) == (form != "front")
    if form != "front":
        base = parts["machine-learning-model:base of p.nf.onnx"]
        assert base["hashes"][0]["content"] == DIGEST
        assert base["licenses"] == [{"license": {"id": "Apache-2.0"}}]
        assert base["properties"] == [{"name": "nfkit:graph_sha256", "value": sealed.base}]
    assert parts["machine-learning-model:hint-64"]["properties"][0]["value"] == sealed.generator
    assert parts["data:images.npz:x (train)"]["hashes"][0]["content"] == "cd" * 32
    if form == "modes":
        assert json.loads(told["nfkit:mode:low"])["ber"] == 0.01
    assert describe(load(path), path) == text


def test_verify_writes_it_of_what_is_not_wrong(shipped, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)

    path, _ = shipped
    assert run("verify", path, "--bom", tmp_path / "b.json").exit_code == 0
    assert json.loads((tmp_path / "b.json").read_text())["bomFormat"] == "CycloneDX"
    model = load(path)
    model.metadata_props["nfkit.results"] = "[]"
    save(model, path)
    assert run("verify", path, "--bom", tmp_path / "c.json").exit_code == 1
    assert not (tmp_path / "c.json").exists()
