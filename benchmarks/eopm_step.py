"""One EOPM step: a plain loop of the published kind against nfkit's, same model, maps and batch, in one process.

python benchmarks/eopm_step.py [--model FILE] [--generators conv-l unet-s] [--batch 25] [--quick] [--json FILE]

The plain loop follows the description of Sun et al. (NeuralFuse, NeurIPS 2024): for each of N maps the generator, the
clean model and the perturbed model run forward and backward, in float32, contiguous, and the base's weights keep
gradients. Its base is nfkit's own torch function, so that both sides compute the same; maps are drawn beforehand.
`estimator` is nfkit's default step, another (unbiased) estimate of the same loss: its gradient is not comparable.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir
import speed
import torch
from torch import Tensor, nn

from nfkit.faults import BitErrors, Iid
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import fault_sites
from nfkit.learn.chips import PerturbedCopies
from nfkit.learn.gradients.frozen import FrozenGraph
from nfkit.learn.gradients.steps import Environment
from nfkit.learn.memory import keep_freed_memory
from nfkit.learn.objective import ModelInput, eopm_gradient, protect
from nfkit.model import load
from nfkit.models import bases, generators

WEIGHT = 5.0


def plain_step(
    generator: nn.Module,
    frozen: FrozenGraph,
    entry: ModelInput,
    x: Tensor,
    y: Tensor,
    clean: Environment,
    maps: list[Environment],
) -> None:
    """Leaves the gradients of the EOPM loss in the generator, everything run anew for every map."""
    for perturbed in maps:
        protected = protect(generator, x)
        losses = [nn.functional.cross_entropy(frozen(entry(protected), w, scores=True), y) for w in (clean, perturbed)]
        ((losses[0] + WEIGHT * losses[1]) / len(maps)).backward()


def nfkit_step(
    generator: nn.Module,
    frozen: FrozenGraph,
    entry: ModelInput,
    x: Tensor,
    y: Tensor,
    maps: list[Environment],
    passes: int,
    clean_share: float = 1.0,
) -> None:
    """The same by `eopm_gradient`."""
    with torch.autocast("cpu", torch.bfloat16, enabled=frozen.dtype == torch.bfloat16):
        protected = protect(generator, x)
    gradient, _ = eopm_gradient(frozen, entry, protected, y, maps, WEIGHT, passes, clean_share)
    protected.backward(gradient)


def trainable(weights: Environment) -> Environment:
    """Contiguous copies that keep gradients."""
    return {
        name: w.detach().clone(memory_format=torch.contiguous_format).requires_grad_(w.is_floating_point())
        for name, w in weights.items()
    }


def gradient_of(step: Callable[[], None], generator: nn.Module) -> Tensor:
    """The generator's gradients after one step, as one vector."""
    generator.zero_grad()
    step()
    return torch.cat([p.grad.reshape(-1) for p in generator.parameters() if p.grad is not None])


def measure(model: ir.Model, name: str, batch: int, copies: int, repeats: int) -> dict[str, Any]:
    """Median seconds of each step, and how their gradients differ."""
    torch.manual_seed(0)
    sites = fault_sites(model)
    spec = find_input(model)
    if spec.low is None:
        spec = find_input(model, value_range=(-1.0, 1.0))
    entry = ModelInput(spec, torch.device("cpu"))
    generator = generators.build(name, spec.image_shape[0], spec.image_shape[1:], 10)
    graphs = {dtype: FrozenGraph(model, sites, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    maps = {}
    for dtype, frozen in graphs.items():
        source = PerturbedCopies(model, sites, frozen, BitErrors(0.01), Iid(), 0)
        maps[dtype] = [source.training(i) for i in range(copies)]
    exact, fast = graphs[torch.float32], graphs[torch.bfloat16]
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (batch, *spec.image_shape)).astype(np.float32))
    y = torch.arange(batch) % 10
    last = x.contiguous(memory_format=torch.channels_last)
    plain_maps = [trainable(w) for w in maps[torch.float32]]
    steps: dict[str, Callable[[], None]] = {
        "plain": partial(plain_step, generator, exact, entry, x, y, trainable(exact.weights({})), plain_maps),
        "float32": partial(nfkit_step, generator, exact, entry, last, y, maps[torch.float32], copies),
        "bfloat16": partial(nfkit_step, generator, fast, entry, last, y, maps[torch.bfloat16], copies),
        "estimator": partial(nfkit_step, generator, fast, entry, last, y, maps[torch.bfloat16][:4], 1, 0.25),
    }
    gradients = {key: gradient_of(steps[key], generator) for key in ("plain", "float32", "bfloat16")}
    times = speed.medians(steps, repeats)
    reference = gradients["plain"]
    return {
        "generator": name,
        "batch": batch,
        "maps": copies,
        **{f"{key} s": value for key, value in times.items()},
        **{f"plain / {key}": times["plain"] / times[key] for key in ("float32", "bfloat16", "estimator")},
        "float32 largest difference": float((gradients["float32"] - reference).abs().max() / reference.abs().max()),
        "bfloat16 cosine": float(torch.cosine_similarity(gradients["bfloat16"], reference, dim=0)),
    }


def main() -> None:
    """Measures every generator and batch size."""
    parser = speed.arguments(__doc__)
    parser.add_argument("--model", help="a quantised ONNX model with 10 classes; a random ResNet18 by default")
    parser.add_argument("--generators", nargs="+", default=["conv-l", "unet-s"])
    parser.add_argument("--batch", type=int, nargs="+", default=[25])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    keep_freed_memory()
    model = load(options.model) if options.model else bases.build("resnet18")
    if options.quick:
        model = load(options.model) if options.model else bases.build("resnet18", (3, 8, 8))
    names, sizes = (["unet-s"], [2]) if options.quick else (options.generators, options.batch)
    copies, repeats = (2, 1) if options.quick else (10, options.repeats)
    rows = [measure(model, name, batch, copies, repeats) for name in names for batch in sizes]
    setting = {"model": str(options.model or "resnet18, random weights"), "threads": torch.get_num_threads()}
    speed.report("eopm_step", setting, rows, options.json)


if __name__ == "__main__":
    main()
