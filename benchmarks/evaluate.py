"""K chips x images by `nfkit.measure.evaluation` against K plain ONNX Runtime runs, and against torch.

python benchmarks/evaluate.py [--model FILE] [--images 1000] [--chips 10] [--repeats 5] [--torch] [--quick]
                              [--json FILE]

A plain run opens a session from the same int8 file's bytes with default options, one after another on all cores
(`plain`) or one thread a run and a run a core, as nfkit does (`parallel`). nfkit also draws the chips and runs the
clean model, so K chips are K + 1 runs. Ratios without a note are of the time for K plain runs; those of `as many runs`
are of the same number of runs, K + 1. Each is the median over turns of the ratio in that turn. Where others use the
machine, seconds of its processors say more; not of `plain`, whose threads wait for each other actively. With `--torch`,
K float32 passes of the fake-quantised graph in torch as well.
"""

from __future__ import annotations

import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import speed
import torch

from nfkit.data import Dataset
from nfkit.faults import EVALUATION_CHIPS, BitErrors
from nfkit.graph.input.discovery import find_input
from nfkit.learn.gradients.frozen import FrozenGraph
from nfkit.measure.evaluation import evaluate
from nfkit.model import load, to_bytes
from nfkit.models import bases
from nfkit.parallel import cores

BATCH = 128


def main() -> None:
    """Measures one model."""
    parser = speed.arguments(__doc__)
    parser.add_argument("--model", help="a quantised ONNX model with 10 classes; a random ResNet18 by default")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--chips", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--torch", action="store_true", help="measure torch as well, which takes several times as long")
    options = parser.parse_args()
    model = (
        load(options.model) if options.model else bases.build("resnet18", (3, 8, 8) if options.quick else (3, 32, 32))
    )
    images, chips, repeats = (16, 2, 1) if options.quick else (options.images, options.chips, options.repeats)
    spec = find_input(model)
    spec = spec if spec.low is not None else find_input(model, value_range=(-1.0, 1.0))
    channels, height, width = spec.image_shape
    pixels = np.random.default_rng(0).integers(0, 256, (images, height, width, channels), np.uint8)
    data = Dataset("random", pixels, np.arange(images) % 10)
    x, content, frozen = spec.encode(pixels), to_bytes(model), FrozenGraph(model)
    parts = [x[i : i + BATCH] for i in range(0, images, BATCH)]

    def session(threads: int) -> None:
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = threads  # 0 is the default: all cores
        runner = ort.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
        for part in parts:
            runner.run(None, {spec.name: part})

    def parallel() -> None:
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(session, [1] * chips))

    def fake_quantised() -> None:
        with torch.no_grad():
            for _ in range(chips):
                for part in parts:
                    frozen(torch.from_numpy(part.astype(np.float32)))

    work: dict[str, Any] = {
        "nfkit": lambda: evaluate(model, data, spec, [BitErrors(0.01)], chips=EVALUATION_CHIPS[:chips]),
        "plain": lambda: [session(0) for _ in range(chips)],
        "parallel": parallel,
    }
    if options.torch:
        work["torch"] = fake_quantised
    times = speed.turns(work, repeats)
    ours, share = times["nfkit"], (chips + 1) / chips
    row: dict[str, Any] = {"chips": chips, "images": images, "turns": repeats}
    row |= {f"{name} s": statistics.median(turn.wall for turn in taken) for name, taken in times.items()}
    row |= {f"{name} CPU s": statistics.median(turn.cpu for turn in taken) for name, taken in times.items()}
    row |= {f"{name} / nfkit": speed.ratio(times[name], ours) for name in work if name != "nfkit"}
    row |= {f"{name} / nfkit, as many runs": share * speed.ratio(times[name], ours) for name in ("plain", "parallel")}
    row["parallel / nfkit, as many runs, CPU"] = share * speed.ratio(times["parallel"], ours, "cpu")
    speed.report(
        "evaluate",
        {"model": Path(options.model).name if options.model else "resnet18, random weights"},
        [row],
        options.json,
    )


if __name__ == "__main__":
    main()
