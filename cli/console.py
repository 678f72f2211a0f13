"""What commands print: tables and records to stdout, progress to stderr."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nfkit.cli.streams import note as note
from nfkit.model import model_inputs
from nfkit.outputs import check_outputs as check_all
from nfkit.outputs import write_atomically

if TYPE_CHECKING:
    from nfkit.learn.train import Progress
    from nfkit.measure.answering import Answering
    from nfkit.measure.device import DeviceEstimate
    from nfkit.measure.evaluation import Evaluation, Row
    from nfkit.measure.latency import Latency
    from nfkit.measure.precision import PrecisionSweep
    from nfkit.measure.quantisation import Quantization
    from nfkit.remedies.neuralfuse import Protection


def check_outputs(
    json: str | None,
    outputs: Mapping[str, Path | None] | None = None,
    *,
    models: Mapping[str, Path] | None = None,
    files: Mapping[str, str | Path | None] | None = None,
    force: bool = False,
) -> None:
    """Refuses, before the work, outputs that cannot be written after it, or would destroy something.

    Args:
        json: Where the record goes; `-` for stdout.
        outputs: All other outputs, by option.
        models: The models that the command reads, by what messages call them.
        files: Whatever else it reads; a name that is no file counts for nothing.
        force: Whether outputs that exist may be replaced.
    """
    inputs = chain(
        *(model_inputs(name, path) for name, path in (models or {}).items()),
        ((name, os.path.expanduser(path)) for name, path in (files or {}).items() if path is not None),
    )
    record = None if json == "-" else json
    check_all({**(outputs or {}), "--json": record}, inputs, force=force)


def command_line() -> str:
    """The command that is running, as one would type it."""
    return shlex.join(["nfkit", *sys.argv[1:]])


def write_json(record: dict[str, Any], target: str | None) -> None:
    """Writes a record, and the command that made it, to a file, or to stdout for `-`."""
    if target is None:
        return
    record = {"command": command_line(), **record}
    text = json.dumps(record, indent=1) + "\n"
    if target == "-":
        print(text, end="")
    else:
        write_atomically(target, text.encode())


def print_table(headers: list[str], rows: list[list[str]]) -> None:
    """A plain table: the first column to the left, numbers to the right."""
    widths = [max(len(line[i]) for line in (headers, *rows)) for i in range(len(headers))]
    for line in (headers, ["-" * w for w in widths], *rows):
        cells = [
            text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def print_evaluation(result: Evaluation) -> None:
    """The summary of an evaluation, with what the numbers mean."""
    faults = result.settings["faults"]
    chips = len({row.chip for row in result.rows})
    print(
        f"{faults['kind']} faults, layout {faults['layout']}, {chips} chips, {result.settings['data']['n']} samples of "
        f"{result.settings['data']['name']}; accuracy in %, mean ± standard deviation over chips"
    )
    clean = f"without errors: base {100 * result.clean_base:.1f}"
    if result.clean_protected is not None:
        clean += f", protected {100 * result.clean_protected:.1f}"
    if result.alone is not None:
        clean += f"; generator alone {100 * result.alone:.1f}"
    print(clean)
    protected = result.clean_protected is not None
    points = {p["ber"]: p for p in result.settings.get("voltage", {}).get("points", ()) if "volts_over_vmin" in p}
    saved = {p["ber"]: p for p in result.settings.get("energy", {}).get("points", ())}
    headers = [
        "bit error rate",
        *(["V/Vmin", "energy/access"] if points else []),
        "base",
        *(["protected", "recovered"] if protected else []),
        "95 % interval",
    ]
    headers += ["faulty cells", "flipped bits", *(["energy saved"] if saved else [])]
    rows = []
    for entry in sorted(result.summary(), key=lambda entry: -entry["ber"]):
        at = [row for row in result.rows if row.ber == entry["ber"]]
        interval = entry["protected" if protected else "base"].ci95
        rows.append(
            [
                f"{100 * entry['ber']:.4g} %",
                *([_volts(points.get(entry["ber"])), _energy(points.get(entry["ber"]))] if points else []),
                entry["base"].percent(),
                *([entry["protected"].percent(), entry["recovery"].percent(signed=True)] if protected else []),
                f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}",
                f"{sum(r.faulty_cells for r in at) / len(at):.0f}",
                f"{sum(r.flipped_bits for r in at) / len(at):.0f}",
                *([_saving(saved.get(entry["ber"]))] if saved else []),
            ]
        )
    print_table(headers, rows)
    if points:
        curve = result.settings["voltage"]["curve"]
        counted = f", whose rate counts {curve['rate']}" if curve["rate"] else ""
        print(f"voltage and energy by the curve {curve['name']}{counted}")
    if "milder_voltage" in result.settings:
        print(result.settings["milder_voltage"]["sentence"])


def print_latency(times: list[Latency]) -> None:
    """How long base and protected model take, and how much longer the protected one."""
    print(f"latency in ms, median / 95th percentile; runs by turns, threads: {times[0].threads}")
    headers = ["batch", "base", *(["protected", "ratio"] if times[0].protected else []), "runs of each"]
    rows = []
    for entry in times:
        row = [str(entry.batch), f"{entry.base.p50_ms:.2f} / {entry.base.p95_ms:.2f}"]
        if entry.protected is not None:
            row += [f"{entry.protected.p50_ms:.2f} / {entry.protected.p95_ms:.2f}", f"{entry.ratio:.2f}"]
        rows.append([*row, str(entry.rounds)])
    print_table(headers, rows)


def note_row(bits: int, row: Row) -> None:
    """One finished chip of a sweep over bits, which takes long enough to be watched."""
    note(f"{bits} bits, {100 * row.ber:g} %, chip {row.chip}: {100 * (row.protected or row.base):.1f} % accurate")


def print_precision(result: PrecisionSweep) -> None:
    """One table of bits x rates, in the paper's terms."""
    settings = result.to_dict()
    faults, chips = settings["faults"], len({row["chip"] for row in settings["rows"]})
    print(
        f"{faults['kind']} faults, layout {faults['layout']}, {chips} chips, {settings['data']['n']} samples of "
        f"{settings['data']['name']}; accuracy in %, mean ± standard deviation over chips; clean (CA) and perturbed "
        "(PA) accuracy, with the generator (NF), recovered (RP)"
    )
    summary = result.summary()
    protected = summary[0]["clean_protected"] is not None
    names = ["CA", "CA (NF)", "PA", "PA (NF)", "RP"] if protected else ["CA", "PA"]
    rows = []
    for entry in summary:
        figures = {"CA": f"{100 * entry['clean']:.1f}", "PA": entry["base"].percent()}
        if protected:
            figures["CA (NF)"] = f"{100 * entry['clean_protected']:.1f}"
            figures["PA (NF)"] = entry["protected"].percent()
            figures["RP"] = entry["recovery"].percent(signed=True)
        rows.append([str(entry["bits"]), f"{100 * entry['ber']:g} %", *(figures[name] for name in names)])
    print_table(["bits", "bit error rate", *names], rows)


