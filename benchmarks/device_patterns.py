"""What patterns that are trained for one device gain over a general file of the same minutes.

    python benchmarks/device_patterns.py MODEL.onnx train.npz test.npz --layout iid --minutes 3 --own 1 --json out.json

Two general files of the published form are trained at one rate: one for `--minutes`, one for `--own` minutes more. From
the first a file for each device is made in `--own` minutes, at each rate, and compared with the second on that device.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import nfkit
from nfkit.model import sha256
from nfkit.reports.provenance import versions


def main() -> None:
    """Trains, makes devices' files, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--generator", default="hint-32")
    parser.add_argument("--layout", default="iid")
    parser.add_argument("--rates", default="0.01,0.02")
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--first", type=int, default=60_000)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--own", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, default=Path("device_patterns"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(exist_ok=True)
    short, long = (general_file(given, minutes) for minutes in (given.minutes, given.minutes + given.own))
    rows = []
    for rate in map(float, given.rates.split(",")):
        for device in range(given.first, given.first + given.devices):
            own = nfkit.protect_device(
                short, given.train, device, test=given.test, ber=rate, minutes=given.own, force=True,
                output=given.folder / "device.nf.onnx",
            )  # fmt: skip
            longer = nfkit.evaluate(long, given.test, ber=rate, chips=[device], layout=given.layout).points[0]
            rows.append(
                {
                    "ber": rate, "chip": device, "clean": own.clean.accuracy, "base": own.device.base.accuracy,
                    "general": own.device.general.accuracy, "general_longer": longer.protected.mean,
                    "own": own.device.own.accuracy, "gain": own.gain.mean, "gain_ci95": own.gain.ci95,
                    "others_general": [entry.general.accuracy for entry in own.others],
                    "others_own": [entry.own.accuracy for entry in own.others],
                }
            )  # fmt: skip
            print(rows[-1], flush=True)
    record = {
        "schema": "nfkit.speed/1", "benchmark": "device_patterns",
        "command": f"python benchmarks/device_patterns.py {given.model.name} {Path(given.train).name} "
        f"{Path(given.test).name} --layout {given.layout} --minutes {given.minutes:g} --own {given.own:g}",
        "setting": {"model": given.model.name, "sha256": sha256(given.model), "generator": given.generator},
        "versions": versions(), "results": rows,
    }  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps(record, indent=1) + "\n")


def general_file(given: argparse.Namespace, minutes: float) -> Path:
    """A file for all chips; one that is there is taken."""
    path = given.folder / f"{given.model.stem}_{given.layout}_{minutes:g}.nf.onnx"
    if not path.exists():
        nfkit.protect(
            given.model, given.train, given.test, output=path, generator=given.generator, answer="base", ber=0.01,
            layout=given.layout, minutes=minutes, chips=2, around=False, allow_loss=True,
        )  # fmt: skip
    return path


if __name__ == "__main__":
    main()
