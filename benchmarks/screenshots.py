"""Reports as a desk and a phone show them, light and dark: screenshots to be looked at, weight and load of each.

    python benchmarks/screenshots.py report.html ... -o shots --json docs/results/reports.json

Needs Chromium and playwright. Prints width and height of each page in pixels, the bytes of its file, its elements, and
how long it takes to load and until its first contents are painted (the median of five contexts without a cache).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from nfkit.version import __version__

WIDTHS = (1280, 390)
OPENED = 5
_HIGHEST = 16_000  # a browser's largest picture
LOAD = """() => {
    const loaded = performance.getEntriesByType("navigation")[0];
    const paints = performance.getEntriesByName("first-contentful-paint");
    return [loaded.loadEventEnd, paints.length ? paints[0].startTime : NaN];
}"""
SIZE = """() => {
    const page = document.documentElement;
    return [page.scrollWidth, page.scrollHeight, document.querySelectorAll("*").length];
}"""


def opened(browser: Browser, path: Path, width: int, scheme: Any) -> Page:
    """The page in a context of its own, loaded and painted."""
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    page.goto(path.resolve().as_uri())
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
    return page


def measure(browser: Browser, path: Path, width: int, scheme: str, output: Path) -> dict[str, Any]:
    """Takes the screenshot, and gives what the page weighs and takes."""
    times = []
    for turn in range(OPENED):
        page = opened(browser, path, width, scheme)
        times.append(page.evaluate(LOAD))
        if turn < OPENED - 1:
            page.context.close()
    wide, high, elements = page.evaluate(SIZE)
    clip = {"x": 0, "y": 0, "width": width, "height": min(high, _HIGHEST)}
    page.screenshot(path=output / f"{path.stem}-{width}-{scheme}.png", full_page=True, clip=clip)  # type: ignore[arg-type]
    page.context.close()
    load, paint = (round(statistics.median(column), 1) for column in zip(*times, strict=True))
    return {
        "page": path.name, "bytes": path.stat().st_size, "screen": width, "scheme": scheme, "width": wide,
        "height": high, "elements": elements, "load_ms": load, "first_paint_ms": paint,
    }  # fmt: skip


def main() -> None:
    """Writes one PNG a page, width and colour scheme."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--json", type=Path, help="record to write")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    entries = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for path in arguments.pages:
            for scheme in ("light", "dark"):
                for width in WIDTHS:
                    entry = measure(browser, path, width, scheme, arguments.output)
                    entries.append(entry)
                    print(
                        f"{path.name}, {scheme}: {entry['width']} x {entry['height']} pixels, {entry['bytes']:,} bytes,"
                        f" {entry['elements']:,} elements, loaded in {entry['load_ms']} ms, first painted after "
                        f"{entry['first_paint_ms']} ms",
                        flush=True,
                    )
        version = browser.version
        browser.close()
    if arguments.json:
        pages = " ".join(path.name for path in arguments.pages)
        command = f"python benchmarks/screenshots.py {pages} -o {arguments.output.name} --json {arguments.json.name}"
        record = {
            "schema": "nfkit.speed/1", "benchmark": "screenshots", "command": command, "opened": OPENED,
            "chromium": version, "nfkit": __version__, "pages": entries,
        }  # fmt: skip
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
