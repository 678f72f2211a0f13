"""Walks a folder of ONNX files and tries on each what nfkit promises: handled, refused with a reason, or failed.

    python benchmarks/conformance.py FOLDER [--json FILE] [--page FILE]

For each file: its weight sites; every way of injecting that the form allows, without faults (the output must be that
of the untouched file, to the last bit) and with one chip at 1 % (all ways must agree to the last bit), taken out again
(the file must come back); and gradients, with values compared with ONNX Runtime. Inputs are random.

The page is written from the record, so that no number in it is typed by hand:

    python benchmarks/conformance.py --from FILE --page FILE
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from conformance_page import count, page, summary

from nfkit.errors import NfkitError, UnsupportedError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.injection.inject import MODES, Mode, chip_inputs, inject, remove
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.coverage import coverage
from nfkit.graph.memory.sites import WeightSite, fault_sites
from nfkit.model import load, to_bytes

CHIP = Chip(50_000)
RATE = 0.01
FREE = (1, 32, 512, 4096)  # extents to try for free axes behind the first
LEVELS = {
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
Feeds = dict[str, np.ndarray[Any, Any]]


def main() -> None:
    """Walks, prints, and writes record and page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", help="folder of ONNX files, searched all the way down")
    parser.add_argument("--json", type=Path, help="write the record")
    parser.add_argument("--page", type=Path, help="write the table as Markdown")
    parser.add_argument("--from", dest="record", type=Path, help="make the page from this record instead of a folder")
    arguments = parser.parse_args()
    if (arguments.folder is None) == (arguments.record is None):
        parser.error("give a folder, or --from RECORD")
    record = json.loads(arguments.record.read_text()) if arguments.record else walk(arguments.folder)
    if arguments.json:
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    if arguments.page:
        arguments.page.write_text(page(record))
    counts = count(record)
    print(", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
    sys.exit(1 if counts["failed"] else 0)


def walk(folder: Path) -> dict[str, Any]:
    """The record of all files under a folder."""
    files = []
    for path in sorted(folder.rglob("*.onnx")):
        started = time.perf_counter()
        entry = {"file": path.relative_to(folder).as_posix(), **examine(path)}
        entry["seconds"] = round(time.perf_counter() - started, 2)
        files.append(entry)
        print(f"{entry['outcome']:<8} {entry['file']}: {summary(entry)}", flush=True)
    return {
        "schema": "nfkit.conformance/1",
        "command": "python benchmarks/conformance.py FOLDER --json docs/results/conformance.json",
        "chip": CHIP.seed,
        "rate": RATE,
        "levels": list(LEVELS),
        "versions": {"onnx": onnx.__version__, "onnxruntime": ort.__version__},
        "files": files,
    }


def examine(path: Path) -> dict[str, Any]:
    """Outcome of one file; anything but a reason that nfkit gives is a failure."""
    try:
        model = load(path)
        before = to_bytes(model)
        sites = fault_sites(model)
        feeds = runnable_inputs(model)
        modes, not_possible = allowed_modes(model, sites)
        problems = [
            problem for level in LEVELS for problem in disagreements(model, sites, feeds, modes, level, not_possible)
        ]
        problems += [
            f"mode {mode}: removing does not restore the file"
            for mode in modes
            if to_bytes(remove(inject(model, sites, CHIP, BitErrors(RATE), mode))) != before
        ]
        return {
            "outcome": "failed" if problems else "handled",
            "reason": "; ".join(problems) or None,
            "sites": len(sites),
            "codes": sum(site.count for site in sites),
            "coverage": coverage(model).to_dict(),
            "modes": modes,
            "modes_refused": not_possible,
            "gradient": gradient(model),
        }
    except NfkitError as error:
        return {"outcome": "refused", "reason": str(error)}
    except Exception as error:  # whatever it is, it is what this looks for
        return {"outcome": "failed", "reason": f"{type(error).__name__}: {error}".splitlines()[0][:300]}


def runnable_inputs(model: ir.Model) -> Feeds:
    """Random inputs of the smallest free axes that the untouched model runs on."""
    for free in FREE[:-1]:
        feeds = random_inputs(model, free)
        try:
            run(model, feeds, "basic")
        except Exception:
            continue
        return feeds
    return random_inputs(model, FREE[-1])


def random_inputs(model: ir.Model, free: int = 1) -> Feeds:
    """Random values for all inputs that have to be fed; a free axis is 2 where it leads an input, else `free`."""
    generator, feeds = np.random.default_rng(0), {}
    inputs = [v for v in model.graph.inputs if v.name not in model.graph.initializers]
    leading = {str(v.shape[0]) for v in inputs if v.shape}
    for value in inputs:
        if value.dtype is None or value.shape is None:
            continue
        sizes = [axis if isinstance(axis, int) and axis > 0 else str(axis) for axis in value.shape]
        shape = [size if isinstance(size, int) else (2 if size in leading else free) for size in sizes]
        dtype = np.dtype(value.dtype.numpy())
        if np.issubdtype(dtype, np.floating):
            feeds[str(value.name)] = generator.uniform(-1, 1, shape).astype(dtype)
        elif dtype.itemsize == 1:
            info = np.iinfo(dtype)
            feeds[str(value.name)] = generator.integers(info.min, info.max + 1, shape, dtype)
        else:
            feeds[str(value.name)] = generator.integers(0, 2, shape).astype(dtype)
    return feeds


def allowed_modes(model: ir.Model, sites: list[WeightSite]) -> tuple[list[Mode], dict[Mode, str]]:
    """Ways of injecting that the form allows, and why not the others."""
    reasons = {mode: refusal(model, sites, mode) for mode in MODES}
    refused = {mode: reason for mode, reason in reasons.items() if reason is not None}
    return [mode for mode in MODES if mode not in refused], refused


def refusal(model: ir.Model, sites: list[WeightSite], mode: Mode) -> str | None:
    """Why a form does not allow a way of injecting; None if it does."""
    try:
        inject(model, sites, CHIP, BitErrors(0.0), mode)
    except UnsupportedError as error:
        return str(error)
    return None


def disagreements(
    model: ir.Model, sites: list[WeightSite], feeds: Feeds, modes: list[Mode], level: str, noted: dict[Mode, str]
) -> list[str]:
    """What is not equal to the last bit at a level."""
    clean, problems = run(model, feeds, level), []
    expected = run(inject(model, sites, CHIP, BitErrors(RATE), "baked"), feeds, level)
    for mode in modes:
        if run(inject(model, sites, CHIP, BitErrors(0.0), mode), feeds, level) != clean:
            if mode == "input" and level != "basic":
                # Masks that can be fed keep ONNX Runtime from treating the weight as a constant.
                noted["input"] = f"agrees at level basic; at level {level} ONNX Runtime rewrites constant weights"
                continue
            problems.append(f"mode {mode}, level {level}: differs without faults")
        masks = chip_inputs(model, sites, CHIP, BitErrors(RATE)) if mode == "input" else {}
        injected = inject(model, sites, CHIP, BitErrors(RATE), mode)
        if run(injected, {**feeds, **masks}, level) != expected:
            problems.append(f"mode {mode}, level {level}: differs from baked on a chip")
    return problems


def run(model: ir.Model, feeds: Feeds, level: str) -> list[bytes]:
    """All outputs, as bytes."""
    options = ort.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(to_bytes(model), options, providers=["CPUExecutionProvider"])
    return [output.tobytes() for output in session.run(None, feeds)]


def gradient(model: ir.Model) -> dict[str, Any]:
    """Whether the model can be differentiated, and how far it is from ONNX Runtime then."""
    import torch

    from nfkit.access.runtime import Runner
    from nfkit.learn.gradients.frozen import FrozenGraph
    from nfkit.learn.gradients.obstacles import find_unsupported

    found = find_unsupported(model)
    if found:
        return {"refused": "; ".join(f"{f.op}: {f.reason} (node '{f.nodes[0]}')" for f in found)}
    try:
        spec = find_input(model, value_range=None)
    except NfkitError as error:
        return {"refused": str(error)}
    x = random_inputs(model)[spec.name]
    expected = Runner(model, level="basic")(x).astype(np.float32)
    start = torch.from_numpy(x.astype(np.float32)).requires_grad_()
    frozen = FrozenGraph(model)
    scores = frozen(start, scores=True)  # in front of a final softmax, which may have saturated
    (scores * torch.randn(scores.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert start.grad is not None
    with torch.no_grad():
        computed = frozen(start).numpy()
    scale = float(np.abs(expected).max()) or 1.0
    if not start.grad.abs().sum() > 0:
        return {"refused": "no gradient reaches the input"}
    return {
        "difference": float(np.abs(computed - expected).max()) / scale,
        "largest": float(start.grad.abs().max()),
    }


if __name__ == "__main__":
    main()
