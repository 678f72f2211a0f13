"""What the speed benchmarks share: timing, records, and the tables of docs/speed.md.

python benchmarks/speed.py    writes the tables from docs/results/speed_*.json
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from nfkit.parallel import cores

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- speed -->", "<!-- end of speed -->"


class Turn(NamedTuple):
    """What a piece of work took.

    Attributes:
        wall: Seconds.
        cpu: Seconds of processors, all threads of this process together.
    """

    wall: float
    cpu: float


def turns(work: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[Turn]]:
    """What each piece of work took, after one warm-up; taken in turns, so that all meet the same machine."""
    for run in work.values():
        run()
    times: dict[str, list[Turn]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, run in work.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            times[name].append(Turn(time.perf_counter() - wall, time.process_time() - cpu))
    return times


def medians(work: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each piece of work; see `turns`."""
    return {name: statistics.median(t.wall for t in taken) for name, taken in turns(work, repeats).items()}


def ratio(one: list[Turn], other: list[Turn], which: str = "wall") -> float:
    """The median over turns of how many times as long one took as the other: what else runs then slows both."""
    return statistics.median(getattr(a, which) / getattr(b, which) for a, b in zip(one, other, strict=True))


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that every speed benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the record here")
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds, whose times mean nothing")
    return parser


def report(benchmark: str, setting: dict[str, Any], results: list[dict[str, Any]], file: Path | None) -> None:
    """Prints the results and writes the record `nfkit.speed/1`."""
    record = {
        "schema": "nfkit.speed/1",
        "benchmark": benchmark,
        "command": shlex.join(["python", f"benchmarks/{benchmark}.py", *sys.argv[1:]]),
        "setting": {**setting, "cores": cores(), "machine": platform.machine()},
        "versions": {name: version(name) for name in ("nfkit", "numpy", "onnxruntime", "torch")},
        "results": results,
    }
    print("\n".join(table(record)))
    if file:
        file.write_text(json.dumps(record, indent=1) + "\n")


def table(record: dict[str, Any]) -> list[str]:
    """The results of one record as Markdown, a column for every field."""
    columns = list(dict.fromkeys(key for row in record["results"] for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return lines + ["| " + " | ".join(_cell(row.get(c, "")) for c in columns) + " |" for row in record["results"]]


def shorten(command: str) -> str:
    """A recorded command with the names of files in place of their paths, which are those of one machine."""
    words = [word if word.startswith("benchmarks/") else Path(word).name for word in shlex.split(command)]
    return shlex.join(words)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Replaces what stands between the two marks of docs/speed.md."""
    page = DOCS / "speed.md"
    lines = [BEGIN]
    for path in sorted((DOCS / "results").glob("speed_*.json")):
        record = json.loads(path.read_text())
        setting = ", ".join(f"{key} {value}" for key, value in record["setting"].items())
        lines += ["", f"    {shorten(record['command'])}", "", setting, "", *table(record)]
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(before + "\n".join([*lines, "", END]) + rest.partition(END)[2])


if __name__ == "__main__":
    main()