def print_protection(result: Protection) -> None:
    """What `protect` made, and how good it is."""
    size = result.output.stat().st_size
    print(f"{result.output}: {size / 1024:.0f} KiB, made in {_duration(result.seconds)} min")
    print(
        f"generator {result.generator}: {result.parameters:,} parameters, {result.macs / 1e6:.2f} M MACs, "
        f"{result.precision}; parity with torch {result.parity_max_abs:.2g}"
        + ("; training was ended early" if result.interrupted else "")
    )
    print_evaluation(result.evaluation)
    if result.float_evaluation is not None:
        reference, measured = result.float_evaluation, result.evaluation
        lost = [
            (reference.clean_protected or 0) - (measured.clean_protected or 0),
            reference.summary()[0]["protected"].mean - measured.summary()[0]["protected"].mean,
        ]
        print(f"int8 against a float generator: clean {-100 * lost[0]:+.1f}, faulty {-100 * lost[1]:+.1f} points")
    if result.advice is not None:
        print(result.advice.sentence())


def print_quantization(result: Quantization) -> None:
    """What `quantize` made, and what it cost."""
    weights = f"{result.sites} weights of {result.codes:,} codes, {result.bits} bits"
    weights += f" packed as int{result.bits}" if result.settings["packed"] else ""
    print(
        f"{result.output}: {weights}, one scale a {'channel' if result.per_channel else 'tensor'}; "
        f"activations {'int8, symmetric' if result.symmetric else 'uint8'}"
    )
    done = [f"opset lifted from {result.lifted_from}"] if result.lifted_from is not None else []
    done += [f"{result.folded} batch normalisations folded into weights"] if result.folded else []
    if done:
        print("; ".join(done))
    data = result.settings["data"]
    print(f"accuracy in % on {data['n']} samples of {data['name']}, ONNX Runtime at level {result.settings['level']}")
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


def print_answering(
    name: str, data: str, measured: Answering, device: DeviceEstimate | None, usage: dict[str, Any]
) -> None:
    """A base as it is, and what asking it took."""
    print(
        f"{name}: accuracy {measured.accuracy.percent()} on {measured.accuracy.samples} samples of {data}; 95 % "
        "interval over samples (Wilson), of this base as it is"
    )
    if measured.agreement is not None and measured.reference is not None:
        print(
            f"answers as the model without errors on {measured.agreement.percent()}; that one's accuracy is "
            f"{measured.reference.percent()}"
        )
    if device is not None:
        print(device.sentence())
    print(
        f"{usage['queries']} queries in {usage['calls']} calls, {usage['retries']} of them repeated; {usage['known']} "
        f"answers were known; {usage['queries_of_all_runs']} queries in all runs"
    )


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


class TrainingDisplay:
    """Shows a training run on stderr: a line every few percent, and in a terminal the step in between."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        """Shows the state after one step."""
        line = (
            f"{100 * progress.done:3.0f} %  {progress.phase:<8}  step {progress.step:>6}  loss {progress.loss:8.3f}  "
            f"{_duration(progress.seconds_left)} left"
        )
        if progress.clean is not None and progress.perturbed is not None:
            line += f"  held out: clean {progress.clean:.1%}, faulty {progress.perturbed:.1%}"
        elif progress.done < self._next:
            if self._live:
                note(f"\r{line}", end="")
            return
        self._next = progress.done + 0.05
        note(f"{chr(13) * self._live}{line}")


def _volts(point: dict[str, Any] | None) -> str:
    return "–" if point is None else f"{point['volts_over_vmin']:.3f}"


def _energy(point: dict[str, Any] | None) -> str:
    return "–" if point is None else f"{point['energy_per_access']:.3f}"


def _saving(point: dict[str, Any] | None) -> str:
    return "–" if point is None else f"{100 * point['saving_by_accesses']:.1f} %"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
