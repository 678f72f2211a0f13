"""Asks a model behind an address through a proxy that lies, and counts what comes of it.

    python benchmarks/faulty_replies.py [--replies 1000] [--seed 0] [--protocols http,grpc] [--commands] [--json FILE]
    python benchmarks/faulty_replies.py --page        writes the table of docs/access.md from the record

The server is `nfkit serve` with the zoo's model, in a process of its own. Each run is what `nfkit evaluate ADDRESS`
does, on twelve samples in calls of four: it meets one kind of fault at one place, once or from there on. Then the same
run goes on without faults, with the same file of answers. `--commands` gives some of them as commands, by `--timeout`.

A run ends right, after a retry where one was needed, or refused, by an `NfkitError`. A failure is any other exception,
anything that looks like a traceback on the standard error, a run beyond `SECONDS`, and a wrong number: a result or a
kept answer that is not the model's own, in the first run or in the one that goes on, which has to end right. Equal
seeds give equal faults. `tests/benchmarks/test_faulty_replies.py` tries some.
"""

from __future__ import annotations

import argparse
import collections
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import lies
import lying_grpc
import lying_http
import speed
from faulty_run import BATCH, FAILURES, LIMITS, OUTCOMES, SAMPLES, SECONDS, Truth, draw_plan, run, serving, write_data

from nfkit.reports.provenance import versions

PROCESSES = 4
PROXIES = {"http": lying_http.HttpProxy, "grpc": lying_grpc.GrpcProxy}


