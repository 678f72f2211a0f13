"""`nfkit.score`: any figure of a model's outputs under bit errors, by a metric of the user's own.

For models that are no classifiers: regression, detection, segmentation, speech. A metric is a function of outputs and
targets that gives a number a sample, [N], or one number for all of them, as a word error rate is.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from nfkit.access.runtime import Level, Runner
from nfkit.access.swapping import Swapper
from nfkit.data.function import load_callable
from nfkit.data.targets import load_targets
from nfkit.faults import EVALUATION_CHIPS, Chip
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.measure.bench import check_strengths, read_codes
from nfkit.measure.evaluation import fault_facts
from nfkit.measure.judge import Judge, Metric, Values
from nfkit.measure.statistics import metric_spread
from nfkit.model import ModelLike, describe, sha256
from nfkit.parallel import cores
from nfkit.plans.operating_points import Strength
from nfkit.progress import Counter, OnProgress, silent
from nfkit.reports.provenance import DataFacts, ModelFacts, versions
from nfkit.reports.scoring import Scored, ScoredPoint
from nfkit.workflows import inputs
from nfkit.workflows.inputs import Numbers
from nfkit.workflows.memory import Settings, read_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack


def score(
    model: ModelLike,
    data: str | Path | tuple[Any, Any],
    metric: str | Metric,
    spec: InputSpec | None = None,
    *,
    ber: Numbers | None = None,
    vdd: Numbers | None = None,
    chips: int | Sequence[int] = inputs.DEFAULT_CHIPS,
    first_chip: int = EVALUATION_CHIPS[0],
    samples: int | None = None,
    level: Level = "all",
    on_progress: OnProgress = silent,
    **settings: Unpack[Settings],
) -> Scored:
    """Measures a figure of a model's outputs under bit errors.

        nfkit.score("depth.onnx", "test.npz", "metrics.py:rmse", ber=[0.01, 0.001])

    Args:
        model: A base, or a fused model; never changed.
        data: Samples and targets: an `.npz` or `.npy` files with any targets under a customary name, `FILE.py:FUNCTION`
            that returns (x, y), or arrays (x, y). Without targets, outputs are compared with those of the base without
            errors.
        metric: `module:function`, `file.py:function`, or a function: (outputs, targets) -> numbers [N], or one number.
        spec: The model's input; found in the file by default.
        ber: Bit error rates per cell.
        vdd: Supply voltages over Vmin in their place.
        chips: How many chips, or their seeds.
        first_chip: Seed of the first.
        samples: Use only the first samples.
        level: Optimisation level of ONNX Runtime.
        on_progress: Told how far it is.
        settings: What the memory does, as the attributes of `nfkit.workflows.memory.Memory` have it (kind, layout,
            storage, ecc, curve and more), and what the model takes, where its graph does not say: `input_layout`,
            `value_range`, `mean` and `std`, as `nfkit.find_input` has them.

    Raises:
        NfkitError: When something does not fit; also where the metric fails, or gives no number.
    """
    memory, about_input = read_settings(settings)
    graph = inputs.find_model(model)
    refuse_faults(graph)
    seeds = tuple(inputs.find_chips(chips, first_chip))
    scale = memory.scale(graph)
    strengths, _ = inputs.find_strengths(scale, ber, vdd)
    check_strengths([strength.errors for strength in strengths], seeds)
    form = spec or inputs.find_spec(graph, **about_input)
    cells, given = memory.cells, load_targets(data)
    given = given if samples is None else given.take(samples)
    fused = is_fused(graph)
    base = split(graph)[1] if fused else graph
    name = metric if isinstance(metric, str) else getattr(metric, "__qualname__", "metric")
    judge = Judge(name, load_callable(metric) if isinstance(metric, str) else metric, given, form)
    clean = judge.outputs(Runner(base, level=level, samples=len(given)))
    judge.compare_with(clean)
    clean_base = judge.values(clean, "the base without errors")
    clean_protected = None
    if fused:
        clean_protected = judge.values(judge.outputs(Runner(graph, level=level, samples=len(given))), "the model")
    sites = fault_sites(base)
    stored = {site.name: codes(base, site) for site in sites}
    bare = Swapper(base, list(stored), level=level)
    whole = Swapper(graph, list(stored), level=level) if fused else None
    workers = min(cores(), len(seeds))
    counter = Counter("measuring under bit errors", len(strengths) * len(seeds), on_progress)
    points = []
    with ThreadPoolExecutor(workers) as pool:
        for strength in strengths:

            def measure(seed: int, strength: Strength = strength) -> tuple[Values, Values | None]:
                read, _, _ = read_codes(Chip(seed, cells), strength.errors, sites, stored)
                threads, where = max(1, cores() // workers), f"chip {seed} at {100 * strength.rate:.3g} %"
                found = judge.values(judge.outputs(bare.open(read, threads=threads)), where)
                if whole is None:
                    return found, None
                return found, judge.values(judge.outputs(whole.open(read, threads=threads)), where)

            rows = []
            for seed, row in zip(seeds, pool.map(measure, seeds), strict=True):
                rows.append(row)
                counter(f"{100 * strength.rate:.3g} %, chip {seed}: {row[0].mean():.4g}")
            points.append(_point(strength, rows, clean_base))
    errors = strengths[0].errors
    return Scored(
        metric=name, targets="base" if given.y is None else "data", by_sample=clean_base.size > 1,
        clean_base=float(clean_base.mean()),
        clean_protected=None if clean_protected is None else float(clean_protected.mean()),
        points=tuple(points), chips=seeds, faults=fault_facts(errors, cells), level=level,
        model=ModelFacts(describe(model), sha256(model), None, fused),
        data=DataFacts(given.name, len(given), given.sha256), versions=versions(),
    )  # fmt: skip


def _point(strength: Strength, rows: Sequence[tuple[Values, Values | None]], clean: Values) -> ScoredPoint:
    """What errors make of the figure at one rate, and what they change in it."""
    base = np.stack([values for values, _ in rows])
    protected = [values for _, values in rows if values is not None]
    point = ScoredPoint(strength.rate, metric_spread(base), metric_spread(base - clean), voltage=strength.voltage)
    if not protected:
        return point
    whole = np.stack(protected)
    return replace(point, protected=metric_spread(whole), protected_change=metric_spread(whole - clean))
