"""A run is killed: the client, the server, and the line between. It goes on, asks for nothing twice, ends the same."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nfkit.access.base import GraphBase
from nfkit.access.store import digest
from nfkit.access.wire import decode
from nfkit.model import load, save

PROGRAM = Path(sys.executable).with_name("nfkit")
MODEL = """
<ir_version: 8, opset_import: ["" : 18]>
linear (float[N, 4] x) => (float[N, 3] y) <float s = {0.5}> {
    f = DequantizeLinear (w, s)
    y = MatMul (x, f)
}
"""


QUADRANTS = """
<ir_version: 8, opset_import: ["" : 18]>
quadrants (float[N, 1, 16, 16] image) => (float[N, 4] scores)
<float s_image = {0.0078125}, int8 z_image = {0}, float s_w = {0.002}>
{
    q = QuantizeLinear (image, s_image, z_image)
    f = DequantizeLinear (q, s_image, z_image)
    w_f = DequantizeLinear (w, s_w)
    c = Conv <strides = [8, 8]> (f, w_f)
    scores = Flatten (c)
}
"""


@pytest.fixture
def start(parse, tmp_path):
    """start(port, path): `nfkit serve` in a process of its own, and the address that it says."""
    linear = save(parse(MODEL, w=np.random.default_rng(0).integers(-9, 9, (4, 3), np.int8)), tmp_path / "linear.onnx")
    running = []

    def serve(port=0, path=linear, *more):
        command = [PROGRAM, "serve", path, "--port", str(port), *more]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        running.append(process)
        return process, process.stdout.readline().split()[0]

    yield serve
    for process in running:
        process.kill()
        process.communicate()


def deaths(state, start, address, *path):
    """As questions come, the client dies, the line breaks, and the server dies, with another in its place."""

    def kill(process):
        process.send_signal(signal.SIGKILL)
        process.wait()

    def on_ask(number):
        if number == 3:
            kill(state["client"])
        if number == 6:
            raise ConnectionResetError
        if number == 8:  # with a question on its way
            kill(state["server"])
            state["server"], _ = start(int(address.split("/")[2].split(":")[1]), *path)
            raise ConnectionResetError

    return on_ask


def asked(proxy, tensor):
    """How often each sample was sent."""
    times = Counter()
    for headers, body in proxy.requests:
        message = decode("inputs", {k.lower(): v for k, v in headers.items()}, body)
        times.update(map(digest, message.tensors[tensor]))
    return times


def test_a_run_that_is_killed_goes_on(start, intercept, tmp_path):
    random = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=random.normal(size=(96, 4)).astype(np.float32), y=random.integers(0, 3, 96))
    server, address = start()
    proxy = intercept(address)
    state = {"server": server, "client": None}

    proxy.on_ask = deaths(state, start, address)

    def evaluate(to, name):
        command = [PROGRAM, "evaluate", to, "--data", "d.npz", "--range", "-9", "9", "--layout", "NC"]
        command += ["--call-batch", "8", "--concurrency", "1", "--answers", name, "--json", f"{name}.json"]
        state["client"] = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        state["client"].communicate()
        return state["client"].returncode

    codes = [evaluate(proxy.address, "killed.sqlite") for _ in range(2)]
    assert codes == [-signal.SIGKILL, 0]
    killed, model = json.loads((tmp_path / "killed.sqlite.json").read_text()), GraphBase(load(tmp_path / "linear.onnx"))
    with np.load(tmp_path / "d.npz") as data:
        expected = int((model(data["x"]).argmax(1) == data["y"]).sum())
    assert killed["accuracy"]["hits"] == expected

    times = asked(proxy, "x")
    assert len(times) == 96
    # Twice, what was on its way when somebody died: three calls of eight.
    assert Counter(times.values()) == {1: 72, 2: 24}
    assert killed["base"]["queries_of_all_runs"] == 96 + 24
    assert (killed["base"]["known"], killed["base"]["answered"]) == (24, 72)


@pytest.mark.parametrize(
    ("train", "way", "served"),
    [
        (80, ["--labels", "base", "--epochs", "1"], []),
        (160, ["--distil", "120", "--epochs", "4", "--ber", "1%", "--classes", "4"], ["--top-1"]),
    ],
    ids=["labels", "distilled from best classes"],
)
def test_a_protection_that_is_killed_three_times_ends_with_the_same_front(
    quadrants, start, intercept, tmp_path, train, way, served
):
    random, names = np.random.default_rng(0), ("train", "test")
    for name, count in zip(names, (train, 40), strict=True):
        x, y = random.integers(0, 160, (count, 16, 16, 1)), random.integers(0, 4, count)
        for image, label in zip(x, y, strict=True):
            image[8 * (label // 2) :][:8, 8 * (label % 2) :][:, :8] += 80
        np.savez(tmp_path / f"{name}.npz", x=x.astype(np.uint8), y=y)
    path = save(quadrants, tmp_path / "quadrants.onnx")
    server, address = start(0, path, *served)
    proxy, whole = intercept(address), intercept(address)
    state = {"server": server, "client": None}

    proxy.on_ask = deaths(state, start, address, path, *served)

    def protect(to, name):
        """The program's exit code."""
        command = [PROGRAM, "protect", to, "--data", "train.npz", "--test-data", "test.npz", *way]
        command += ["--range", "-1", "1", "--generator", "hint-8", "--batch", "16", "-o", f"{name}.onnx"]
        command += ["--call-batch", "8", "--concurrency", "1", "--answers", f"{name}.sqlite", "--json", f"{name}.json"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        state["client"] = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        state["client"].communicate()
        return state["client"].returncode

    assert [protect(proxy.address, "killed") for _ in range(2)] == [-signal.SIGKILL, 0]
    assert protect(whole.address, "whole") == 0
    assert (tmp_path / "killed.onnx").read_bytes() == (tmp_path / "whole.onnx").read_bytes()
    killed, unbroken = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("killed", "whole"))
    for record in (killed, unbroken):
        for differs in ("base", "command", "output", "said"):
            del record[differs]
        for surrogate in record.get("surrogates", ()):  # which is called after the output
            del surrogate["name"], surrogate["sha256"]
    assert killed == unbroken
    times = asked(whole, "image")
    assert set(times.values()) == {1}
    assert len(times) == {80: 80 + 40, 160: 276}[train]  # the second asks for transformed samples, too
    # Twice, what was on its way when somebody died: three calls of eight.
    assert Counter(asked(proxy, "image").values()) == {1: len(times) - 24, 2: 24}
