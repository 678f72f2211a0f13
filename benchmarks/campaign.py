"""What a measurement of a campaign costs: its parts for a small and a large model, and what each engine adds.

python benchmarks/campaign.py [--images 1000] [--tasks 400] [--parts [FILE ...]] [--quick] [--json FILE]

Parts (`part`) are CPU milliseconds of one thread, the least of five: drawing the chip and reading its codes, opening a
session on the model with these codes (`anew` is what making and opening a new model takes), running the samples.
Engines (`engine`) measure a network so small that what they add is most of it; `driver` is the CPU time of the driving
process for each measurement, scheduler and store included, which bounds how many workers one driver can feed. CPU time
stands in for wall time where the machine is not one's own. With `--parts`, the parts alone, and of models of one's own.
"""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import campaign_kill
import numpy as np
import speed

from nfkit.access.runtime import Runner
from nfkit.access.swapping import Swapper
from nfkit.campaigns.engines import ENGINES, find_engine
from nfkit.campaigns.kit import Kit, Task
from nfkit.campaigns.reading import check_plan
from nfkit.campaigns.store import MeasurementStore
from nfkit.campaigns.workbench import Workbench
from nfkit.data import Dataset
from nfkit.errors import OptionError
from nfkit.faults import EVALUATION_CHIPS, BitErrors, Chip
from nfkit.graph.injection.inject import with_codes
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.measure.bench import read_codes
from nfkit.model import load
from nfkit.models import bases
from nfkit.models.zoo import path as zoo_path
from nfkit.workflows.campaigning import Prepared, describe_run, prepare


def main() -> None:
    """Measures parts, then engines."""
    parser = speed.arguments(__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=400)
    parser.add_argument("--parts", nargs="*", type=Path, metavar="FILE", help="only the parts, of these models if any")
    options = parser.parse_args()
    images, tasks = (16, 8) if options.quick else (options.images, options.tasks)
    if options.parts:
        results = [parts(path.name, load(path), images) for path in options.parts]
        speed.report("campaign", {"images": images}, results, options.json)
        return
    small = load(zoo_path("resnet8-fashion-mnist"))
    large = bases.build("resnet18", (3, 8, 8) if options.quick else (3, 32, 32))
    results = [parts("resnet8, 77 k weights", small, images), parts("resnet18, 11 M weights", large, images)]
    if options.parts is not None:
        speed.report("campaign", {"images": images}, results, options.json)
        return
    with tempfile.TemporaryDirectory() as folder:
        tiny = prepare(check_plan(campaign_kill.prepare(Path(folder))))
        results += [row for name in ENGINES if present(name) for row in engine(name, "tiny", tiny, tasks, (1, 2))]
    real = prepare(check_plan({"models": str(zoo_path("resnet8-fashion-mnist")), "samples": images * 2}))
    few = max(4, tasks // 4)
    results += [row for name in ENGINES if present(name) for row in engine(name, "resnet8", real, few, (1, 2))]
    speed.report("campaign", {"images": images, "tasks": tasks}, results, options.json)


def parts(name: str, model: Any, images: int) -> dict[str, Any]:
    """CPU milliseconds of each part of one measurement."""
    spec = find_input(model)
    spec = spec if spec.low is not None else find_input(model, value_range=(-1.0, 1.0))
    channels, height, width = spec.image_shape
    pixels = np.random.default_rng(0).integers(0, 256, (images, height, width, channels), np.uint8)
    x, sites, seeds = spec.encode(pixels), fault_sites(model), iter(EVALUATION_CHIPS)
    stored = {site.name: codes(model, site) for site in sites}
    draw, (read, _, _) = least(lambda: read_codes(Chip(next(seeds)), BitErrors(0.01), sites, stored))
    anew, _ = least(lambda: Runner(with_codes(model, read), threads=1))
    swapper = Swapper(model, list(stored))
    opened, runner = least(lambda: swapper.open(read, threads=1))
    running, _ = least(lambda: runner(x), 2)
    row = {"part": name, "draw ms": draw, "anew ms": anew, "open ms": opened, "run ms": running}
    bench = Workbench(campaign_kit(model, spec, Dataset("random", pixels, np.arange(images) % 10)))
    whole, _ = least(lambda: bench.measure(Task("cell", next(seeds))), 3)
    return row | {"measurement ms": whole, "run / measurement": running / whole}


def campaign_kit(model: Any, spec: Any, data: Dataset) -> Kit:
    """A kit of one cell."""
    from nfkit.campaigns.kit import Job, Subject
    from nfkit.faults import parse_layout

    job = Job("model", BitErrors(0.01), parse_layout("iid"))
    return Kit({"model": Subject(model, data, spec, data.y)}, {"cell": job}, "all")


def present(name: str) -> bool:
    """Whether the library of an engine is installed."""
    try:
        find_engine(name, 1)
    except OptionError:
        return False
    return True


def engine(name: str, model: str, ready: Prepared, tasks: int, workers: tuple[int, ...]) -> list[dict[str, Any]]:
    """What an engine adds to a measurement."""
    rows = []
    cell = next(iter(ready.kit.jobs))
    for count in workers:
        team_of = find_engine(name, count)
        inside = 0.0
        with tempfile.TemporaryDirectory() as folder, MeasurementStore(Path(folder), create=True) as store:
            number = store.begin(ready.fingerprint, ready.clean, ready.cells, describe_run(team_of))
            begun = time.perf_counter()
            with team_of.open(ready.kit) as team:
                for made in team.measure([Task(cell, chip) for chip in EVALUATION_CHIPS[-2 * count :]]):
                    store.add(made, number)
                started = time.perf_counter() - begun
                wall, driver = time.perf_counter(), time.process_time()
                for made in team.measure([Task(cell, chip) for chip in EVALUATION_CHIPS[:tasks]]):
                    store.add(made, number)
                    inside += made.seconds
                driver, wall = time.process_time() - driver, time.perf_counter() - wall
        rows.append(
            {
                "engine": name, "network": model, "workers": count, "start s": started, "wall ms": 1e3 * wall / tasks,
                "inside ms": 1e3 * inside / tasks, "driver ms": 1e3 * driver / tasks,
                "kit KB": len(pickle.dumps(ready.kit, protocol=5)) / 1e3,
            }
        )  # fmt: skip
    return rows


def least(work: Callable[[], Any], repeats: int = 5) -> tuple[float, Any]:
    """The least CPU milliseconds of a piece of work, and its last result."""
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        result = work()
        times.append(time.process_time() - begun)
    return 1e3 * min(times), result


if __name__ == "__main__":
    main()
