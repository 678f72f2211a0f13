"""The walk over a folder: each file is handled, or refused with a reason, and nothing ends in a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nfkit.model import save

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "conformance.py"
PRODUCT = """
<ir_version: 10, opset_import: ["" : 21]>
g (float[N, 4] x) => (float[N, 3] y) <float s = {{0.02}}> {{
    {read}
    y = MatMul (x, f)
}}
"""


@pytest.fixture(scope="module")
def walked(parse, tmp_path_factory):
    """The record and the page of a folder with a model of each fate."""
    folder, out = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("out")
    (folder / "deeper").mkdir()
    weights = np.random.default_rng(0).integers(-128, 128, (4, 3), np.int8)
    save(parse(PRODUCT.format(read="f = DequantizeLinear (w, s)"), w=weights), folder / "deeper" / "stored.onnx")
    save(parse(PRODUCT.format(read="f = Mul (w, s)"), w=weights.astype(np.float32)), folder / "floats.onnx")
    (folder / "noise.onnx").write_bytes(b"no model at all")
    command = [sys.executable, SCRIPT, folder, "--json", out / "record.json", "--page", out / "page.md"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "record.json").read_text()), (out / "page.md").read_text(), done.stdout


def test_each_file_has_its_outcome(walked):
    record, _, printed = walked
    files = {entry["file"]: entry for entry in record["files"]}
    assert {name: entry["outcome"] for name, entry in files.items()} == {
        "deeper/stored.onnx": "handled",
        "floats.onnx": "refused",
        "noise.onnx": "refused",
    }
    assert files["deeper/stored.onnx"]["modes"] == ["node", "input", "baked"]
    assert files["deeper/stored.onnx"]["gradient"]["difference"] < 1e-6
    assert "stores no weights as integers" in files["floats.onnx"]["reason"]
    assert "no readable ONNX model" in files["noise.onnx"]["reason"]
    assert printed.splitlines()[-1] == "1 handled, 2 refused, 0 failed"


def test_page_holds_the_counts_and_every_file(walked):
    record, page, _ = walked
    assert "**1 handled, 2 refused with a reason, 0 failed**" in page
    assert all(entry["file"] in page for entry in record["files"])


def test_published_page_is_that_of_the_published_record(tmp_path):
    docs = SCRIPT.parents[1] / "docs"
    command = [sys.executable, SCRIPT, "--from", docs / "results" / "conformance.json", "--page", tmp_path / "page.md"]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "page.md").read_text() == (docs / "conformance.md").read_text()
