"""`nfkit verify`: one line a check, exit codes for CI, a record."""

import json
import shutil

import onnx
import pytest
from typer.testing import CliRunner

from nfkit.cli.main import app
from nfkit.errors import OptionError
from nfkit.graph.fusion.fused import SEAL_KEY
from nfkit.model import load, save


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, ["verify", *map(str, arguments)], catch_exceptions=False)


def test_a_file_as_it_was_made(run, files):
    result = run(files.fused, "--base", files.base)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"{files.fused}: proven"
    assert all(line.startswith("✓ ") for line in lines[1:])
    assert any(line.startswith(f"✓ base: is '{files.base}'") for line in lines)


def test_a_changed_one(run, files, tmp_path):
    message = onnx.load(files.fused)
    message.graph.node[-1].name = "harmless"
    next(e for e in message.metadata_props if e.key == "nfkit.input").value += " "
    onnx.save(message, tmp_path / "changed.onnx")
    result = run(tmp_path / "changed.onnx", "--json", "-")
    assert result.exit_code == 1
    record = json.loads(result.stdout)
    assert record["schema"] == "nfkit.verify/1"
    assert [check["name"] for check in record["checks"] if check["outcome"] == "wrong"] == ["metadata", "whole"]


def test_one_without_a_seal(run, files, tmp_path):
    model = load(files.fused)
    del model.metadata_props[SEAL_KEY]
    result = run(save(model, tmp_path / "old.onnx"))
    assert result.exit_code == 3
    assert "? generator: " in result.stdout


def test_the_record_must_not_replace_the_model(run, files, tmp_path):
    shutil.copy(files.fused, tmp_path / "p.onnx")
    before = (tmp_path / "p.onnx").read_bytes()
    with pytest.raises(OptionError):
        run(tmp_path / "p.onnx", "--json", tmp_path / "p.onnx")
    assert (tmp_path / "p.onnx").read_bytes() == before
