"""What each part of the training is worth: the same run, with one part at a time left out.

python benchmarks/ablations.py MODEL.onnx --data TRAIN.npz --test-data TEST.npz [--minutes 4] [--json FILE]

Every run has the same budget in minutes, the same seed, data and unseen chips, so that a part is charged for the time
that it takes. One run a row: differences of a point or two are within what another seed does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import speed
from torch import Tensor

import nfkit
from nfkit.faults import BitErrors, parse_layout
from nfkit.learn import eopm_step, phases
from nfkit.learn.config import TrainConfig
from nfkit.learn.optimiser import Group
from nfkit.learn.phases import Losses, Phase
from nfkit.workflows.protection import protect

QUICK = Path(__file__).resolve().parent.parent / "models" / "zoo"


def by_adam(losses: Losses, parameters: list[Tensor], rate: float) -> list[Group]:
    """One group, without Muon."""
    return [Group(parameters, rate)]


def without(name: str) -> Any:
    """A schedule in which the other phases share the time of one."""
    whole = Losses.schedule

    def schedule(losses: Losses, warm_start: bool) -> list[Phase]:
        kept = [phase for phase in whole(losses, warm_start) if phase.name != name]
        total = sum(phase.share for phase in kept)
        return [dataclasses.replace(phase, share=phase.share / total) for phase in kept]

    return schedule


VARIANTS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "all of it": ({}, []),
    "no caution (shares mixed as they are)": ({"caution": 1.0}, []),
    "plain cross entropy": ({}, [patch.object(eopm_step, "bounded_cross_entropy", eopm_step.cross_entropy)]),
    "Adam in place of Muon": ({}, [patch.object(Losses, "_fast_groups", by_adam)]),
    "clean model sees every sample": ({}, [patch.object(phases, "_CLEAN_SHARE", 1.0)]),
    "one copy a step": ({"copies": 1}, []),
    "no patterns phase": ({}, [patch.object(Losses, "schedule", without("patterns"))]),
    "no joint phase": ({}, [patch.object(Losses, "schedule", without("eopm"))]),
    "cold start": ({"warm_start": False}, []),
    "amplitude 0.4": ({"amplitude": 0.4}, []),
}


@contextlib.contextmanager
def applied(patches: list[Any]) -> Iterator[None]:
    """All patches at once."""
    with contextlib.ExitStack() as stack:
        for change in patches:
            stack.enter_context(change)
        yield


def main() -> None:
    """Runs all variants, one after another."""
    parser = speed.arguments(__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=QUICK / "resnet8_fashion_mnist_int8.onnx")
    parser.add_argument("--data", default=str(QUICK / "resnet8_fashion_mnist_int8.npz"))
    parser.add_argument("--test-data", default=str(QUICK / "resnet8_fashion_mnist_int8.npz"))
    parser.add_argument("--generator", default="hint-64")
    parser.add_argument("--ber", type=float, default=0.005)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="run only this one; repeat")
    options = parser.parse_args()
    spec = nfkit.find_input(nfkit.load_model(options.model))
    data, test = nfkit.load_data(options.data, "train"), nfkit.load_data(options.test_data, "test")
    budget = {"epochs": 0.05} if options.quick else {"minutes": options.minutes}
    chips = 1 if options.quick else 10
    config = TrainConfig(options.generator, BitErrors(options.ber), parse_layout("iid"), **budget, mirror=True, shift=2)
    rows = []
    for name in options.variant or VARIANTS:
        changes, patches = VARIANTS[name]
        with tempfile.TemporaryDirectory() as folder, applied(patches):
            result = protect(
                options.model, data, test.take(64) if options.quick else test, spec,
                dataclasses.replace(config, **changes), Path(folder) / "model.nf.onnx",
                generator_precision="float", chips=chips, around=False,
            )  # fmt: skip
        evaluation = result.evaluation
        point = evaluation.points[0]
        rows.append(
            {
                "variant": name,
                "steps": result.training.steps,
                "CA": 100 * evaluation.clean_base,
                "CA (NF)": 100 * (evaluation.clean_protected or 0),
                "PA": 100 * point.base.mean,
                "PA (NF)": 100 * (point.protected.mean if point.protected else 0),
                "deviation": 100 * (point.protected.std or 0 if point.protected else 0),
                "alone": 100 * (evaluation.alone or 0),
            }
        )
        print(rows[-1], flush=True)
    setting = {
        "model": options.model.name,
        "generator": options.generator,
        "ber": options.ber,
        **budget,
        "chips": chips,
        "seed": config.seed,
    }
    speed.report("ablations", setting, rows, options.json)


if __name__ == "__main__":
    main()
