"""`nfkit.describe_maps`: measured fault maps, voltage by voltage, and the clustered layout that is like them."""

from __future__ import annotations

import math
import os
from pathlib import Path

from nfkit.errors import OptionError
from nfkit.faults.layouts.clustered import Clustered, fit_shape
from nfkit.faults.maps import MeasuredChip, read_measured_chip
from nfkit.reports.maps import Maps, MapStep
from nfkit.reports.provenance import versions


def describe_maps(folder: str | os.PathLike[str], *, block: int = Clustered.block) -> Maps:
    """Reads measured fault maps: how many cells fail at each voltage, and how they crowd.

        nfkit.describe_maps("measured/", block=16384)

    Args:
        folder: Where they are, in a format of `nfkit.faults.maps.FORMATS`.
        block: Cells of a block, by which it is told how they crowd.

    Raises:
        DataError: When the folder holds no maps, or damaged ones.
        OptionError: When there are no such blocks.
    """
    if block < 1:
        raise OptionError(f"blocks of {block} cells: give a number from 1 on")
    chip = read_measured_chip(Path(folder).expanduser())
    steps = tuple(_step(chip, step.volts, block) for step in chip.steps)
    crowded = next((step for step in reversed(steps) if step.shape is not None), None)
    layout = None if crowded is None else f"cluster:{block}:{crowded.shape:.2g}"
    return Maps(
        folder=os.fspath(folder), digest=chip.digest, rows=chip.rows, columns=chip.columns, block=block, steps=steps,
        layout=layout, versions=versions(),
    )  # fmt: skip


def _step(chip: MeasuredChip, volts: float, block: int) -> MapStep:
    rate = chip.rate_at(volts)
    faulty = chip.order[: round(rate * chip.cells)]
    ones = float(chip.prefer_one(faulty).mean()) if len(faulty) else None
    counts = chip.faults_per_block(volts, block)
    known = MapStep(volts, len(faulty), rate, ones)
    if len(counts) < 2 or not counts.any():
        return known
    mean = float(counts.mean())
    shape = fit_shape(counts)
    return MapStep(
        volts, len(faulty), rate, ones, mean, float(counts.var(ddof=1)) / mean, float((counts == 0).mean()),
        shape if math.isfinite(shape) else None,
    )  # fmt: skip
