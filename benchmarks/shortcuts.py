"""Two ways to measure many chips with less work: what no error reaches computed once, and several chips in one session.

python benchmarks/shortcuts.py [--model FILE] [--images 500] [--chips 4] [--quick] [--json FILE]

The first row is a map of where errors hurt (`nfkit.vulnerability`: every bit of every weight site alone), with each
measurement running the whole model (`whole s`), and with those going on from what lies before the site (`cut s`), as
nfkit does; `least` and `most` are the gains of the first site and of the last. The others are K copies of the model
with codes of their own in one session: milliseconds of a chip to open and to run, the least of three. All times are CPU
time of one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import speed
from campaign import campaign_kit

from nfkit.access.runtime import Runner
from nfkit.campaigns import workbench
from nfkit.campaigns.kit import Job, Kit, Task
from nfkit.data import Dataset
from nfkit.faults import EVALUATION_CHIPS, BitErrors, parse_layout
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import fault_sites
from nfkit.model import load, to_bytes
from nfkit.models.zoo import path as zoo_path

BATCH = 128


def main() -> None:
    """Measures one model."""
    parser = speed.arguments(__doc__)
    parser.add_argument("--model", help="a quantised ONNX model with 10 classes; the zoo's ResNet-8 by default")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--chips", type=int, default=4, help="chips of each bit of the map")
    options = parser.parse_args()
    model = load(options.model or zoo_path("resnet8-fashion-mnist"))
    images, chips, copies = (16, 1, (1, 2)) if options.quick else (options.images, options.chips, (1, 2, 4, 8))
    spec = find_input(model)
    spec = spec if spec.low is not None else find_input(model, value_range=(-1.0, 1.0))
    channels, height, width = spec.image_shape
    pixels = np.random.default_rng(0).integers(0, 256, (images, height, width, channels), np.uint8)
    x = spec.encode(pixels)
    data = Dataset("random", pixels, Runner(model).classify(x))
    rows = [mapped(campaign_kit(model, spec, data), fault_sites(model), chips)]
    rows += [together(model, spec.name, x, count) for count in copies]
    setting = {"model": str(options.model or "resnet8-fashion-mnist"), "images": images, "chips": chips}
    speed.report("shortcuts", setting, rows, options.json)


def mapped(kit: Kit, sites: list[Any], chips: int) -> dict[str, Any]:
    """A map of all bits, measured both ways; their answers must be the same."""
    names, bits = [site.name for site in sites], min(site.bits for site in sites)
    jobs = {}
    for name in names:
        others = tuple(other.replace("[", "[[]") for other in names if other != name)
        for bit in range(bits):
            errors = BitErrors(
                0.05, protected_sites=others, protected_bits=tuple(b for b in range(bits) if b != bit)
            )  # fmt: skip
            jobs[f"{name} {bit}"] = Job("model", errors, parse_layout("iid"))
    kit = Kit(kit.subjects, jobs, kit.level)
    answers, spent = {}, {}
    for way, worth in (("whole", len(jobs) + 1), ("cut", workbench.WORTH)):
        workbench.WORTH = worth
        bench, by_site, found = workbench.Workbench(kit), dict.fromkeys(names, 0.0), []
        for name in names:
            begun = time.process_time()
            found += [
                bench.measure(Task(f"{name} {bit}", chip)) for bit in range(bits) for chip in EVALUATION_CHIPS[:chips]
            ]
            by_site[name] = time.process_time() - begun
        answers[way], spent[way] = [(made.correct, made.changed) for made in found], by_site
    if answers["whole"] != answers["cut"]:
        raise SystemExit("a shortcut gave other answers than the whole model")
    whole, cut = (sum(spent[way].values()) for way in ("whole", "cut"))
    gains = [spent["whole"][name] / spent["cut"][name] for name in names]
    return {
        "what": f"map of {len(jobs)} bits", "whole s": whole, "cut s": cut, "whole / cut": whole / cut,
        "least": min(gains), "most": max(gains),
    }  # fmt: skip


def together(model: Any, entry: str, x: Any, count: int) -> dict[str, Any]:
    """Copies of a model with codes of their own, in one session of one thread."""
    proto, varied = onnx.load_from_string(to_bytes(model)), {site.name for site in fault_sites(model)}
    graph, joint = proto.graph, onnx.ModelProto()
    joint.CopyFrom(proto)
    for field in (joint.graph.node, joint.graph.initializer, joint.graph.output, joint.graph.value_info):
        del field[:]
    shared = {entry, ""} | {tensor.name for tensor in graph.initializer} - varied
    joint.graph.initializer.extend(tensor for tensor in graph.initializer if tensor.name in shared)
    for copy in range(count):
        draw = np.random.default_rng(copy)

        def named(name: str, copy: int = copy) -> str:
            return name if name in shared else f"{name}/{copy}"

        for node in graph.node:
            mine = joint.graph.node.add()
            mine.CopyFrom(node)
            mine.name, mine.input[:] = f"{node.name}/{copy}", [named(name) for name in node.input]
            mine.output[:] = [named(name) for name in node.output]
        for tensor in (tensor for tensor in graph.initializer if tensor.name in varied):
            codes = onnx.numpy_helper.to_array(tensor)
            other = draw.permuted(codes.reshape(-1)).reshape(codes.shape)
            joint.graph.initializer.append(onnx.numpy_helper.from_array(other, named(tensor.name)))
        result = joint.graph.output.add()
        result.CopyFrom(graph.output[0])
        result.name = named(result.name)
    content, settings = joint.SerializeToString(), ort.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = 1, 4

    def session() -> ort.InferenceSession:
        return ort.InferenceSession(content, settings, providers=["CPUExecutionProvider"])

    runner = session()
    opened = least(session) / count
    ran = least(lambda: [runner.run(None, {entry: x[i : i + BATCH]}) for i in range(0, len(x), BATCH)]) / count
    return {"what": f"{count} chips a session", "open ms": opened, "run ms": ran, "chip ms": opened + ran}


def least(work: Callable[[], Any], repeats: int = 3) -> float:
    """The least CPU milliseconds of a piece of work."""
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return 1e3 * min(times)


if __name__ == "__main__":
    main()
