"""Answers outlive the process that paid for them."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from nfkit.access.store import AnswerStore, digest
from nfkit.errors import OutputError


def test_what_is_kept_is_found_by_base_and_sample(tmp_path):
    scores = np.array([[0.1, -2.5], [np.float32(1e-45), 3]], np.float32)
    store = AnswerStore(tmp_path / "a.sqlite")
    store.keep("one", [b"x", b"y"], scores)
    store.keep("two", [b"x"], scores[1:])
    store.close()
    again = AnswerStore(tmp_path / "a.sqlite")
    found = again.find("one", [b"x", b"y", b"z"])
    assert {name: array.tobytes() for name, array in found.items()} == {
        b"x": scores[0].tobytes(),
        b"y": scores[1].tobytes(),
    }
    assert again.find("three", [b"x"]) == {}
    many = [bytes([i % 256, i // 256]) for i in range(1300)]
    again.keep("four", many, np.arange(1300, dtype=np.float32)[:, None])
    assert sorted(float(v[0]) for v in again.find("four", many).values()) == list(range(1300))
    again.close()


def test_what_is_in_doubt_is_forgotten_of_its_base_alone(tmp_path):
    scores = np.eye(2, dtype=np.float32)
    store = AnswerStore(tmp_path / "a.sqlite")
    for identity in ("one", "other"):
        store.keep(identity, [b"a", b"b"], scores)
    store.forget("one", [b"b", b"never kept"])
    assert set(store.find("one", [b"a", b"b"])) == {b"a"}
    assert set(store.find("other", [b"a", b"b"])) == {b"a", b"b"}
    store.close()


def test_facts_are_settled_once_and_queries_add_up(tmp_path):
    store = AnswerStore(tmp_path / "a.sqlite")
    assert store.fact("one", "version") is None
    assert store.settle("one", "version", "3") == "3"
    assert store.settle("one", "version", "4") == "3"
    assert store.fact("one", "version") == "3"
    store.spend("one", 5)
    store.spend("one", -2)
    assert (store.spent("one"), store.spent("two")) == (3, 0)
    store.close()


def test_samples_of_other_types_and_shapes_are_other_samples():
    zeros = [np.zeros(4, "float32"), np.zeros(4, "int32"), np.zeros((2, 2), "float32"), np.zeros(2, "float64")]
    assert len({digest(sample) for sample in zeros}) == 4
    transposed = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert digest(transposed) == digest(transposed.copy())


def test_a_killed_process_leaves_what_it_had_kept(tmp_path):
    script = (
        "import os, signal, sys, numpy as np\nfrom pathlib import Path\n"
        "from nfkit.access.store import AnswerStore\n"
        f"store = AnswerStore(Path({str(tmp_path / 'a.sqlite')!r}))\n"
        "store.spend('m', 7)\n"
        "store.keep('m', [b'x'], np.ones((1, 2), np.float32))\n"
        "store._file.execute('BEGIN IMMEDIATE')\n"
        "store._file.execute(\"INSERT INTO answers VALUES ('m', x'79', x'00')\")\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    store = AnswerStore(tmp_path / "a.sqlite")
    assert list(store.find("m", [b"x", b"y"])) == [b"x"]
    assert store.spent("m") == 7
    store.close()


def test_two_processes_write_at_the_same_time(tmp_path):
    script = (
        "import sys, numpy as np\nfrom pathlib import Path\nfrom nfkit.access.store import AnswerStore\n"
        f"store = AnswerStore(Path({str(tmp_path / 'a.sqlite')!r}))\n"
        "for i in range(100):\n"
        "    store.spend('m', 1)\n"
        "    store.keep('m', [bytes([int(sys.argv[1]), i])], np.full((1, 2), i, np.float32))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(n)]) for n in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    store = AnswerStore(tmp_path / "a.sqlite")
    assert store.spent("m") == 200
    assert len(store.find("m", [bytes([n, i]) for n in range(2) for i in range(100)])) == 200
    store.close()


def test_a_file_that_is_something_else(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG" * 1000)
    with pytest.raises(OutputError, match=r"picture.png' keeps no answers .* --answers"):
        AnswerStore(path)
    assert path.read_bytes() == b"\x89PNG" * 1000
    with pytest.raises(OutputError, match="there is no folder"):
        AnswerStore(tmp_path / "absent" / "a.sqlite")
