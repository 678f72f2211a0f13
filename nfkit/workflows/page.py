"""`nfkit.page`: a model in a web page that runs it on any chip, at any voltage."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Runner
from nfkit.errors import ModelError, OptionError
from nfkit.faults import EVALUATION_CHIPS
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.modes.record import mode_of, read_modes
from nfkit.graph.fusion.split import evidence_model, split
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.memory.sites import fault_sites
from nfkit.measure.early import early_share
from nfkit.measure.plausibility import class_names
from nfkit.model import ModelLike
from nfkit.outputs import write_atomically
from nfkit.pages.assembly import assemble
from nfkit.pages.contents import Contents, Loaded, Samples, Stop, describe_models
from nfkit.pages.modes import describe_modes
from nfkit.pages.web_runtime import find_web_runtime
from nfkit.plans.energy_analysis import Costs
from nfkit.plans.operating_points import Scale, Strength
from nfkit.reports.page import Page, Voltages
from nfkit.reports.provenance import Provenance
from nfkit.version import __version__
from nfkit.workflows import inputs
from nfkit.workflows.inputs import CurveLike, DataLike, Numbers
from nfkit.workflows.intake import LabelSource, data_for_measuring
from nfkit.workflows.memory import Memory

HIGHEST_RATE = 0.05
"""Bit error rate per cell at which the slider ends: no model that is not made for it has an answer left there."""
_STEP = 0.002  # of Vmin
_SAME = 0.0005  # of Vmin


def page(
    model: ModelLike,
    data: DataLike | None = None,
    output: str | os.PathLike[str] = "page.html",
    *,
    ber: Numbers | None = None,
    vdd: Numbers | None = None,
    curve: CurveLike = "stutz-2021",
    extrapolate: bool = False,
    kind: str = "stuck",
    set_share: float = 0.5,
    protected_bits: Sequence[int] = (),
    protected_sites: Sequence[str] = (),
    protected_top: int = 0,
    chip: int = EVALUATION_CHIPS[0],
    samples: int = 20,
    labels: LabelSource = "data",
    runtime: str | os.PathLike[str] | None = None,
    input_layout: str | None = None,
    value_range: tuple[float, float] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Page:
    """Writes one HTML file in which a model runs on simulated chips, at the voltage that a slider says.

    The page draws the faulty cells of layout `iid` by itself, the same ones as `nfkit.Chip`, and puts what a chip
    returns into the weights before it runs the model. Of a protected model base and whole are shown side by side; of
    one with modes the page chooses the mode, and begins in the one that the file states, at the voltage of that.

    Args:
        model: A quantised base or a fused model: a path, a ModelProto or an onnx-ir model; never changed.
        data: Samples to show, the first of which are taken; by default looked for beside the model.
        output: The file to write.
        ber: Bit error rates that the slider must have; it begins at the first. 0.01 by default, and the rates of modes.
        vdd: Supply voltages over Vmin in place of rates.
        curve: Voltage curve, by name or path.
        extrapolate: Whether to go on beyond the ends of the curve.
        kind: What a faulty cell does: stuck, flip or asymmetric.
        set_share: Share of the errors that write a 1.
        protected_bits: Bit positions that never err.
        protected_sites: Patterns of weight sites that never err.
        protected_top: How many top bits of every site never err.
        chip: Seed of the chip to begin with.
        samples: How many samples to show.
        labels: Whose labels: the data's own, or the clean base's answers.
        runtime: The archive of the npm package onnxruntime-web, or a folder with it; by default it is fetched once.
        input_layout: Layout of the input, if it cannot be told.
        value_range: Valid range of the model's input.
        mean: Mean that images in [0, 1] were normalised with.
        std: Standard deviation to go with it.

    Returns:
        The record of what was written.

    Raises:
        NfkitError: When something does not fit; the message says what, and what to do.
    """
    if not 0 <= chip < 2**53:
        raise OptionError(f"chip {chip}: a page counts chips from 0 to 2^53 - 1")
    if samples < 1:
        raise OptionError(f"{samples} samples: give how many to show, from 1 on")
    graph = inputs.find_model(model)
    refuse_faults(graph)
    scale = Memory(
        kind, set_share, protected_bits, protected_sites, protected_top, curve=curve, extrapolate=extrapolate
    ).scale(graph)
    wanted, _ = inputs.find_strengths(scale, ber, vdd)
    modes = read_modes(graph)
    meant = [scale.at_rate(mode.ber) for mode in modes if 0 < mode.ber <= HIGHEST_RATE]
    meant = [strength for strength in meant if strength.point is not None]  # the slider is one of voltages
    first = mode_of(graph).ber if modes and ber is None and vdd is None else wanted[0].rate
    spec = inputs.find_spec(graph, input_layout=input_layout, value_range=value_range, mean=mean, std=std)
    sites = fault_sites(graph)
    scale.errors.check_sites([site.name for site in sites])
    taken = data_for_measuring(graph, model, data, spec, labels=labels, samples=samples)
    x = spec.encode(taken.test.x)
    points = _points(scale, [*wanted, *meant])
    stops = _stops(graph, points, scale, x)
    rates = tuple(stop.rate for stop in stops)
    models = {"base": split(graph)[1], "protected": graph} if is_fused(graph) else {"base": graph}
    described, memories, pieces = describe_models(models, sites, spec, scale.errors)
    classes = taken.test.classes or class_names(graph, Runner(graph).classes(x)) or ()
    found = find_web_runtime(None if runtime is None else inputs.as_path(runtime, "the runtime"))
    start = next((i for i, stop in enumerate(stops) if stop.rate == first), rates.index(wanted[0].rate))
    path = inputs.source_path(model)
    contents = Contents(
        title=path.name if path else str(graph.graph.name or "model"),
        kind=kind, sentence=scale.errors.fault_kind.sentence, set_share=set_share, curve=scale.curve.name,
        chip=chip, start=start, stops=stops, sites=memories, models=described,
        samples=Samples.of(x, taken.test.y.tolist(), spec, classes, taken.test.name),
        versions={"nfkit": __version__, "onnxruntime-web": found.version},
        modes=describe_modes(
            graph, rates,
            lambda switched: tuple(stop.saving for stop in _stops(switched, points, scale, x)),
        ),
    )  # fmt: skip
    pieces["images"] = np.ascontiguousarray(x, x.dtype.newbyteorder("<")).tobytes()
    content = assemble(Loaded(contents, pieces), found)
    written = write_atomically(inputs.as_path(output, "the output"), content)
    return Page(
        output=str(written), bytes=len(content), models=tuple(models), sites=len(sites),
        cells=sum(site.count * site.bits for site in sites), samples=len(x), chip=chip,
        voltages=Voltages(len(stops), (min(rates), max(rates)), scale.curve.name), runtime=found.version,
        provenance=Provenance.of(model, graph, taken.test),
        modes=tuple(mode.name for mode in modes),
        warnings=tuple(doubt.sentence for doubt in taken.doubts if doubt.kind != "few samples"),
    )  # fmt: skip


def _points(scale: Scale, wanted: Sequence[Strength]) -> list[Strength]:
    """Places on the slider: Vmin, what the curve knows below it in small steps, and the points that were asked for."""
    known = [point.volts for point in scale.curve.points if point.rate]
    grid = [index * _STEP for index in range(int(min(known) / _STEP), int(1 / _STEP))]
    points = list({point.rate: point for point in (*wanted, scale.at_rate(0.0))}.values())
    for volts in (*known, *grid):
        point = _at_volts(scale, volts)
        near = point is None or any(p.point and abs(p.point.volts - volts) < _SAME for p in points)
        if point is not None and not near and 0 < point.rate <= HIGHEST_RATE:
            points.append(point)
    return sorted(points, key=lambda point: (-point.rate, point.point.volts if point.point else 0.0))


def _stops(model: ir.Model, points: Sequence[Strength], scale: Scale, x: npt.NDArray[Any]) -> tuple[Stop, ...]:
    """What there is to say of each place, with what the model saves there."""
    costs = _costs(model, scale, _spared(model, x))
    return tuple(_stop(point, costs) for point in points)


def _at_volts(scale: Scale, volts: float) -> Strength | None:
    try:
        return scale.at_volts(volts)
    except OptionError:  # beyond the curve, or no rate that a kind can have
        return None


def _stop(strength: Strength, costs: Costs | None) -> Stop:
    point = strength.point
    saving = None if costs is None else costs.saving(point)
    return Stop.of(
        strength.errors,
        None if point is None else point.volts,
        None if point is None else point.energy,
        None if saving is None else saving.by_accesses,
    )


def _spared(model: ir.Model, x: npt.NDArray[Any]) -> float:
    """Share of the images for which the base need not run."""
    looking = evidence_model(model) if is_fused(model) else None
    early = None if looking is None else early_share(model, Runner(looking)(x))
    return 0.0 if early is None else early.share


def _costs(model: ir.Model, scale: Scale, spared: float) -> Costs | None:
    """What a protected model reads; None of a base, or where that cannot be counted."""
    if not is_fused(model):
        return None
    try:
        return Costs.of(model, scale.curve, spared)
    except ModelError:  # the page stands without it, and says that it is unknown
        return None
