"""The library calls behind the commands that need no training, each of one model."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from fuzz_models import MODELS

from nfkit.data import Dataset
from nfkit.energy import load_curve
from nfkit.errors import NfkitError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.canonical.view import canonical
from nfkit.graph.fusion.caution import with_caution
from nfkit.graph.fusion.fuse import transfer
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import count_faults, inject, remove
from nfkit.graph.input.discovery import find_input
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.inventory import inventory
from nfkit.graph.memory.sites import fault_sites
from nfkit.graph.quantised.fold import fold
from nfkit.graph.quantised.preparation import prepare
from nfkit.graph.quantised.requantise import requantise
from nfkit.learn.gradients.obstacles import find_unsupported
from nfkit.measure.evaluation import evaluate
from nfkit.model import load, save, sha256, to_bytes
from nfkit.plans.energy_analysis import analyse

CURVE = load_curve("stutz-2021")


def samples(spec: InputSpec) -> Dataset:
    """Two samples of the model's own type and shape."""
    dtype = np.dtype(spec.dtype)
    x = np.random.default_rng(0).uniform(0, 1, (2, *spec.shape)).astype(dtype)
    return Dataset("fuzz", x, np.array([0, 1]))


def measure(model: ir.Model) -> None:
    """What `nfkit evaluate` does, with two samples and one chip."""
    spec = find_input(model)
    evaluate(model, samples(spec), spec, [BitErrors(0.1)], chips=[50_000])


def fault(mode: Any) -> Callable[[ir.Model], None]:
    """What `nfkit inject` does, there and back."""

    def use(model: ir.Model) -> None:
        sites, chip = fault_sites(model), Chip(50_000)
        faulty = inject(model, sites, chip, BitErrors(0.1), mode)
        count_faults(model, sites, chip, BitErrors(0.1))
        remove(load(onnx.load_from_string(to_bytes(faulty))))

    return use


def use_records(model: ir.Model) -> None:
    """What fused and faulted files are read for."""
    with contextlib.suppress(NfkitError):
        split(model)
    with contextlib.suppress(NfkitError):
        with_caution(model, 2.0)
    with contextlib.suppress(NfkitError):
        transfer(model, load(MODELS["qdq"]), find_input(load(MODELS["qdq"]), value_range=(-1, 1)))
    remove(model)


def inspect(model: ir.Model) -> None:
    """What `nfkit inspect` does."""
    inventory(model)
    find_unsupported(model)
    find_input(model)


USES: dict[str, Callable[[ir.Model], Any]] = {
    "inspect": inspect,
    "energy": lambda model: analyse(model, CURVE.at_rate(0.01), CURVE),
    "inject node": fault("node"),
    "inject input": fault("input"),
    "inject baked": fault("baked"),
    "evaluate": measure,
    "records": use_records,
    "fold": fold,
    "requantise": lambda model: requantise(model, 4),
    "quantize": prepare,
    "canonical": canonical,
    "write": lambda model: save(model, Path(os.devnull)),
    "digest": sha256,
}
