"""Damages small models in every way that a protobuf message can be damaged, and tries on each what needs no training.

    python benchmarks/fuzz.py [--cases 20000] [--seed 0] [--json FILE]

Ten models of different forms (`fuzz_models`) are mutated field by field: dropped, doubled, swapped, set to extremes,
given to other names; some as bytes, some in their metadata (`fuzz_damage`). Each goes through the library calls behind
the commands (`fuzz_uses`). Anything but an answer or an `NfkitError` is a failure, and so is a call beyond the limits
of time (SECONDS) and memory (MEMORY). Equal seeds give equal cases, each by itself: `--first` goes on where a run was
stopped. `tests/benchmarks/test_fuzz.py` runs some of them.
"""

from __future__ import annotations

import argparse
import collections
import json
import logging
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fuzz_damage import damage
from fuzz_models import MODELS
from fuzz_uses import USES

from nfkit.errors import NfkitError
from nfkit.model import load
from nfkit.reports.provenance import versions

SECONDS = 10
"""Longest time of one call, of the processor: other work on the machine does not count."""
PART = 250
"""Cases after which it is told how far a run has come, and the record is written."""
MEMORY = 4 * 2**30
"""Address space beyond what the process has when it begins."""


@dataclass(frozen=True)
class Failure:
    """One call that neither answered nor refused."""

    case: int
    model: str
    use: str
    kind: str
    where: str


class _TooLong(BaseException):
    """Raised by the clock; no `except Exception` catches it."""


def attempt(action: Callable[[], Any]) -> tuple[Any, str, BaseException | None]:
    """An action's result, how it ended (answered, refused or failed), and what it raised."""
    try:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            return action(), "answered", None
        except NfkitError as error:
            return None, "refused", error
        except Exception as error:
            return None, "failed", error
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    except _TooLong as error:  # it may ring while the clock is being stopped
        return None, "failed", error


def run(
    cases: int, seed: int = 0, *, first: int = 0, uses: dict[str, Any] | None = None
) -> tuple[dict[str, int], list[Failure]]:
    """Runs cases of a seed, and counts how their calls ended."""
    failures, counts = [], collections.Counter[str]()
    before = signal.signal(signal.SIGPROF, _ring)
    names = list(MODELS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.onnx")
        for case in range(first, first + cases):
            chance = random.Random(f"{seed}.{case}")
            name = names[case % len(names)]
            path.write_bytes(damage(MODELS[name], chance))
            model, end, error = attempt(partial(load, path))
            calls = (uses or USES).items() if end == "answered" else [("load", None)]
            for use, action in calls:
                if action is not None:
                    _, end, error = attempt(partial(action, model))
                counts[end] += 1
                if end == "failed":
                    failures.append(Failure(case, name, use, f"{type(error).__name__}: {error}"[:200], where(error)))
    signal.signal(signal.SIGPROF, before)
    return dict(counts), failures


def where(error: BaseException | None) -> str:
    """The innermost line of nfkit, and that of what it called."""
    frames = traceback.extract_tb(error.__traceback__) if error else []
    ours = [frame for frame in frames if "/nfkit/" in frame.filename or "nfkit" in Path(frame.filename).parts]
    shown = [ours[-1], frames[-1]] if ours else frames[-1:]
    return " > ".join(dict.fromkeys(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in shown))


def _ring(*_: Any) -> None:
    raise _TooLong(f"more than {SECONDS} s")


def limit_memory() -> None:
    """Bounds the address space of this process."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


def main() -> None:
    """Runs the cases, prints failures by place, and exits with 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.disable()  # onnx-ir says at length what it leaves out
    limit_memory()
    begun, counts, failures, done = time.monotonic(), collections.Counter[str](), list[Failure](), 0
    while done < options.cases:
        part = min(PART, options.cases - done)
        ended, failed = run(part, options.seed, first=options.first + done)
        counts.update(ended)
        failures += failed
        done += part
        for f in failed:
            print(f"case {f.case}, {f.model}, {f.use}: {f.kind}  ({f.where})", flush=True)
        spent = time.monotonic() - begun
        print(
            f"{done:,} of {options.cases:,} models, {len(failures)} failures, {spent:.0f} s",
            file=sys.stderr,
            flush=True,
        )
        if options.json:
            command = f"python benchmarks/fuzz.py --cases {options.cases} --first {options.first} --seed {options.seed}"
            record = {
                "schema": "nfkit.speed/1", "benchmark": "fuzz", "command": command, "cases": done,
                "counts": dict(counts), "failures": [vars(f) for f in failures], "seconds": round(spent),
                "versions": versions(),
            }  # fmt: skip
            options.json.write_text(json.dumps(record, indent=1) + "\n")
    places = collections.Counter((f.use, f.where, f.kind[:90]) for f in failures)
    for (use, place, kind), number in places.most_common():
        print(f"{number:>5}  {use:<13} {place}: {kind}")
    print(f"{options.cases} models, {dict(counts)}, {len(failures)} failures, {time.monotonic() - begun:.0f} s")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
