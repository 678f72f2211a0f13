"""How well a canary tells a device's bit error rate and accuracy, and what switching modes by it is worth.

    python benchmarks/canary.py switched.nf.onnx test.npz --json canary.json

Of the samples the first part builds the canary, the rest measures it. Chips of the measurement are unseen; each is at
several voltages. A row a rate: how often the 95 % interval of the rate holds the true one, the estimate's error as a
factor, how often the interval of the accuracy holds what the chip is worth, and accuracy by the canary's mode against
each fixed mode and against the best mode of each chip, which nobody knows in the field.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import nfkit
from nfkit.access.chip import put_on_chip
from nfkit.data import Dataset
from nfkit.deploy.canary import Plant, build_canary
from nfkit.deploy.canary_file import save_canary
from nfkit.deploy.figures import read_errors
from nfkit.deploy.health import tell_health
from nfkit.faults import EVALUATION_CHIPS, Chip
from nfkit.graph.fusion.modes.taking import plain
from nfkit.graph.fusion.split import split
from nfkit.parallel import cores
from nfkit.reports.provenance import versions
from nfkit.workflows import inputs


def main() -> None:
    """Builds, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("data")
    parser.add_argument("--chips", type=int, default=100)
    parser.add_argument("--build", type=int, default=400, help="samples that build the canary")
    parser.add_argument("--measure", type=int, default=400, help="further samples that measure it")
    parser.add_argument("-n", type=int, default=32)
    parser.add_argument("--ber", default="0.001,0.003,0.007,0.015,0.03")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--canary", type=Path)
    given = parser.parse_args()
    model = nfkit.load_model(given.file)
    spec, (errors, layout) = inputs.find_spec(model), read_errors(model)
    whole = nfkit.load_data(given.data, "test")
    building = whole.take(given.build)
    rest = slice(given.build, given.build + given.measure)
    measuring = Dataset(f"{whole.name}[{given.build}:]", whole.x[rest], whole.y[rest])
    canary = build_canary(model, building, spec, errors, layout, n=given.n)
    if given.canary:
        save_canary(canary, given.canary)
    base = split(plain(model))[1]
    plant = Plant(model, measuring, spec)
    rows, rates = [], [float(rate) for rate in given.ber.split(",")]
    for rate in rates:
        seeds = EVALUATION_CHIPS[: given.chips]

        def ask(seed, rate=rate):
            device = put_on_chip(base, Chip(seed, layout), errors.at(rate), threads=1).base
            return tell_health(canary, device), plant.ask(device)[1]

        with ThreadPoolExecutor(cores()) as pool:
            told = list(pool.map(ask, seeds))
        for seed, (health, truth) in zip(seeds, told, strict=True):
            by = {entry.measure: entry for entry in (health.device.by_scores, health.device.by_answers) if entry}
            rows.append(
                {
                    "rate": rate, "chip": seed, "mode": health.mode, "truth": truth,
                    "accuracy": [health.accuracy[mode] for mode in canary.modes],
                    "beyond": health.beyond, "rates": {m: [e.rate, e.low, min(e.high, 1.0)] for m, e in by.items()},
                    "measure": health.device.best.measure,
                }
            )  # fmt: skip
        print(f"{100 * rate:g} %: {given.chips} chips", file=sys.stderr)
    record = {
        "schema": "nfkit.speed/1", "benchmark": "canary", "file": given.file.name, "data": measuring.name,
        "modes": canary.modes, "rule": canary.rule, "rows": rows, "build": given.build, "measure": len(measuring),
        "n": given.n, "versions": versions(), "command": " ".join(["python", *sys.argv]),
    }  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps(record) + "\n")
    show(record)


def show(record: dict) -> None:
    """One line a rate."""
    modes = list(record["modes"])
    print(f"{'rate':>6} {'by':>8} {'held':>6} {'factor':>7} {'by':>8} {'held':>6} {'factor':>7} {'acc held':>9}"
          f" {'canary':>7} {'best':>6}  " + " ".join(f"{mode:>8}" for mode in modes))  # fmt: skip
    rates = sorted({row["rate"] for row in record["rows"]})
    for rate in [*rates, None]:
        rows = [row for row in record["rows"] if rate in (None, row["rate"])]
        cells = [f"{'all' if rate is None else f'{100 * rate:g}%':>6}"]
        for measure in ("scores", "answers"):
            told = np.array([[row["rate"], *row["rates"][measure]] for row in rows])
            held = ((told[:, 2] <= told[:, 0]) & (told[:, 0] <= told[:, 3])).mean()
            factor = np.exp(np.abs(np.log(np.maximum(told[:, 1], 1e-6) / told[:, 0])).mean())
            cells += [f"{measure:>8}", f"{100 * held:6.1f}", f"{factor:7.2f}"]
        truth = np.array([row["truth"] for row in rows])
        chosen = np.array([modes.index(row["mode"]) for row in rows])
        bounds = np.array([row["accuracy"] for row in rows])
        index = np.arange(len(rows))
        mine = truth[index, chosen]
        within = (bounds[index, chosen, 1] <= mine) & (mine <= bounds[index, chosen, 2])
        cells += [f"{100 * within.mean():9.1f}", f"{100 * mine.mean():7.2f}", f"{100 * truth.max(1).mean():6.2f} "]
        cells += [f"{100 * truth[:, i].mean():8.2f}" for i in range(len(modes))]
        print(" ".join(cells))


if __name__ == "__main__":
    main()
