"""The speed benchmarks run, write whole records, and compare what is equal."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def quick(name, folder, *options):
    file = folder / "record.json"
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--quick", "--json", str(file), *options]
    subprocess.run(command, check=True, capture_output=True)
    record = json.loads(file.read_text())
    assert record["schema"] == "nfkit.speed/1"
    assert record["benchmark"] == name
    assert set(record["versions"]) == {"nfkit", "numpy", "onnxruntime", "torch"}
    return record["results"]


def test_the_fast_step_has_the_plain_loops_gradients(tmp_path):
    (row,) = quick("eopm_step", tmp_path)
    assert row["float32 largest difference"] < 1e-3  # float32 sums in another order


def test_both_draws_change_the_same_share_of_codes(tmp_path):
    (row,) = quick("chips", tmp_path)
    expected = 1 - (1 - 0.01 / 2) ** 8
    for side in ("chip changed", "dense changed"):
        assert row[side] == pytest.approx(expected, abs=0.007)  # five standard deviations at 20,000 codes


def test_evaluation_is_timed_against_all_baselines(tmp_path):
    (row,) = quick("evaluate", tmp_path, "--torch")
    assert all(row[f"{key} / nfkit"] > 0 for key in ("plain", "parallel", "torch"))


def test_memory_does_not_grow_with_the_chips(tmp_path):
    rows = quick("memory", tmp_path)
    assert [row["what"] for row in rows] == ["evaluate", "campaign"]
    assert all(row["growth MB"] < 25 for row in rows)  # from the 10th chip to the 20th; a session takes two or three


def test_ablations_leave_out_what_they_name(tmp_path):
    left_out = "no caution (shares mixed as they are)"
    whole, without = quick("ablations", tmp_path, "--variant", "all of it", "--variant", left_out)
    assert (whole["variant"], without["variant"]) == ("all of it", left_out)
    assert whole["steps"] == without["steps"] > 0
    assert whole["PA"] == without["PA"]  # the same base, chips and samples


def test_a_map_with_shortcuts_is_that_of_the_whole_model(tmp_path):
    """The benchmark itself ends where an answer differs."""
    whole, *together = quick("shortcuts", tmp_path)
    assert whole["whole / cut"] > 0
    assert [row["what"] for row in together] == ["1 chips a session", "2 chips a session"]
