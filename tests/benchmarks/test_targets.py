"""The table of targets is that of the record, which says everything that the table leaves out."""

import importlib.util
import json
from pathlib import Path

import pytest

from nfkit.deploy.targets.known import TARGETS

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "results" / "targets.json"
WITHOUT_VNNI = RECORD.with_name("targets_avx2.json")


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("targets", ROOT / "benchmarks" / "targets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def record():
    return json.loads(RECORD.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [RECORD, WITHOUT_VNNI])
def test_the_page_is_that_of_the_record(benchmark, path):
    text = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    assert benchmark.page(json.loads(path.read_text(encoding="utf-8")), text) == text


def test_the_second_table_is_of_kernels_without_vnni(benchmark):
    record = json.loads(WITHOUT_VNNI.read_text(encoding="utf-8"))
    assert record["environment"][benchmark.KERNELS] == "AVX2"
    assert {row["target"] for row in record["rows"]} == {"openvino"}


def test_every_form_of_every_model_was_run_on_every_target(record):
    assert record["targets"] == list(TARGETS)
    forms = {(row["file"], row["form"]) for row in record["rows"]}
    assert {form for _, form in forms} == {"base", "prefix", "both ends", "early answers"}
    assert len(forms) == 4 * len({file for file, _ in forms})
    assert len(record["rows"]) == len(forms) * len(TARGETS)


def test_what_had_to_change_is_named(benchmark, record):
    row = {"file": "a.nf.onnx", "form": "base", "kinds": ["batch", "softmax"], "equal": 99, "samples": 200}
    rows = [
        {**row, "target": "tract", "accuracy": 0.5, "accuracy_in_onnx_runtime": 0.52},
        {**row, "target": "openvino", "kinds": [], "accuracy": 0.5, "accuracy_in_onnx_runtime": 0.5},
        {"file": "a.nf.onnx", "form": "base", "target": "reference", "kinds": [], "state": "as it is", "note": "lacks"},
    ]
    line = benchmark.table({"targets": ["tract", "openvino", "reference"], "rows": rows})[-1]
    assert line == "| a | base | 49.5 (-2.0) | 49.5 (+0.0) | not installed | `tract`: batch of 1, Softmax spelt out |"
    assert all(kind in benchmark.CHANGES for entry in record["rows"] for kind in entry["kinds"])
