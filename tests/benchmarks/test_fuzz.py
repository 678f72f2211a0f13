"""Damaged models end in an answer or in a sentence: never in a traceback, a hang, or more memory than there is."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "fuzz.py"
MODELS = 330


def test_damaged_models_end_in_an_answer_or_a_sentence(tmp_path):
    """Some 2,000 calls; of another seed than the benchmark's own."""
    record = tmp_path / "fuzz.json"
    command = [sys.executable, str(BENCHMARK), "--cases", str(MODELS), "--seed", "1", "--json", str(record)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert record.exists(), done.stderr
    result = json.loads(record.read_text())
    assert result["failures"] == []
    assert done.returncode == 0
    answered, refused = result["counts"]["answered"], result["counts"]["refused"]
    assert answered + refused > 2000
    assert min(answered, refused) > 300  # damage neither spoils everything nor nothing


def test_what_once_failed_does_not_fail_again():
    """Cases of the benchmark's own seed, one of each kind that failed."""
    script = f"""
import logging, sys
sys.path.insert(0, {str(BENCHMARK.parent)!r})
logging.disable()
import fuzz
failures = [failure for case in (3942, 4206, 10005, 10288, 18109, 18379) for failure in fuzz.run(1, 0, first=case)[1]]
assert not failures, failures
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
