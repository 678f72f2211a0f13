"""Replies that are faulty, over both protocols, end in the right numbers or in a sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("grpc", reason="grpcio is not installed: pip install 'nfkit[grpc]'")

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "faulty_replies.py"


def test_faulty_replies_end_right_or_in_a_sentence(tmp_path):
    """Of another seed than the benchmark's own."""
    record = tmp_path / "faulty.json"
    command = [sys.executable, str(BENCHMARK), "--replies", "40", "--seed", "1", "--json", str(record)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert record.exists(), done.stderr
    rows = json.loads(record.read_text())["results"]
    assert done.returncode == 0, done.stdout
    assert len(rows) == 20
    assert all(row["right"] + row["refused"] == row["runs"] > 0 for row in rows)
    assert sum(row["replies"] for row in rows) >= 80
    assert min(sum(row[outcome] for row in rows) for outcome in ("right", "refused")) >= 10
