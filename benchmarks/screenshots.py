"""Screenshots of reports as a desk and a phone show them, light and dark, to be looked at.

    python benchmarks/screenshots.py report.html -o shots

Needs Chromium and playwright. Prints width and height of each page in pixels, and the bytes of its file.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

WIDTHS = (1280, 390)
_HIGHEST = 16_000  # a browser's largest picture


def main() -> None:
    """Writes one PNG a page, width and colour scheme."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    arguments.output.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for path in arguments.pages:
            for scheme in ("light", "dark"):
                for width in WIDTHS:
                    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
                    page.goto(path.resolve().as_uri())
                    wide, high = page.evaluate(
                        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
                    )
                    shot = arguments.output / f"{path.stem}-{width}-{scheme}.png"
                    clip = {"x": 0, "y": 0, "width": width, "height": min(high, _HIGHEST)}
                    page.screenshot(path=shot, full_page=True, clip=clip)
                    print(f"{shot}: {wide} x {high} pixels, page of {path.stat().st_size:,} bytes")
                    page.close()
        browser.close()


if __name__ == "__main__":
    main()
