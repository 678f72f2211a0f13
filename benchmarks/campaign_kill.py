"""kill -9 at random moments of a campaign: the store that is taken up again equals one that nothing ended.

python benchmarks/campaign_kill.py [--kills 50] [--seed 1] [--cluster] [--quick] [--json FILE]

A campaign of a small network (two remedies, two rates, 60 chips) is driven by processes that are killed, one after the
other, after a random time, wherever they are: opening the store, in the pilot, in a transaction, at the end. When one
ends before it is killed, the next begins in a new folder. At the end each folder is taken up once more, and compared
row by row with the same campaign measured in one go, in everything but times.

With `--cluster` the campaign (240 chips) runs on a scheduler and two workers of dask, each a process of its own, and
what is killed is the driver, a worker or the scheduler, in turn. A dead worker or scheduler is started anew; a driver
whose scheduler died has to end by itself.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import speed
from distributed import Client

from nfkit.campaigns.store import FILE
from nfkit.campaigns.tables import ANSWERS
from nfkit.workflows.campaigning import campaign

NET = """
<ir_version: 8, opset_import: ["" : 18]>
tiny (float[N, 36] x) => (float[N, 7] scores)
<float s = {0.015625}> { f = DequantizeLinear (w, s) scores = MatMul (x, f) }
"""


def main() -> None:
    """Kills, takes up again, compares."""
    parser = speed.arguments(__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cluster", action="store_true")
    options = parser.parse_args()
    kills, draw = (3 if options.quick else options.kills), random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = prepare(folder)
        if options.cluster:
            speed.report("campaign_kill", {"seed": options.seed}, kill_cluster(plan, folder, kills, draw), options.json)
            return
        begun = time.monotonic()
        if run(plan, folder / "whole", None) != 0:
            raise SystemExit("the campaign itself fails")
        length = time.monotonic() - begun
        wanted, folders, ends, rows_at_end = truth(folder / "whole"), 1, [], []
        while sum(end == -signal.SIGKILL for end in ends) < kills:
            target = folder / f"killed{folders}"
            ends.append(run(plan, target, draw.uniform(0.0, 0.6 * length)))
            rows_at_end.append(count(target))
            folders += ends[-1] == 0
        same = 0
        for number in range(1, folders + 1):
            target = folder / f"killed{number}"
            if run(plan, target, None) != 0 or truth(target) != wanted:
                raise SystemExit(f"{target} differs from the campaign that nothing ended")
            same += 1
    row = {
        "kills": kills, "folders": same, "rows each": len(wanted), "killed at fewest rows": min(rows_at_end),
        "killed at most rows": max(rows_at_end), "different kill points": len(set(rows_at_end)),
        "one go s": length, "differences": 0,
    }  # fmt: skip
    speed.report("campaign_kill", {"seed": options.seed}, [row], options.json)


class Cluster:
    """A scheduler of dask and two workers, each a process of its own."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes = {name: self._start(name) for name in ("scheduler", "worker", "worker 2")}

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        arguments = (
            ["dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
            if name == "scheduler"
            else ["dask_worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        )
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{arguments[0]}", *arguments[1:]], stderr=subprocess.DEVNULL
        )

    def wait(self) -> None:
        """Until both workers have found the scheduler."""
        with Client(self.address, timeout=60) as client:
            client.wait_for_workers(2, timeout=60)

    def kill(self, name: str) -> None:
        """Ends a process as a power cut does, and starts another in its place; workers follow their scheduler."""
        for each in ("scheduler", "worker", "worker 2") if name == "scheduler" else (name,):
            self.processes[each].kill()
            self.processes[each].wait()
            self.processes[each] = self._start(each)

    def close(self) -> None:
        """Ends all of them."""
        for process in self.processes.values():
            process.kill()
            process.wait()


def kill_cluster(plan: dict[str, object], folder: Path, kills: int, draw: random.Random) -> list[dict[str, object]]:
    """Kills drivers, workers and schedulers in turn."""
    plan = {**plan, "chips": 240}
    if run(plan, folder / "whole", None) != 0:
        raise SystemExit("the campaign itself fails")
    wanted, cluster, number, rows = truth(folder / "whole"), Cluster(), 1, dict[str, list[int]]()
    ended = dict[str, list[int]]()
    try:
        cluster.wait()
        begun = time.monotonic()
        if run(plan, folder / "measured", None, cluster.address) != 0:
            raise SystemExit("the campaign fails on the cluster")
        length = time.monotonic() - begun
        kill = 0
        while kill < kills:
            victim, target = ("driver", "worker", "scheduler")[kill % 3], folder / f"killed{number}"
            driver = start(plan, target, cluster.address)
            time.sleep(draw.uniform(0.1, 0.7) * length)
            at = count(target)
            if at == len(wanted):  # nothing is left to lose: the next begins in a new folder
                os.waitpid(driver, 0)
                number += 1
                continue
            rows.setdefault(victim, []).append(at)
            kill += 1
            if victim == "driver":
                os.kill(driver, signal.SIGKILL)
            else:
                cluster.kill(victim)
            code = os.waitstatus_to_exitcode(os.waitpid(driver, 0)[1])
            ended.setdefault(victim, []).append(code)
            print(f"{kill}: {victim} killed at {rows[victim][-1]} rows, the driver ended with {code}", flush=True)
            cluster.wait()
            if code == 0 and truth(target) != wanted:
                raise SystemExit(f"{target} differs from the campaign that nothing ended")
            number += code == 0
        for each in range(1, number + 1):
            target = folder / f"killed{each}"
            if run(plan, target, None, cluster.address) != 0 or truth(target) != wanted:
                raise SystemExit(f"{target} differs from the campaign that nothing ended")
    finally:
        cluster.close()
    return [
        {
            "killed": victim, "kills": len(at), "driver went on": ended[victim].count(0), "rows each": len(wanted),
            "killed at fewest rows": min(at), "killed at most rows": max(at), "one go s": length, "differences": 0,
        }
        for victim, at in rows.items()
    ]  # fmt: skip


def prepare(folder: Path) -> dict[str, object]:
    """A model and data as files, and their plan."""
    draw, model = np.random.default_rng(0), onnx.parser.parse_model(NET)
    weights = draw.integers(-90, 91, (36, 7), np.int8)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, folder / "tiny.onnx")
    x = draw.uniform(-1, 1, (200, 36)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=(x @ weights).argmax(axis=1))
    return {
        "models": [{"file": str(folder / "tiny.onnx"), "range": [-1, 1], "input_layout": "NC"}],
        "data": str(folder / "data.npz"), "remedies": ["bare", "robust-bits:2"], "rates": [0.02, 0.05], "chips": 60,
    }  # fmt: skip


def start(plan: dict[str, object], folder: Path, scheduler: str | None = None) -> int:
    """Measures in a process of its own; its number."""
    child = os.fork()
    if child == 0:
        try:
            if scheduler is None:
                campaign(plan, folder)
            else:
                campaign(plan, folder, engine="dask", scheduler=scheduler)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    return child


def run(plan: dict[str, object], folder: Path, after: float | None, scheduler: str | None = None) -> int:
    """The same, killed after some seconds; its exit code."""
    child = start(plan, folder, scheduler)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def truth(folder: Path) -> list[tuple[object, ...]]:
    """All measurements, but for times and who made them."""
    with sqlite3.connect(folder / FILE) as file:
        if file.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            raise SystemExit(f"{folder} is damaged")
        return file.execute(f"SELECT {', '.join(ANSWERS.truth)} FROM measurements ORDER BY cell, chip").fetchall()


def count(folder: Path) -> int:
    """Measurements in a store that may have been ended anywhere, before it had tables, too."""
    if not (folder / FILE).exists():
        return 0
    with sqlite3.connect(folder / FILE) as file:
        made = file.execute("SELECT count(*) FROM sqlite_master WHERE name = 'measurements'").fetchone()[0]
        return int(file.execute("SELECT count(*) FROM measurements").fetchone()[0]) if made else 0


if __name__ == "__main__":
    main()
