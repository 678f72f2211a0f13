"""kill -9 at random moments of a campaign: the store that is taken up again equals one that nothing ended.

python benchmarks/campaign_kill.py [--kills 50] [--seed 1] [--quick] [--json FILE]

A campaign of a small network (two remedies, two rates, 60 chips) is driven by processes that are killed, one after the
other, after a random time, wherever they are: opening the store, in the pilot, in a transaction, at the end. When one
ends before it is killed, the next begins in a new folder. At the end each folder is taken up once more, and compared
row by row with the same campaign measured in one go, in everything but times.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import speed

from nfkit.campaigns.store import FILE, TRUTH
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
    options = parser.parse_args()
    kills, draw = (3 if options.quick else options.kills), random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = prepare(folder)
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


def run(plan: dict[str, object], folder: Path, after: float | None) -> int:
    """Measures in a process of its own, which is killed after some seconds; its exit code."""
    child = os.fork()
    if child == 0:
        try:
            campaign(plan, folder)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def truth(folder: Path) -> list[tuple[object, ...]]:
    """All measurements, but for times and who made them."""
    with sqlite3.connect(folder / FILE) as file:
        if file.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            raise SystemExit(f"{folder} is damaged")
        return file.execute(f"SELECT {', '.join(TRUTH)} FROM measurements ORDER BY cell, chip").fetchall()


def count(folder: Path) -> int:
    """Measurements in a store that may have been ended anywhere, before it had tables, too."""
    if not (folder / FILE).exists():
        return 0
    with sqlite3.connect(folder / FILE) as file:
        made = file.execute("SELECT count(*) FROM sqlite_master WHERE name = 'measurements'").fetchone()[0]
        return int(file.execute("SELECT count(*) FROM measurements").fetchone()[0]) if made else 0


if __name__ == "__main__":
    main()
