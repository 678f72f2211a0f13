"""Memory of a process that measures chip after chip: after 10 chips, after 100, and after 1,000.

python benchmarks/memory.py [--chips 1000] [--images 100] [--quick] [--json FILE]

The zoo's ResNet-8 by `nfkit.measure.evaluation`, which keeps an answer of one bit for each chip and image, and by a
campaign of threads, which keeps them in its store. Megabytes are resident ones of a process of its own for each, read
where a chip ends.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import speed

from nfkit.data import load as load_data
from nfkit.faults import EVALUATION_CHIPS, BitErrors
from nfkit.graph.input.discovery import find_input
from nfkit.measure.evaluation import evaluate
from nfkit.model import load
from nfkit.models.zoo import path as zoo_path
from nfkit.progress import Progress
from nfkit.workflows.campaigning import campaign

MODEL = "resnet8-fashion-mnist"
IMAGES = Path(__file__).parents[1] / "models" / "zoo" / "resnet8_fashion_mnist_int8.npz"
MARKS = (10, 100, 1000)


def main() -> None:
    """Measures both, each in a process of its own."""
    parser = speed.arguments(__doc__)
    parser.add_argument("--chips", type=int, default=1000)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--one", choices=("evaluate", "campaign"), help="only this, in this process, as a line of JSON")
    options = parser.parse_args()
    chips, images = (20, 10) if options.quick else (options.chips, options.images)
    if options.one is not None:
        print(msgspec.json.encode(one(options.one, chips, images)).decode())
        return
    rows = []
    for name in ("evaluate", "campaign"):
        again = [sys.executable, __file__, "--one", name, "--chips", str(chips), "--images", str(images)]
        said = subprocess.run(again, check=True, capture_output=True, text=True).stdout
        rows.append({"what": name, "chips": chips, "images": images, **msgspec.json.decode(said.splitlines()[-1])})
    speed.report("memory", {"model": MODEL}, rows, options.json)


def one(name: str, chips: int, images: int) -> dict[str, float]:
    """Megabytes at each mark."""
    seen: dict[str, float] = {}
    done = 0

    def count(_: Any) -> None:
        nonlocal done
        done += 1
        if done in MARKS or done == chips:
            seen[f"MB after {done}"] = resident()

    (run_evaluate if name == "evaluate" else run_campaign)(chips, images, count)
    first, last = seen[f"MB after {MARKS[0]}"], seen[f"MB after {chips}"]
    return {**seen, "growth MB": last - first}


def run_evaluate(chips: int, images: int, count: Callable[[Any], None]) -> None:
    """By the loop behind `nfkit evaluate`."""
    model = load(zoo_path(MODEL))
    data = load_data(IMAGES, "test").take(images)
    evaluate(model, data, find_input(model), [BitErrors(0.01)], chips=EVALUATION_CHIPS[:chips], on_row=count)


def run_campaign(chips: int, images: int, count: Callable[[Any], None]) -> None:
    """By a campaign of threads."""

    def on_progress(progress: Progress) -> None:
        if progress.stage in ("pilot", "measuring") and progress.done:
            count(progress)

    with tempfile.TemporaryDirectory() as folder:
        plan = {"models": str(zoo_path(MODEL)), "samples": images, "chips": chips}
        campaign(plan, Path(folder), on_progress=on_progress)


def resident() -> float:
    """Megabytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


if __name__ == "__main__":
    main()
