"""Ctrl-C while something is imported: real processes, and a real signal that the import itself raises."""

import os
import signal
import subprocess
import sys

import pytest

# Python imports a module of this name by itself. One that a C extension imports turns an exception into an ImportError.
SIGNALLED = """
import os, signal, sys
class Signalled:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            for _ in range({times}):
                os.kill(os.getpid(), signal.SIGINT)
                if {times} > 1:  # the handler runs between two instructions, one signal at a time
                    sum(range(1000))
        return None
sys.meta_path.insert(0, Signalled())
"""

# What an import does once it is interrupted, and that it is not stopped half-way.
SLOW = """
import os, signal
os.kill(os.getpid(), signal.SIGINT)
try:
    for n in range(100_000):
        n * n
except KeyboardInterrupt:
    print("broken within the import")
print("imported", flush=True)
"""

WAITING = """
import sys
sys.path.insert(0, {folder!r})
from nfkit.cli.interrupts import {context}
try:
    with {call}:
        import slow
        while True:  # the interrupt that waits ends this
            pass
except KeyboardInterrupt:
    print("interrupted after it", flush=True)
"""


def ready_for_interrupts():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell starts its children deaf to it


def run(folder, name, arguments, times=1):
    (folder / "sitecustomize.py").write_text(SIGNALLED.format(name=name, times=times))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=ready_for_interrupts,
    )


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("typer", ["--help"]),
        ("onnx_ir", ["inspect", "m.onnx"]),
        ("numpy._core._exceptions", ["energy", "m.onnx"]),
        ("onnxruntime", ["evaluate", "m.onnx", "--ber", "1%"]),
    ],
)
def test_an_interrupted_import_is_one_line(tmp_path, files, name, command):
    (tmp_path / "m.onnx").write_bytes(files.base.read_bytes())
    (tmp_path / "m.npz").write_bytes(files.data.read_bytes())
    done = run(tmp_path, name, ["-m", "nfkit", *command])
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (130, ["nfkit: interrupted"])
    assert "rror" not in done.stderr


def test_the_installed_program_begins_where_the_module_does(tmp_path):
    done = run(tmp_path, "typer", ["-c", "from nfkit.cli.start import main; main()", "--help"])
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "nfkit: interrupted\n")


def test_a_second_interrupt_within_an_import_ends_at_once(tmp_path):
    done = run(tmp_path, "typer", ["-m", "nfkit", "--help"], times=2)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "nfkit: interrupted\n")


@pytest.mark.parametrize(
    ("context", "call", "said"),
    [
        ("interruptible", "interruptible()", ""),
        ("acknowledged", 'acknowledged("it is kept")', "\nCtrl-C: it is kept; once more ends at once\n"),
    ],
)
def test_an_interrupt_waits_for_the_import_to_end(tmp_path, context, call, said):
    (tmp_path / "slow.py").write_text(SLOW)
    done = subprocess.run(
        [sys.executable, "-c", WAITING.format(folder=str(tmp_path), context=context, call=call)],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=ready_for_interrupts,
    )
    assert done.stdout.splitlines() == ["imported", "interrupted after it"]
    assert done.stderr == said


def test_what_is_deaf_to_interrupts_stays_so(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SIGNALLED.format(name="typer", times=1))
    done = subprocess.run(
        [sys.executable, "-m", "nfkit", "--version"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert done.returncode == 0, done.stderr
