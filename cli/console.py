"""What commands print: tables and records to stdout, progress to stderr."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nfkit.cli.interrupts import acknowledged
from nfkit.cli.progress_display import ProgressDisplay
from nfkit.cli.screen import show_overview, show_table
from nfkit.cli.streams import note as note
from nfkit.errors import OptionError
from nfkit.outputs import check_outputs as check_all
from nfkit.outputs import write_atomically

if TYPE_CHECKING:
    from nfkit.reports.quantization import Quantized
    from nfkit.reports.rendering import Readable


def check_outputs(
    json: str | None,
    outputs: Mapping[str, Path | None] | None = None,
    *,
    report: Path | None = None,
    models: Mapping[str, Path] | None = None,
    files: Mapping[str, str | Path | None] | None = None,
    force: bool = False,
) -> None:
    """Refuses, before the work, outputs that cannot be written after it, or would destroy something.

    Args:
        json: Where the record goes; `-` for stdout.
        outputs: All other outputs, by option.
        report: Where the record goes as a page.
        models: The models that the command reads, by what messages call them.
        files: Whatever else it reads; a name that is no file counts for nothing.
        force: Whether outputs that exist may be replaced.
    """
    from nfkit.model import model_inputs

    inputs = chain(
        *(model_inputs(name, path) for name, path in (models or {}).items()),
        ((name, os.path.expanduser(path)) for name, path in (files or {}).items() if path is not None),
    )
    record = None if json == "-" else json
    if report is not None and find_spec("jinja2") is None:
        raise OptionError("--report needs jinja2: pip install 'nfkit[report]'")
    check_all({**(outputs or {}), "--json": record, "--report": report}, inputs, force=force)


def command_line() -> str:
    """The command that is running, as one would type it."""
    return shlex.join(["nfkit", *sys.argv[1:]])


def write_json(record: dict[str, Any], target: str | None) -> None:
    """Writes a record, and the command that made it, to a file, or to stdout for `-`."""
    if target is None:
        return
    record = {"command": command_line(), **record}
    _write((json.dumps(record, indent=1) + "\n").encode(), target)


def write_record(record: Readable, target: str | None) -> None:
    """Writes a typed record, and the command that made it, to a file, or to stdout for `-`."""
    from msgspec.structs import replace

    from nfkit.reports.reading import encode

    if target is not None:
        _write(encode(replace(record, command=command_line())), target)


def show(record: Readable, target: str | None, page: Path | None = None, chart: bool | None = None) -> None:
    """Writes a record to a file, or to stdout for `-`, and as a page; and unless stdout has it, prints what it says.

    Args:
        record: The record.
        target: Where it goes as JSON.
        page: Where it goes as a page.
        chart: Whether a chart is printed; None for wherever a terminal can.
    """
    if page is not None:
        from msgspec.structs import replace

        record = replace(record, command=command_line())
    write_record(record, target)
    try:
        if page is not None:
            from nfkit.workflows.reporting import report

            report(record, page)
    finally:  # a page that cannot be written costs no result
        if target != "-":
            from nfkit.reports.seen import chart_of

            show_overview(record.overview(), chart_of(record), chart)


def _write(content: bytes, target: str) -> None:
    if target == "-":
        print(content.decode(), end="")
    else:
        write_atomically(target, content)


def print_table(headers: list[str], rows: list[list[str]]) -> None:
    """A table: the first column to the left, the others to the right."""
    from nfkit.reports.rendering import Table

    show_table(Table(tuple(headers), tuple(map(tuple, rows))))


@contextmanager
def working(kept: str) -> Iterator[ProgressDisplay]:
    """Shows progress for the length of a `with` block, in which an interrupt is acknowledged.

    Args:
        kept: What an interrupt leaves, or will still do: a sentence without its end.
    """
    with closing(ProgressDisplay()) as display, acknowledged(kept):
        yield display


def print_quantization(result: Quantized) -> None:
    """What `quantize` made, and what it cost."""
    weights = f"{result.sites} weights of {result.codes:,} codes, {result.bits} bits"
    weights += f" packed as int{result.bits}" if result.packed else ""
    print(
        f"{result.output}: {weights}, one scale a {'channel' if result.per_channel else 'tensor'}; "
        f"activations {'int8, symmetric' if result.symmetric else 'uint8'}"
    )
    done = [f"opset lifted from {result.lifted_from}"] if result.lifted_from is not None else []
    done += [f"{result.folded} batch normalisations folded into weights"] if result.folded else []
    if done:
        print("; ".join(done))
    print(f"accuracy in % on {result.data.n} samples of {result.data.name}, ONNX Runtime at level {result.level}")
    print_table(
        ["model", "accuracy", "KiB"],
        [
            ["float", f"{100 * result.float_accuracy:.1f}", f"{result.float_bytes / 1024:.0f}"],
            ["quantised", f"{100 * result.accuracy:.1f}", f"{result.bytes / 1024:.0f}"],
        ],
    )


def note_simulated(rate: float) -> None:
    """One finished rate of a calibration."""
    note(f"simulated chips at {100 * rate:g} %")


class AnswersDisplay:
    """Shows on stderr how many samples have been answered: in a terminal as they come, else in tenths."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._next = 0.1

    def __call__(self, done: int, wanted: int) -> None:
        """Shows the state after one call."""
        line = f"{done} of {wanted} answered"
        if self._live:
            print(f"\r{line}", end="\n" if done == wanted else "", file=sys.stderr, flush=True)
        elif done >= self._next * wanted:
            self._next = done / wanted + 0.1
            note(line)
