"""A run is killed: client, proxy and server, each with SIGKILL. It goes on, asks for nothing twice, ends the same."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nfkit.access.base import GraphBase
from nfkit.access.store import digest
from nfkit.access.wire import decode
from nfkit.model import load, save

PROGRAM = Path(sys.executable).with_name("nfkit")
PROXY = Path(__file__).with_name("passing_proxy.py")
MODEL = """
<ir_version: 8, opset_import: ["" : 18]>
linear (float[N, 4] x) => (float[N, 3] y) <float s = {0.5}> {
    f = DequantizeLinear (w, s)
    y = MatMul (x, f)
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


class PassingProxy:
    """A proxy in a process of its own. As questions come, `on_ask(number)` is called before each is passed on."""

    def __init__(self, address, folder):
        folder.mkdir()
        self._upstream, self._path = address.split("/")[2], address.split("/", 3)[3]
        self._folder, self._port, self.starts = folder, 0, 0
        self.on_ask = lambda number: None
        self.start()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self._port}/{self._path}"

    def start(self):
        """Starts the process; again, on the port that it had."""
        command = [sys.executable, PROXY, self._upstream, str(self._port), self._folder]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._port, self.starts = int(self.process.stdout.readline()), self.starts + 1

    def asked(self, tensor):
        """How often each sample was sent."""
        times = Counter()
        for path in self._folder.glob("*.body"):
            headers = json.loads(path.with_suffix(".headers").read_text())
            message = decode("inputs", {k.lower(): v for k, v in headers.items()}, path.read_bytes())
            times.update(map(digest, message.tensors[tensor]))
        return times

    def stop(self):
        kill(self.process)
        self._thread.join()

    def _listen(self):
        heard = None
        while heard is not self.process:  # what was killed here may have been started again
            heard = self.process
            for line in heard.stdout:
                self.on_ask(int(line.split()[1]))
                if heard is self.process:
                    heard.stdin.write("go\n")
                    heard.stdin.flush()
            heard.stdin.close()
            heard.stdout.close()


@pytest.fixture
def pass_on(tmp_path):
    """pass_on(address): a proxy in front of it, in a process of its own."""
    running = []

    def make(address):
        running.append(PassingProxy(address, tmp_path / f"asked {len(running)}"))
        return running[-1]

    yield make
    for proxy in running:
        proxy.stop()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def deaths(state, start, proxy, address, *path):
    """As questions come the client, the proxy and the server are killed, each with the question on its way."""

    def on_ask(number):
        if number == 3:
            kill(state["client"])
        if number == 6:
            kill(proxy.process)
            proxy.start()
        if number == 8:  # which the proxy passes on to nobody
            kill(state["server"])
        if number == 9:
            state["server"], _ = start(int(address.split("/")[2].split(":")[1]), *path)

    return on_ask


def test_a_run_that_is_killed_goes_on(start, pass_on, tmp_path):
    random = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=random.normal(size=(96, 4)).astype(np.float32), y=random.integers(0, 3, 96))
    server, address = start()
    proxy = pass_on(address)
    state = {"server": server, "client": None}
    proxy.on_ask = deaths(state, start, proxy, address)

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

    times = proxy.asked("x")
    assert (len(times), proxy.starts) == (96, 2)
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
    quadrants, start, pass_on, tmp_path, train, way, served
):
    random, names = np.random.default_rng(0), ("train", "test")
    for name, count in zip(names, (train, 40), strict=True):
        x, y = random.integers(0, 160, (count, 16, 16, 1)), random.integers(0, 4, count)
        for image, label in zip(x, y, strict=True):
            image[8 * (label // 2) :][:8, 8 * (label % 2) :][:, :8] += 80
        np.savez(tmp_path / f"{name}.npz", x=x.astype(np.uint8), y=y)
    path = save(quadrants, tmp_path / "quadrants.onnx")
    server, address = start(0, path, *served)
    proxy, whole = pass_on(address), pass_on(address)
    state = {"server": server, "client": None}
    proxy.on_ask = deaths(state, start, proxy, address, path, *served)

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
    times = whole.asked("image")
    assert set(times.values()) == {1}
    assert len(times) == {80: 80 + 40, 160: 276}[train]  # the second asks for transformed samples, too
    # Twice, what was on its way when somebody died: three calls of eight.
    assert proxy.starts == 2
    assert Counter(proxy.asked("image").values()) == {1: len(times) - 24, 2: 24}
