"""What a plan for one device gains over one for all, and how it does on other devices.

    python benchmarks/one_device.py model.nf.onnx test.npz --devices 10 --json one_device_model.json

Half of the images chooses, half confirms, as in `nfkit plan`. For every device: the saving of a plan for all chips and
of one for this chip, and what its loss is on the device itself and, with the same voltage and numbers, on the others.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import nfkit
from nfkit.faults import EVALUATION_CHIPS, BitErrors
from nfkit.graph.fusion.trust import Trust
from nfkit.measure.bench import Bench
from nfkit.measure.early import NEVER
from nfkit.model import sha256
from nfkit.plans.looked import Looked
from nfkit.reports.plan import Option, Plan
from nfkit.reports.provenance import versions
from nfkit.workflows import inputs


def main() -> None:
    """Plans, measures across, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("data")
    parser.add_argument("--devices", type=int, default=10)
    parser.add_argument("--layout", default="iid")
    parser.add_argument("--max-loss", type=float, default=0.01)
    parser.add_argument("--confidence", type=float, default=0.5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    model, data = nfkit.load_model(given.file), nfkit.load_data(given.data, "test")
    aim = {"max_loss": given.max_loss, "confidence": given.confidence, "layout": given.layout}
    general = nfkit.plan(given.file, given.data, **aim)
    devices = EVALUATION_CHIPS[: given.devices]
    spec, layout = inputs.find_spec(model), inputs.find_layout(given.layout)
    bench = Bench(model, data.hold_out(0.5, 0)[1], spec, layout=layout)
    looked = Looked.of(bench, model, devices, lambda said: None)
    assert looked is not None, "this file has no evidence: it was made with --answer base"

    def losses(option: Option) -> np.ndarray:
        """Points lost by each device, [devices]."""
        errors, trust = BitErrors(option.ber), Trust(**(option.trust or {"weight": 0.0}))
        right = looked.both(errors, len(devices), trust)
        if option.early is not None:
            threshold = NEVER if option.threshold is None else option.threshold
            right = np.where(looked.sure(trust, threshold), looked.alone, right)
        return 100 * (looked.clean.mean() - right.mean(1))

    rows = [row_of("all chips", best_of(general), losses(best_of(general)), None)]
    for index, device in enumerate(devices):
        option = best_of(nfkit.plan(given.file, given.data, chip=device, **aim))
        rows.append(row_of(f"chip {device}", option, losses(option), index))
        print(rows[-1], flush=True)
    record = {
        "schema": "nfkit.speed/1", "benchmark": "one_device",
        "command": f"python benchmarks/one_device.py {given.file.name} {Path(given.data).name} "
        f"--devices {given.devices} --layout {given.layout} --max-loss {given.max_loss:g} "
        f"--confidence {given.confidence:g}",
        "setting": {"model": given.file.name, "sha256": sha256(given.file), "images": len(data)},
        "versions": versions(), "results": rows,
    }  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps(record, indent=1) + "\n")


def best_of(plan: Plan) -> Option:
    """The way to run the file that saves most, of those that use storage as it is."""
    plain = [option for option in plan.options if option.within and "+" not in option.name and ":" in option.name]
    return max((o for o in plain if not o.name.startswith("storage")), key=lambda option: option.saving)


def row_of(planned_for: str, option: Option, lost: np.ndarray, index: int | None) -> dict:
    """A plan, and what it loses: on its own device and on the others, or on all."""
    others = lost if index is None else np.delete(lost, index)
    return {
        "planned for": planned_for, "remedy": option.name.partition(":")[0], "V/Vmin": round(option.volts_over_vmin, 3),
        "saved (%)": round(100 * option.saving, 1), "lost on it": "" if index is None else round(float(lost[index]), 2),
        "lost on others, mean": round(float(others.mean()), 2), "lost on others, most": round(float(others.max()), 2),
    }  # fmt: skip


if __name__ == "__main__":
    main()
