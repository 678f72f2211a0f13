"""`nfkit page` in a real browser: equality with the library, sizes and times, for docs/page.md.

python benchmarks/page.py MODEL.nf.onnx --data FILE    needs chromium and playwright; prints a line of the table
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

import nfkit
from nfkit.access.runtime import Level, Runner
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import with_codes
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.model import load
from nfkit.workflows import inputs

RATES = (0.01, 0.005)
CHIPS = range(50_000, 50_005)
LEVELS: tuple[Level, ...] = ("all", "basic")

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


def open_in(browser: Any, path: Path) -> tuple[Page, float]:
    """The page once it has answered, and the seconds that it took."""
    page = browser.new_context(offline=True).new_page()
    began = time.perf_counter()
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]", state="attached", timeout=300_000)
    return page, time.perf_counter() - began


def compare(page: Page, path: Path, x: np.ndarray[Any, Any]) -> tuple[int, int, dict[str, int], int]:
    """Weight bytes that differ, weight bytes compared, answers that are equal by level, answers compared."""
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
    return differing, compared, equal, asked


def main() -> None:
    """Writes two pages of a model, opens both, and prints what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    model = load(options.model)
    spec = inputs.find_spec(model)
    x = spec.encode(inputs.find_data(options.data, "test", spec).take(options.samples).x)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        large, small = Path(folder, "large.html"), Path(folder, "small.html")
        nfkit.page(options.model, options.data, large, ber=RATES, samples=options.samples)
        written = nfkit.page(options.model, options.data, small, ber=RATES, samples=20)
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page, _ = open_in(browser, large)
        differing, compared, equal, asked = compare(page, options.model, x)
        page.close()
        page, first = open_in(browser, small)
        stops = range(0, written.voltages.count, 4)
        slides = [page.evaluate(SLIDE, [50_000 + index, stop]) / 1000 for index, stop in enumerate(stops)]
        browser.close()
    print(
        f"| {options.model.name} | {written.bytes / 1e6:.1f} MB | {first:.1f} s | {statistics.median(slides):.2f} s | "
        f"{differing} of {compared:,} | {equal['all']} of {asked} | {equal['basic']} of {asked} |"
    )


if __name__ == "__main__":
    main()
