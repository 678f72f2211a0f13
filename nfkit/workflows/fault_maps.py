"""`nfkit.describe_maps`: measured fault maps, voltage by voltage, and the clustered layout that is like them."""

from __future__ import annotations

import math
import os
from pathlib import Path

from scipy import special

from nfkit.energy import Curve
from nfkit.energy.voltage import CurvePoint
from nfkit.errors import DataError, OptionError
from nfkit.faults.layouts.clustered import Clustered, fit_shape
from nfkit.faults.maps import MeasuredChip, read_measured_chip
from nfkit.reports.maps import Maps, MapStep
from nfkit.reports.provenance import versions

_CHANCE = 0.025
_NEXT_TO_CHANCE = 1e6  # the largest shape that a layout takes


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
    blocks = chip.cells // block
    crowded = next((step for step in reversed(steps) if _crowds(step, blocks)), None)
    layout = None if crowded is None else str(Clustered(block=block, shape=float(f"{crowded.shape:.2g}")))
    return Maps(
        folder=os.fspath(folder), digest=chip.digest, rows=chip.rows, columns=chip.columns, block=block, steps=steps,
        layout=layout, versions=versions(),
    )  # fmt: skip


def measured_curve(folder: str | os.PathLike[str], vmin: float | None = None) -> Curve:
    """The voltage curve of measured fault maps: their own rates, at energies that go with the square of the voltage.

        nfkit.evaluate("model.onnx", vdd=0.9, curve=nfkit.measured_curve("measured/", vmin=0.6))

    Args:
        folder: Where the maps are, in a format of `nfkit.faults.maps.FORMATS`.
        vmin: The lowest voltage without errors, in V; by default the lowest at which no cell failed.

    Raises:
        DataError: When the folder holds no maps, or damaged ones, or none that has errors below Vmin.
        OptionError: When Vmin is not known, or cells fail there.
    """
    chip = read_measured_chip(Path(folder).expanduser())
    failing = [(step.volts, chip.rate_at(step.volts)) for step in chip.steps if chip.rate_at(step.volts) > 0]
    if not failing:
        raise DataError(f"{folder}: no cell failed at any voltage, so there is no curve")
    highest, lowest = failing[0][0], failing[-1][0]
    clean = [step.volts for step in chip.steps if step.volts > highest]
    if vmin is None and not clean:
        raise OptionError(
            f"{folder}: cells fail at every voltage that was measured, up to {highest:g} V, so Vmin is not known: give "
            "--vmin, the lowest voltage without errors, in V"
        )
    known = clean[-1] if vmin is None else vmin
    if not (math.isfinite(known) and known > highest):
        raise OptionError(
            f"--vmin {known:g}: cells fail at {highest:g} V, so the lowest voltage without errors is higher"
        )
    points, least = list[CurvePoint](), 1.0
    for volts, rate in reversed(failing):
        if rate < least:  # where no more cells failed than at a higher voltage, the lower one costs less
            points.append(CurvePoint(volts / known, rate, (volts / known) ** 2))
            least = rate
    return Curve(
        name=f"measured-{chip.digest}",
        points=(*points, CurvePoint(1.0, 0.0, 1.0)),
        source=f"fault maps of {chip.rows} rows of {chip.columns} cells, {lowest:g} to {highest:g} V, Vmin {known:g} V",
        error="rates are counts of one memory; energy is taken to go with the square of the voltage",
        meaning="cells that are stuck, as measured",
        flips_per_error=0.5,
    )


def _crowds(step: MapStep, blocks: int) -> bool:
    """Whether faults crowd more than chance explains, at 2.5 %, by Fisher's index of dispersion.

    Where cells fail independently, (blocks - 1) variance / mean has a chi-squared distribution of blocks - 1 degrees of
    freedom. A few blocks vary by a tenth or more of it: a shape read from that would be one of chance.
    """
    if step.shape is None or step.dispersion is None or step.shape > _NEXT_TO_CHANCE:
        return False
    return float(special.chdtrc(blocks - 1, (blocks - 1) * step.dispersion)) < _CHANCE


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