def main() -> None:
    """Runs, prints the table, and exits with 1 where there are failures."""
    if sys.argv[1:] == ["--page"]:
        write_page()
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replies", type=int, default=1000, help="faulty replies a protocol, at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--protocols", default="http,grpc")
    parser.add_argument("--kinds", default=",".join(lies.KINDS), help="rows of others are kept in the record")
    parser.add_argument("--commands", action="store_true", help="besides, give each kind twice as a command")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as upstream:
        write_data(Path(folder))
        share = -(-given.replies // len(lies.KINDS))
        tasks = [(protocol, kind) for protocol in given.protocols.split(",") for kind in given.kinds.split(",")]
        work = partial(run_kind, upstream=upstream, folder=folder, replies=share, seed=given.seed)
        with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
            rows = list(pool.map(work, *zip(*tasks, strict=True))) if share else []
            if given.commands:
                ask = partial(run_commands, upstream=upstream, folder=folder, seed=given.seed)
                rows += pool.map(ask, *zip(*tasks, strict=True))
    said = [sentence for row in rows for sentence in row.pop("said")]
    for sentence in said:
        print(sentence)
    print("\n".join(table(rows)))
    print(f"{time.monotonic() - begun:.0f} s")
    if given.json:
        rows = merged(given.json, rows)
        setting = {"samples": SAMPLES, "batch": BATCH, "limits": vars(LIMITS), "seed": given.seed}
        record = {
            "schema": "nfkit.speed/1", "benchmark": "faulty_replies",
            "command": f"python benchmarks/faulty_replies.py --replies {given.replies} --seed {given.seed}"
            + " --commands" * given.commands,
            "setting": setting, "versions": versions(), "results": rows,
        }  # fmt: skip
        given.json.write_text(json.dumps(record, indent=1) + "\n")
    sys.exit(any(row[outcome] for row in rows for outcome in FAILURES))


def run_kind(protocol: str, kind: str, *, upstream: str, folder: str, replies: int, seed: int) -> dict[str, Any]:
    """Runs of one kind until so many faulty replies were sent, and what came of them."""
    proxy = PROXIES[protocol](upstream)
    truth, counts, sent, said = Truth(Path(folder)), collections.Counter[str](), 0, list[str]()
    number = 0
    while sent < replies:
        plan = draw_plan(f"{protocol} {kind} {seed} {number}", kind, number)
        proxy.plan = plan
        outcome, why = run(proxy, truth, Path(folder) / f"{protocol} {kind} {number}.sqlite", plan)
        sent += plan.sent
        counts[outcome] += 1
        if outcome in FAILURES:
            said.append(f"{protocol}, {kind}, run {number} ({plan.place}, lasts: {plan.lasts}): {outcome}: {why}")
        number += 1
    return row(protocol, kind, "library", number, sent, counts, said)


def run_commands(protocol: str, kind: str, *, upstream: str, folder: str, seed: int) -> dict[str, Any]:
    """A fault that passes and one that lasts, met by the command."""
    proxy = PROXIES[protocol](upstream)
    truth, counts, sent, said = Truth(Path(folder)), collections.Counter[str](), 0, list[str]()
    for number in range(2):
        plan = draw_plan(f"{protocol} {kind} {seed} command {number}", kind, 0)
        plan.place, plan.lasts = "middle", bool(number)
        proxy.plan = plan
        answers, record = (Path(folder) / f"{protocol} {kind} command {number}.{s}" for s in ("sqlite", "json"))
        command = [
            sys.executable, "-m", "nfkit", "evaluate", proxy.address, "--data", str(truth.data), "--range", "-1", "1",
            "--call-batch", str(BATCH), "--timeout", "2", "--answers", str(answers), "--json", str(record),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10 * SECONDS)
        except subprocess.TimeoutExpired:
            outcome, why = "hang", ""
        else:
            hits = json.loads(record.read_text())["accuracy"]["hits"] if record.exists() else None
            sentence = done.returncode == 1 and done.stderr.splitlines()[-1].startswith("nfkit: ")
            if "Traceback" in done.stderr or not (done.returncode == 0 or sentence):
                outcome, why = "traceback", done.stderr[-500:]
            elif hits not in (None, truth.hits) or (done.returncode == 0) != (hits is not None):
                outcome, why = "wrong number", f"{hits} hits"
            else:
                outcome, why = ("refused" if sentence else "right"), ""
            if outcome in OUTCOMES[:2] and (wrong := truth.differs(answers)):
                outcome, why = "wrong number", wrong
        sent += plan.sent
        counts[outcome] += 1
        if outcome in FAILURES:
            said.append(f"{protocol}, {kind}, command {number}: {outcome}: {why}")
    return row(protocol, kind, "command", 2, sent, counts, said)


def row(
    protocol: str, kind: str, by: str, runs: int, sent: int, counts: collections.Counter[str], said: list[str]
) -> dict[str, Any]:
    """What came of the runs of a kind."""
    ends = {outcome: counts[outcome] for outcome in OUTCOMES}
    return {"protocol": protocol, "by": by, "kind": kind, "runs": runs, "replies": sent, **ends, "said": said}


def merged(record: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with those of a record that were not run again, in its order."""
    known = json.loads(record.read_text())["results"] if record.exists() else []
    keys = ("protocol", "by", "kind")
    found = {tuple(row[key] for key in keys): row for row in [*known, *rows]}
    return sorted(found.values(), key=lambda row: (row["by"] == "command", row["protocol"] == "grpc"))


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows in Markdown."""
    columns = {"protocol": "protocol", "by": "by", "kind": "kind", "runs": "runs", "replies": "faulty replies"}
    columns |= {outcome: outcome for outcome in OUTCOMES}
    lines = [f"| {' | '.join(columns.values())} |", "|" + "---|" * len(columns)]
    return lines + [f"| {' | '.join(str(row[key]) for key in columns)} |" for row in rows]


def write_page() -> None:
    """Writes the table of docs/access.md from the record: runs by the library, a row a kind, both protocols beside."""
    rows = json.loads((speed.DOCS / "results" / "faulty_replies.json").read_text())["results"]
    lines = [
        "| kind | " + " | ".join(f"{name}: replies | right | refused | failed" for name in ("HTTP", "gRPC")) + " |"
    ]
    lines.append("|---|" + "---|" * 8)
    found = {(row["protocol"], row["kind"]): row for row in rows if row["by"] == "library"}
    for kind in lies.KINDS:
        both = [found[protocol, kind] for protocol in PROXIES]
        cells = [[r["replies"], r["right"], r["refused"], sum(r[failed] for failed in FAILURES)] for r in both]
        lines.append(f"| {kind} | {' | '.join(str(cell) for row in cells for cell in row)} |")
    page, begin, end = speed.DOCS / "access.md", "<!-- faulty replies -->", "<!-- end of faulty replies -->"
    before, _, rest = page.read_text().partition(begin)
    page.write_text(before + "\n".join([begin, "", *lines, "", end]) + rest.partition(end)[2])


if __name__ == "__main__":
    main()
