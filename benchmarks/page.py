"""`nfkit page` in a real browser: equality with the library, sizes and times, for docs/page.md.

    python benchmarks/page.py MODEL=DATA ... --json docs/results/page.json

Needs chromium and playwright. Prints a line of the table for each model.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

import nfkit
from nfkit.access.runtime import Level, Runner
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import with_codes
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.model import load, sha256
from nfkit.version import __version__
from nfkit.workflows import inputs

RATES = (0.01, 0.005)
CHIPS = range(50_000, 50_005)
LEVELS: tuple[Level, ...] = ("all", "basic")
OPENED = 3
"""Times that a page is opened, each in a browser context of its own."""

COMPUTE = """async ([chip, rate]) => {
    const stop = nfkit.contents.stops.find((stop) => stop.rate === rate);
    const { codes, flipped } = nfkit.readChip(chip, stop);
    const answers = [];
    for (const model of nfkit.contents.models) answers.push(await nfkit.classify(model, codes));
    return [codes.map((bytes) => Array.from(bytes).join(" ")), flipped, answers];
}"""
SLIDE = """async ([chip, stop]) => {
    const began = performance.now();
    await nfkit.goTo(chip, stop);
    return performance.now() - began;
}"""


@contextmanager
def opened(browser: Browser, path: Path) -> Iterator[tuple[Page, float]]:
    """The page once it has answered, and the seconds that it took."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    began = time.perf_counter()
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]", state="attached", timeout=300_000)
    try:
        yield page, time.perf_counter() - began
    finally:
        context.close()


def compare(page: Page, path: Path, x: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Weight bytes that differ and those compared, answers that are equal by level and those compared."""
    model = load(path)
    sites = fault_sites(model)
    models = [split(model)[1], model] if is_fused(model) else [model]
    differing = compared = asked = 0
    equal = dict.fromkeys(LEVELS, 0)
    for rate in RATES:
        for chip in CHIPS:
            got, flipped, answers = page.evaluate(COMPUTE, [chip, rate])
            reads = {s.name: Chip(chip).faults(s, BitErrors(rate)).read(codes(model, s)) for s in sites}
            for text, read in zip(got, reads.values(), strict=True):
                mine, theirs = np.frombuffer(read.codes.tobytes(), np.uint8), np.array(text.split(), np.uint8)
                differing += int((mine != theirs).sum())
                compared += mine.size
            assert flipped == sum(read.flipped for read in reads.values())
            faulty = {name: np.ascontiguousarray(read.codes) for name, read in reads.items()}
            for graph, given in zip(models, answers, strict=True):
                for level in LEVELS:
                    here = Runner(with_codes(graph, faulty), level=level).classify(x)
                    equal[level] += int((here == given).sum())
                asked += len(x)
    return {"bytes_differing": differing, "bytes_compared": compared, "answers_equal": equal, "answers": asked}


def measure(browser: Browser, path: Path, data: str, samples: int, shown: int) -> dict[str, Any]:
    """One entry of the record: a page with many samples compared, one with a few timed."""
    model = load(path)
    spec = inputs.find_spec(model)
    x = spec.encode(inputs.find_data(data, "test", spec).take(samples).x)
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder, "large.html"), Path(folder, "small.html")
        nfkit.page(path, data, large, ber=RATES, samples=samples)
        written = nfkit.page(path, data, small, ber=RATES, samples=shown)
        with opened(browser, large) as (page, _):
            found = compare(page, path, x)
        firsts = []
        for _ in range(OPENED):
            with opened(browser, small) as (page, first):
                firsts.append(round(first, 2))
                stops = range(0, written.voltages.count, 4)
                slides = [page.evaluate(SLIDE, [50_000 + index, stop]) / 1000 for index, stop in enumerate(stops)]
    return {
        "model": path.name, "sha256": sha256(path), "model_bytes": path.stat().st_size, "page_bytes": written.bytes,
        "first_answer_s": firsts, "slides_s": [round(slide, 3) for slide in slides], **found,
        "runtime": written.runtime,
    }  # fmt: skip


def line(entry: dict[str, Any]) -> str:
    """An entry as a line of the table."""
    equal, asked = entry["answers_equal"], entry["answers"]
    return (
        f"| {entry['model']} | {entry['page_bytes'] / 1e6:.1f} MB | {statistics.median(entry['first_answer_s']):.1f} s "
        f"| {statistics.median(entry['slides_s']):.2f} s | {entry['bytes_differing']} of {entry['bytes_compared']:,} "
        f"| {equal['all']} of {asked} | {equal['basic']} of {asked} |"
    )


def main() -> None:
    """Measures the page of each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL=DATA")
    parser.add_argument("--samples", type=int, default=200, help="samples whose answers are compared")
    parser.add_argument("--shown", type=int, default=20, help="samples of the page that is timed")
    parser.add_argument("--json", type=Path, help="record to write")
    options = parser.parse_args()
    entries = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for pair in options.models:
            path, _, data = pair.partition("=")
            entries.append(measure(browser, Path(path), data, options.samples, options.shown))
            print(line(entries[-1]), flush=True)
        version = browser.version
        browser.close()
    if options.json:
        pairs = " ".join(f"{entry['model']}=DATA" for entry in entries)
        command = f"python benchmarks/page.py {pairs} --json {options.json.name}"
        record = {
            "schema": "nfkit.speed/1", "benchmark": "page", "command": command, "samples": options.samples,
            "shown": options.shown, "rates": RATES,
            "chips": list(CHIPS), "chromium": version, "nfkit": __version__, "pages": entries,
        }  # fmt: skip
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
