"""Scores of a base under errors, chip by chip: what trust is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.faults import BitErrors, Chip, Layout
from nfkit.graph.fusion.scores import ScoreForm
from nfkit.graph.injection.inject import with_codes
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.parallel import cores


def faulty_scores(
    base: ir.Model,
    form: ScoreForm,
    x: npt.NDArray[Any],
    errors: BitErrors,
    chips: Sequence[int],
    *,
    layout: Layout,
    level: Level = "all",
) -> npt.NDArray[np.float64]:
    """Log scores of a base on several chips.

    Args:
        base: The base; not changed.
        form: How it states its scores.
        x: Samples [N, ...] in its input space.
        errors: Bit errors; at rate 0 all chips are alike, and one is run.
        chips: Seeds of the chips.
        layout: How they hold the weights.
        level: Optimisation level of ONNX Runtime.

    Returns:
        [chips, N, C].

    Raises:
        ModelError: When the base stores no weights as integers, or ONNX Runtime fails.
    """
    if not errors.rate:
        return form.log_scores(Runner(base, level=level, samples=len(x))(x))[None]
    sites = fault_sites(base)
    stored = {site.name: codes(base, site) for site in sites}
    workers = min(cores(), len(chips))

    def run(seed: int) -> npt.NDArray[np.float64]:
        chip = Chip(seed, layout)
        read = {s.name: np.ascontiguousarray(chip.faults(s, errors).apply(stored[s.name])) for s in sites}
        runner = Runner(with_codes(base, read), level=level, threads=max(1, cores() // workers))
        return form.log_scores(runner(x))

    with ThreadPoolExecutor(workers) as pool:
        return np.array(list(pool.map(run, chips)))
