"""What is saved over what may be lost: plans of protected files at several tolerances.

python benchmarks/tolerances.py FILE... --data test.npz -o plans --json tolerances.json
python benchmarks/tolerances.py --page        writes docs/plan.md's table from docs/results/tolerances.json

Plans are kept as records in the folder, so that the benchmark goes on where it was ended.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import speed

import nfkit
from nfkit.reports.plan import Option, Plan
from nfkit.reports.provenance import versions
from nfkit.reports.reading import read_as, write

RECORD = speed.DOCS / "results" / "tolerances.json"
BEGIN, END = "<!-- tolerances -->", "<!-- end of tolerances -->"
TOLERANCES = (0.0, 0.0025, 0.005, 0.01, 0.015, 0.02)
CONFIDENCES = (0.5, 0.975)


def main() -> None:
    """Measures files, or writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="protected files whose both ends answer")
    parser.add_argument("--data", type=Path, help="test data")
    parser.add_argument("--chips", type=int, default=6)
    parser.add_argument("-o", "--folder", type=Path, help="where plans are kept")
    parser.add_argument("--json", type=Path, help="where the record goes")
    parser.add_argument("--page", action="store_true", help="write the page from the record")
    given = parser.parse_args()
    if given.page:
        page = speed.DOCS / "plan.md"
        before, _, rest = page.read_text().partition(BEGIN)
        lines = table(json.loads(RECORD.read_text())["results"])
        page.write_text(before + "\n".join([BEGIN, "", *lines, "", END]) + rest.partition(END)[2])
        return
    given.folder.mkdir(exist_ok=True)
    for file in given.files:
        measure(file, given.data, given.chips, given.folder)
    if given.json:
        rows = [row(read_as(path, Plan)) for path in sorted(given.folder.glob("*.json"))]
        record = {
            "schema": "nfkit.speed/1", "benchmark": "tolerances", "versions": versions(), "results": rows,
            "command": "python benchmarks/tolerances.py FILE.. --data cifar10_test.npz -o plans --json tolerances.json",
        }  # fmt: skip
        given.json.write_text(json.dumps(record, indent=1) + "\n")


def measure(file: Path, data: Path, chips: int, folder: Path) -> None:
    """Plans a file at every tolerance; what is there already is not made again."""
    for confidence in CONFIDENCES:
        for tolerance in TOLERANCES:
            path = folder / f"{file.name.removesuffix('.nf.onnx')}_{100 * tolerance:g}_{100 * confidence:g}.json"
            if not path.exists():
                plan = nfkit.plan(file, data, tolerance, chips=chips, confidence=confidence)
                write(plan, path)
                print(path.name, plan.sentence, flush=True)


def row(plan: Plan) -> dict[str, Any]:
    """What a plan comes to."""
    best = plan.chosen
    said: dict[str, Any] = {
        "model": Path(plan.model.path or "").name.removesuffix(".nf.onnx"), "sha256": plan.model.sha256,
        "data": plan.confirming.sha256, "images": plan.confirming.images, "chips": len(plan.confirming.chips),
        "tolerance": plan.tolerance, "confidence": plan.confidence, "plan": None if best is None else best.name,
    }  # fmt: skip
    if best is not None:
        said |= {
            "volts over Vmin": best.volts_over_vmin, "saved": best.saving, "way": way(best),
            "loss": best.loss.mean, "ci95": best.loss.ci95,
        }  # fmt: skip
    return said


def way(option: Option) -> str:
    """How an option is run, in a word."""
    if option.early is not None:
        return "early" if option.ber else "early at Vmin"
    return "both ends" if option.uses_generator else "voltage"


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A row a model and confidence, a column a tolerance."""
    found = {(r["model"], r["confidence"], r["tolerance"]): r for r in rows}
    lines = ["| model | decided by | " + " | ".join(f"{100 * t:g}" for t in TOLERANCES) + " |"]
    lines += ["|---|---|" + "---|" * len(TOLERANCES)]
    for name in sorted({r["model"] for r in rows}):
        for confidence in CONFIDENCES:
            cells = [cell(found.get((name, confidence, tolerance))) for tolerance in TOLERANCES]
            lines.append(f"| {name} | {100 * confidence:g} % | {' | '.join(cells)} |")
    return lines


def cell(row: dict[str, Any] | None) -> str:
    """What a plan saves, by what, and what it loses."""
    if row is None:
        return "not measured"
    if row["plan"] is None:
        return "nothing"
    return f"**{100 * row['saved']:.1f} %** ({row['way']}, {100 * row['loss']:.2f})"


if __name__ == "__main__":
    main()
