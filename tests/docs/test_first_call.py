"""The transcripts of docs/first-call.md are what the program prints, on a terminal of 80 columns and in a pipe."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.input.discovery import find_input
from nfkit.model import load, save

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "first-call.md").read_text(encoding="utf-8")
FOLDERS = {
    "In a fresh clone": None,
    "In an empty folder": {},
    "In a folder with a model": {"data": False},
    "In a folder with a model and data": {"data": True},
    "In a folder with a protected file": {"data": True, "protected": True},
}
COMMAND = "    $ nfkit "
PROGRESS = re.compile(r" *\d+ %  .*\bleft\b")
REFUSED = ("In a fresh clone", "In an empty folder", "In a folder with a model")


# Sums of few products of small integers and powers of two: float32 holds them, in whatever order they are taken.
BASE = """
<ir_version: 8, opset_import: ["" : 18]>
model (float[N, 3, 4, 4] image) => (float[N, 3] scores)
<float s = {0.0078125}, int8 z = {0}>
{
    q = QuantizeLinear (image, s, z)
    f = DequantizeLinear (q, s, z)
    w_f = DequantizeLinear (w, s)
    c = Conv (f, w_f)
    p = GlobalAveragePool (c)
    scores = Flatten (p)
}
"""
GENERATOR = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 3, 4, 4] image) => (float[N, 3, 4, 4] out)
<float half = {0.5}, float low = {-1}, float high = {1}>
{
    residual = Mul (image, half)
    added = Add (image, residual)
    out = Clip (added, low, high)
}
"""


def images(count):
    """Noise with one bright colour, which is the class."""
    y = np.arange(count) % 3
    x = np.random.default_rng(0).integers(0, 100, (count, 4, 4, 3), np.uint8)
    x[np.arange(count), :, :, y] += 100
    return x, y


def make(folder, *, data=False, protected=False):
    """Writes the model, with its images and with a protected file where they are wanted."""
    proto = onnx.parser.parse_model(BASE)
    codes = np.eye(3, dtype=np.int8).reshape(3, 3, 1, 1) * 100
    proto.graph.initializer.append(onnx.numpy_helper.from_array(codes, "w"))
    base = load(proto)
    save(base, folder / "model.onnx")
    if data:
        x, y = images(600)
        np.savez(folder / "model.npz", x=x, y=y)
    if protected:
        spec = find_input(base, value_range=(-1, 1))
        save(fuse(load(onnx.parser.parse_model(GENERATOR)), base, spec, {}), folder / "model.nf.onnx")


def transcripts():
    """(heading, arguments, printed lines) of all commands on the page."""
    for section in PAGE.split("\n## ")[1:]:
        heading, *lines = section.splitlines()
        for index, line in enumerate(lines):
            if line.startswith(COMMAND):
                printed = []
                for following in lines[index + 1 :]:
                    if not following.startswith("    ") or following.startswith(COMMAND):
                        break
                    printed.append(following[4:])
                yield heading, tuple(line.removeprefix(COMMAND).split()), printed


CASES = list(transcripts())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """folder(heading): the folder of a section."""
    made = {}

    def find(heading):
        wanted = FOLDERS[heading]
        if wanted is None:
            return ROOT
        if heading not in made:
            made[heading] = tmp_path_factory.mktemp("first")
            if wanted:
                make(made[heading], **wanted)
        return made[heading]

    return find


def run(arguments, where):
    """(exit code, lines without progress) in a pipe; stderr comes first, as it is printed first."""
    environment = {**os.environ, "COLUMNS": "80"}
    command = [sys.executable, "-m", "nfkit", *arguments]
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    lines = (done.stderr + done.stdout).splitlines()
    return done.returncode, [line.rstrip() for line in lines if not PROGRESS.match(line)]


@pytest.mark.parametrize(("heading", "arguments", "printed"), CASES, ids=[f"{c[0]}: {' '.join(c[1])}" for c in CASES])
def test_a_transcript_is_what_is_printed(heading, arguments, printed, folder):
    code, lines = run(arguments, folder(heading))
    assert lines == printed
    assert code == (1 if heading in REFUSED or arguments[0] == "protect" else 0)


def test_every_section_has_both_commands():
    assert {heading for heading, _, _ in CASES} == set(FOLDERS)
    assert {arguments[0] for _, arguments, _ in CASES} == {"protect", "evaluate"}


def test_nothing_is_wider_than_the_terminal(folder):
    """The same on a pseudo-terminal of 80 columns: what is shown fits, whatever was drawn and redrawn before."""
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
    command = [sys.executable, "-m", "nfkit", "evaluate", "--ber", "0.01"]
    where = folder("In a folder with a protected file")
    with subprocess.Popen(command, cwd=where, env=environment, stdin=child, stdout=child, stderr=child) as process:
        os.close(child)
        content = b""
        while True:
            try:
                part = os.read(parent, 65536)
            except OSError:  # how Linux says that nobody writes any more
                break
            if not part:
                break
            content += part
    os.close(parent)
    assert process.returncode == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", content.decode())
    shown = [part for line in plain.split("\n") for part in line.split("\r") if part.strip()]
    assert shown
    assert [line for line in shown if len(line) > 80] == []
