"""Restricted access: what a transform that was trained through other models is worth to one that cannot be opened.

    python benchmarks/restricted.py resnet20.onnx ai85.onnx --surrogate resnet20.onnx --surrogate resnet8.onnx \
        --data train.npz --trust-data half_a.npz --test-data half_b.npz -o runs --json restricted.json

    python benchmarks/restricted.py --page        writes the tables of docs/access.md from the record

Each model is the black box in turn. One row trains by its own gradients (relaxed access), others through the first, or
all, of the surrogates that are not the box itself; once as published, where the base alone answers, and once with
evidence at the output. `--ways none --answers both` has evidence and no transform. Rows are kept as records in the
folder, so that the benchmark goes on where it was ended, and every record that lies there is part of the table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import speed

import nfkit
from nfkit.model import sha256
from nfkit.reports.protection import Protection
from nfkit.reports.provenance import versions
from nfkit.reports.reading import read_as

WAYS = {
    "none": "no transform",
    "imitation": "transform through an imitation by 5,000 answers",
    "own": "gradients of the base itself",
    "one": "transform through one other",
    "all": "transform through all others",
}

BOXES = {
    "resnet20": "ResNet-20", "ai85": "ai85nascifarnet", "mlperf_tiny_resnet8": "ResNet-8", "resnet18": "ResNet-18",
}  # fmt: skip
COLUMNS = (
    ("own gradients", "own", "base"), ("one other", "one", "base"), ("all others", "all", "base"),
    ("imitation", "imitation", "base"), ("evidence alone", "none", "both"),
    ("own gradients, and evidence", "own", "both"), ("all others, and evidence", "all", "both"),
    ("imitation, and evidence", "imitation", "both"),
)  # fmt: skip


def main() -> None:
    """Trains what is missing, and writes the table."""
    if sys.argv[1:] == ["--page"]:
        write_page()
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("boxes", type=Path, nargs="+")
    parser.add_argument("--surrogate", type=Path, action="append", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--trust-data", required=True)
    parser.add_argument("--test-data", required=True)
    parser.add_argument("--ber", default="0.01")
    parser.add_argument("--ways", default="own,all")
    parser.add_argument("--answers", default="base,both")
    parser.add_argument("--generator", default="hint-64")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--chips", type=int, default=5)
    parser.add_argument("-o", "--folder", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(exist_ok=True)
    rates = [float(rate) for rate in given.ber.split(",")]
    for rate, box, way, answer in itertools.product(
        rates, given.boxes, given.ways.split(","), given.answers.split(",")
    ):
        others = [path for path in given.surrogate if sha256(path) != sha256(box)][
            : {"none": 0, "own": 0, "imitation": 0, "one": 1}.get(way)
        ]
        name = f"{box.stem}.{way}.{answer}.{rate:g}"
        record = given.folder / f"{name}.json"
        if not record.exists():
            print(name, *(path.stem for path in others), flush=True)
            nfkit.protect(
                box, given.data, given.test_data, output=given.folder / f"{name}.nf.onnx", record=record, ber=rate,
                generator=given.generator, minutes=given.minutes, chips=given.chips, answer=answer,
                residual=way != "none", trust_data=given.trust_data, surrogates=others,
                distil=5000 if way == "imitation" else None, allow_loss=True, around=False, force=True,
            )  # fmt: skip
            print("  ", row(record, rate), flush=True)
    if given.json:
        records = sorted(given.folder.glob("*.*.*.json"))
        found = [{"rate": rate_of(path), **row(path, rate_of(path))} for path in records]
        given.json.write_text(json.dumps(table(given, found), indent=1, ensure_ascii=False) + "\n")


def row(path: Path, rate: float) -> dict[str, object]:
    """What a record comes to: accuracies in percent, with the spread over chips."""
    record = read_as(path, Protection)
    measured = record.evaluation
    point = next(point for point in measured.points if point.ber == rate)
    box, way, answer, _ = path.stem.split(".", 3)
    assert point.protected is not None
    assert measured.clean.protected is not None
    alone = measured.clean.generator_alone
    return {
        "black box": box,
        "way": WAYS[way],
        "surrogates": [each.name for each in record.training.surrogates or ()],
        "who answers": answer,
        "CA": round(100 * measured.clean.base.accuracy, 1),
        "CA (NF)": round(100 * measured.clean.protected.accuracy, 1),
        "PA": [round(100 * point.base.mean, 1), round(100 * (point.base.std or 0), 1)],
        "PA (NF)": [round(100 * point.protected.mean, 1), round(100 * (point.protected.std or 0), 1)],
        "generator alone": None if alone is None else round(100 * alone.accuracy, 1),
        "steps": record.training.steps,
    }  # fmt: skip


def write_page() -> None:
    """Writes the tables of docs/access.md from the record."""
    page = speed.DOCS / "access.md"
    rows = json.loads((speed.DOCS / "results" / "restricted.json").read_text())["results"]
    for name, lines in (("restricted", perturbed(rows)), ("evidence", with_evidence(rows))):
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, _, rest = page.read_text().partition(begin)
        page.write_text(before + "\n".join([begin, "", *lines, "", end]) + rest.partition(end)[2])


def perturbed(rows: list[dict[str, Any]]) -> list[str]:
    """Perturbed accuracies, a row a box and rate, a column a way; in bold the best of a row."""
    names = [name for name, _, _ in COLUMNS]
    lines = [f"| black box | errors | base | {' | '.join(names)} |", "|---|---|---|" + "---|" * len(names)]
    for box, rate in itertools.product(BOXES, (0.01, 0.002)):
        own = [row for row in rows if row["black box"].startswith(box) and row["rate"] == rate]
        found: list[list[float] | None] = [own[0]["PA"]]
        for _, way, answer in COLUMNS:
            (figure,) = [r["PA (NF)"] for r in own if (r["way"], r["who answers"]) == (WAYS[way], answer)] or [None]
            found.append(figure)
        best = max(figure[0] for figure in found if figure is not None)
        cells = ["" if f is None else said(f) if f[0] < best else f"**{said(f)}**" for f in found]
        lines.append(f"| {BOXES[box]} | {100 * rate:g} % | {' | '.join(cells)} |")
    return lines


def with_evidence(rows: list[dict[str, Any]]) -> list[str]:
    """What the answer of both ends costs without errors, and what the generator does alone."""
    lines = [
        "| black box | errors | trained by | base, clean | protected, clean | protected, faulty | generator alone |"
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    ways = {WAYS[way]: name.removesuffix(", and evidence") for name, way, answer in COLUMNS if answer == "both"}
    for box, rate, way in itertools.product(BOXES, (0.01, 0.002), ways):
        for r in rows:
            if r["black box"].startswith(box) and (r["rate"], r["way"], r["who answers"]) == (rate, way, "both"):
                lines.append(
                    f"| {BOXES[box]} | {100 * rate:g} % | {ways[way]} | {r['CA']} | {r['CA (NF)']} | "
                    f"{said(r['PA (NF)'])} | {r['generator alone']} |"
                )
    return lines


def said(figure: list[float]) -> str:
    """Mean and standard deviation over chips."""
    return f"{figure[0]} ± {figure[1]}"


def rate_of(path: Path) -> float:
    """The bit error rate in a record's name."""
    return float(path.stem.split(".", 3)[3])


def table(given: argparse.Namespace, rows: list[dict[str, object]]) -> dict[str, object]:
    """The record of all rows."""
    return {
        "schema": "nfkit.speed/1", "benchmark": "restricted",
        "command": "python benchmarks/restricted.py BOX.. --surrogate MODEL.. --data cifar10_train.npz "
        "--trust-data test_a.npz --test-data test_b.npz",
        "setting": {
            "generator": given.generator, "minutes": given.minutes, "chips": given.chips, "cores": 1, "seed": 0,
            "measured on": "500 of the 1,000 test images; trust is fitted on the others",
        },
        "versions": versions(), "results": rows,
    }  # fmt: skip


if __name__ == "__main__":
    main()
