"""Models held against every target, for docs/targets.md.

    python benchmarks/targets.py --json targets.json EARLY[,PREFIX]=DATA ...    measures, and writes record and page
    python benchmarks/targets.py --json targets.json                            writes the page from the record
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/targets.py --only openvino --json targets_avx2.json EARLY=DATA ...

EARLY is a protected file with early answers. Its base, the base behind PREFIX (a file whose generator changes the
input), the answers of both ends, and EARLY itself are run in every target that is installed, and compared with ONNX
Runtime. What the record has already is not run again. With `ONEDNN_MAX_CPU_ISA=AVX2` OpenVINO takes the kernels that it
has for x86 processors without VNNI: these figures have a table of their own. A target that reads memory which nothing
was written to is caught by MALLOC_PERTURB_=85 in the environment (glibc).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

import nfkit
from nfkit.deploy.targets.known import TARGETS
from nfkit.graph.fusion.dial import answer_of, fitted_trust
from nfkit.graph.fusion.restage import with_answer
from nfkit.graph.fusion.split import split
from nfkit.model import load
from nfkit.reports.provenance import versions
from nfkit.reports.shipping import Checked
from nfkit.workflows import inputs

PAGE = Path(__file__).resolve().parent.parent / "docs" / "targets.md"
KERNELS = "ONEDNN_MAX_CPU_ISA"
MARKS = ("<!-- targets -->", "<!-- end of targets -->")
MARKS_WITHOUT_VNNI = ("<!-- without vnni -->", "<!-- end of without vnni -->")
SLOW = {"reference": 100}
"""Samples that a slow target is given at most."""
FITTED_AT = 0.002
"""Bit error rate whose fitted trust the answers of both ends have: one at which both ends count."""
CHANGES = {
    "opset": "version of the operators", "softmax": "Softmax spelt out", "batch": "batch of 1",
    "padding": "padding spelt out", "branch": "two files",
}  # fmt: skip
"""What had to change, in words."""


def forms(early: ir.Model, prefix: ir.Model | None) -> Iterator[tuple[str, ir.Model]]:
    """The forms of a protected model, by name."""
    yield "base", split(early)[1]
    if prefix is not None:
        yield "prefix", prefix
    yield (
        "both ends",
        with_answer(early, replace(answer_of(early), trust=fitted_trust(early, FITTED_AT), threshold=None)),
    )
    yield "early answers", early


def measure(
    file: str, samples: int, known: list[dict[str, Any]], targets: Collection[str] = tuple(TARGETS)
) -> Iterator[dict[str, Any]]:
    """A row for every form of a file and every target that is not known."""
    paths, _, source = file.partition("=")
    early, *prefix = (load(path) for path in paths.split(","))
    data = inputs.find_data(source, "test", inputs.find_spec(early))
    have = {(entry["file"], entry["form"], entry["target"]) for entry in known}
    for form, model in forms(early, prefix[0] if prefix else None):
        for target in targets:
            at = {"file": Path(paths.split(",")[0]).name, "form": form, "target": target}
            if tuple(at.values()) not in have:
                (checked,) = nfkit.check(model, [target], data, samples=min(samples, SLOW.get(target, samples))).checked
                yield at | row(checked)


def row(checked: Checked) -> dict[str, Any]:
    """What came out, as plain values."""
    facts: dict[str, Any] = {"state": checked.state, "changes": [str(finding) for finding in checked.findings]}
    facts["kinds"] = [finding.kind for finding in checked.findings]
    if checked.parity is None:
        return {**facts, "note": checked.failure or checked.note}
    at = checked.parity
    return {
        **facts, "runtime": at.runtime, "samples": at.samples, "equal": at.equal, "difference": at.difference,
        "accuracy": at.there, "accuracy_in_onnx_runtime": at.here,
    }  # fmt: skip


def table(record: dict[str, Any]) -> list[str]:
    """The table of the page, a line for every form of every file."""
    lines = ["| file | form | " + " | ".join(f"`{name}`" for name in record["targets"]) + " | had to change |"]
    lines.append("|---" * (len(record["targets"]) + 3) + "|")
    rows = record["rows"]
    for file, form in dict.fromkeys((r["file"], r["form"]) for r in rows):
        mine = {r["target"]: r for r in rows if (r["file"], r["form"]) == (file, form)}
        changed = [f"`{name}`: {', '.join(CHANGES[k] for k in r['kinds'])}" for name, r in mine.items() if r["kinds"]]
        cells = [_cell(mine[name]) for name in record["targets"]]
        lines.append(
            f"| {file.removesuffix('.nf.onnx')} | {form} | {' | '.join(cells)} | {'; '.join(changed) or '–'} |"
        )
    return lines


def _cell(facts: dict[str, Any]) -> str:
    """Share of equal answers, and what that does to the accuracy; or why there is none."""
    if "equal" not in facts:
        return facts["state"] if facts["state"] in ("refused", "fails") else "not installed"
    equal = f"{100 * facts['equal'] / facts['samples']:.1f}"
    return f"{equal} ({100 * (facts['accuracy'] - facts['accuracy_in_onnx_runtime']):+.1f})"


def page(record: dict[str, Any], text: str) -> str:
    """The page with the record's table."""
    start, end = MARKS_WITHOUT_VNNI if KERNELS in record["environment"] else MARKS
    before, _, rest = text.partition(start)
    after = rest.partition(end)[2]
    return before + "\n".join([start, *table(record), end]) + after


def processor() -> dict[str, Any]:
    """What the answers of runtimes depend on."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    flags = next((line.partition(":")[2].split() for line in info.splitlines() if line.startswith("flags")), [])
    return {"machine": platform.machine(), "vnni": any(flag in flags for flag in ("avx512_vnni", "avx_vnni"))}


def main() -> None:
    """Measures what is given, and writes record and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    parser.add_argument("--only", choices=list(TARGETS), action="append", metavar="TARGET")
    parser.add_argument("files", nargs="*", metavar="EARLY[,PREFIX]=DATA")
    options = parser.parse_args()
    words = [",".join(map(_name, word.split(","))) for word in options.files]
    targets = options.only or list(TARGETS)
    only = [word for name in options.only or () for word in ("--only", name)]
    command = ["--samples", str(options.samples), *only, "--json", options.json.name, *words]
    rows = json.loads(options.json.read_text(encoding="utf-8"))["rows"] if options.json.exists() else []
    for found in (entry for file in options.files for entry in measure(file, options.samples, rows, targets)):
        rows.append(found)
        print(found["file"], found["form"], found["target"], _cell(found), flush=True)
        record = {
            "schema": "nfkit.speed/1", "benchmark": "targets", "targets": targets, "processor": processor(),
            "environment": {name: os.environ[name] for name in ("MALLOC_PERTURB_", KERNELS) if name in os.environ},
            "versions": versions(), "rows": rows, "command": shlex.join(["python", "benchmarks/targets.py", *command]),
        }  # fmt: skip
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    record = json.loads(options.json.read_text(encoding="utf-8"))
    PAGE.write_text(page(record, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print("\n".join(table(record)))


def _name(path: str) -> str:
    """Names of files in place of their paths, which are those of one machine."""
    return "=".join(Path(part).name for part in path.split("="))


if __name__ == "__main__":
    main()
