"""What is saved over what may be lost: plans of protected files at several tolerances.

python benchmarks/tolerances.py FILE... --data test.npz      measures, and writes docs/results/tolerances/
python benchmarks/tolerances.py                              writes docs/plan.md's table from those records
"""

from __future__ import annotations

import argparse
from pathlib import Path

import speed

import nfkit
from nfkit.reports.plan import Option, Plan
from nfkit.reports.reading import read_as, write

FOLDER = speed.DOCS / "results" / "tolerances"
BEGIN, END = "<!-- tolerances -->", "<!-- end of tolerances -->"
TOLERANCES = (0.0, 0.0025, 0.005, 0.01, 0.015, 0.02)
CONFIDENCES = (0.5, 0.975)


def main() -> None:
    """Measures files, or writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="protected files whose both ends answer")
    parser.add_argument("--data", type=Path, help="test data")
    parser.add_argument("--chips", type=int, default=6)
    given = parser.parse_args()
    for file in given.files:
        measure(file, given.data, given.chips)
    if not given.files:
        page = speed.DOCS / "plan.md"
        before, _, rest = page.read_text().partition(BEGIN)
        lines = table([read_as(path, Plan) for path in sorted(FOLDER.glob("*.json"))])
        page.write_text(before + "\n".join([BEGIN, "", *lines, "", END]) + rest.partition(END)[2])


def measure(file: Path, data: Path, chips: int) -> None:
    """Plans a file at every tolerance; what is there already is not made again."""
    FOLDER.mkdir(exist_ok=True)
    for confidence in CONFIDENCES:
        for tolerance in TOLERANCES:
            path = FOLDER / f"{file.name.removesuffix('.nf.onnx')}_{100 * tolerance:g}_{100 * confidence:g}.json"
            if not path.exists():
                plan = nfkit.plan(file, data, tolerance, chips=chips, confidence=confidence)
                write(plan, path)
                print(path.name, plan.sentence, flush=True)


def table(plans: list[Plan]) -> list[str]:
    """A row a model and confidence, a column a tolerance."""
    found = {(name_of(plan), plan.confidence, plan.tolerance): plan for plan in plans}
    lines = ["| model | decided by | " + " | ".join(f"{100 * t:g}" for t in TOLERANCES) + " |"]
    lines += ["|---|---|" + "---|" * len(TOLERANCES)]
    for name in sorted({name_of(plan) for plan in plans}):
        for confidence in CONFIDENCES:
            cells = [said(found.get((name, confidence, tolerance))) for tolerance in TOLERANCES]
            lines.append(f"| {name} | {100 * confidence:g} % | {' | '.join(cells)} |")
    return lines


def said(plan: Plan | None) -> str:
    """What a plan saves, by what, and what it loses."""
    if plan is None:
        return "not measured"
    best = plan.chosen
    return "nothing" if best is None else f"**{100 * best.saving:.1f} %** ({way(best)}, {100 * best.loss.mean:.2f})"


def way(option: Option) -> str:
    """How an option is run, in a word."""
    if option.early is not None:
        return "early" if option.ber else "early at Vmin"
    return "both ends" if option.uses_generator else "voltage"


def name_of(plan: Plan) -> str:
    """The model of a plan."""
    return Path(plan.model.path or "").name.removesuffix(".nf.onnx")


if __name__ == "__main__":
    main()
