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


@pytest.fixture
def start(parse, tmp_path):
    """start(port): `nfkit serve` in a process of its own, and the address that it says."""
    path = save(parse(MODEL, w=np.random.default_rng(0).integers(-9, 9, (4, 3), np.int8)), tmp_path / "linear.onnx")
    running = []

    def serve(port=0):
        command, environment = [PROGRAM, "serve", path, "--port", str(port)], os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        running.append(process)
        return process, process.stdout.readline().split()[0]

    yield serve
    for process in running:
        process.kill()
        process.communicate()


def test_a_run_that_is_killed_goes_on(start, intercept, tmp_path):
    random = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=random.normal(size=(96, 4)).astype(np.float32), y=random.integers(0, 3, 96))
    server, address = start()
    proxy = intercept(address)
    state = {"server": server, "client": None}

    def kill(process):
        process.send_signal(signal.SIGKILL)
        process.wait()

    def on_ask(number):
        if number == 3:
            kill(state["client"])
        if number == 6:
            raise ConnectionResetError
        if number == 8:  # the server dies with a question on its way, and another one takes its place
            kill(state["server"])
            state["server"], _ = start(int(address.split("/")[2].split(":")[1]))
            raise ConnectionResetError

    proxy.on_ask = on_ask

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

    times = Counter()
    for headers, body in proxy.requests:
        message = decode("inputs", {k.lower(): v for k, v in headers.items()}, body)
        times.update(map(digest, message.tensors["x"]))
    assert len(times) == 96
    # Twice, what was on its way when somebody died: three calls of eight.
    assert Counter(times.values()) == {1: 72, 2: 24}
    assert killed["base"]["queries_of_all_runs"] == 96 + 24
    assert (killed["base"]["known"], killed["base"]["answered"]) == (24, 72)
