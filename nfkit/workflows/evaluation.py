"""`nfkit.evaluate`: accuracy under bit errors, with voltage, energy and verdict."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.data import Dataset
from nfkit.data.download import cache_folder
from nfkit.energy import Curve
from nfkit.errors import ModelError, OutputError
from nfkit.faults import EVALUATION_CHIPS, BitErrors, Layout
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.modes.record import is_nominal
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.bench import Bench, check_strengths
from nfkit.measure.evaluation import check_chips, measure
from nfkit.measure.journal import Journal
from nfkit.measure.latency import measure_latency
from nfkit.measure.precision import evaluate_bits
from nfkit.model import ModelLike, sha256
from nfkit.plans.assessment import Alone, Assessor, FurtherRival
from nfkit.plans.early_rival import EarlyAtVmin
from nfkit.plans.energy_analysis import Costs
from nfkit.plans.operating_points import Scale
from nfkit.progress import Counter, OnProgress, Progress, duration, silent
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.operating_point import Row
from nfkit.reports.precision import PrecisionSweep
from nfkit.reports.provenance import Provenance
from nfkit.version import __version__
from nfkit.workflows import inputs
from nfkit.workflows.forecast import WORTH_SAYING, Pace
from nfkit.workflows.inputs import DataLike, Numbers
from nfkit.workflows.intake import LabelSource, data_for_measuring
from nfkit.workflows.memory import Settings, foreign_curve, read_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack

TIMED = 200
"""Images that latency is measured on, at least: with early answers it is not the same for all."""
ADVICE_KEY = "nfkit.advice"
"""Metadata key of a fused file: what `protect` found when it measured it."""


def evaluate(
    model: ModelLike,
    data: DataLike | None = None,
    spec: InputSpec | None = None,
    errors: Iterable[BitErrors] | None = None,
    *,
    ber: Numbers | None = None,
    vdd: Numbers | None = None,
    chips: int | Sequence[int] = inputs.DEFAULT_CHIPS,
    first_chip: int = EVALUATION_CHIPS[0],
    samples: int | None = None,
    labels: LabelSource = "data",
    fault_generator: bool = False,
    level: Level = "all",
    latency_batch: int | None = None,
    resume: bool = True,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: OnProgress = silent,
    **settings: Unpack[Settings],
) -> Evaluation:
    """Measures accuracy with and without bit errors, and says what to run.

    Examples:
        >>> import nfkit
        >>> from nfkit.models import zoo
        >>> name = "resnet8-fashion-mnist"
        >>> found = nfkit.evaluate(zoo.path(name), zoo.images(name), ber=[0.01], chips=[50_000, 50_001], samples=40)
        >>> [(row.chip, row.faulty_cells) for row in found.points[0].rows]
        [(50000, 6169), (50001, 6095)]

        nfkit.evaluate("model.nf.onnx", "test.npz", ber=[0.01, 0.005])

    Args:
        model: A frozen base or a fused model: a path, a ModelProto or an onnx-ir model; never changed.
        data: Samples: what `--data` takes, a `Dataset`, or arrays (x, y); by default looked for beside the model, as
            `nfkit.data.found` says.
        spec: The model's input; found in the file by default.
        errors: Bit errors of one kind, in place of `ber`, `vdd` and what says their kind.
        ber: Bit error rates per cell; 0.01 by default.
        vdd: Supply voltages over Vmin in place of rates.
        chips: How many chips, or their seeds.
        first_chip: Seed of the first, where their number is given.
        samples: Use only the first samples.
        labels: Whose labels: the data's own, or the clean base's answers; accuracy then means agreement with it.
        fault_generator: Whether errors hit the generator's weights as well.
        level: Optimisation level of ONNX Runtime.
        latency_batch: Time base and protected model too, by turns, at batch 1 and at this one.
        resume: Whether to keep finished rows in the cache folder until the measurement is done, and to take up those
            of the same measurement where it was ended before.
        on_stage: Called with a sentence about data that was found.
        on_progress: Told how far it is.
        settings: What the memory does, as the attributes of `nfkit.workflows.memory.Memory` have it (kind, layout,
            storage, ecc, curve and more), and what the model takes, where its graph does not say: `input_layout`,
            `value_range`, `mean` and `std`, as `nfkit.find_input` has them.

    Returns:
        The whole record; `str`, a notebook and `to_pandas` show it.

    Raises:
        NfkitError: When something does not fit; the message says what, and what to do.
    """
    work = _Work.of(
        model, data, spec, errors, ber=ber, vdd=vdd, chips=chips, first_chip=first_chip, samples=samples,
        labels=labels, level=level, on_stage=on_stage, **settings,
    )  # fmt: skip
    on_progress(Progress("measuring without errors", 0, 1))
    bench = Bench(work.model, work.data, work.spec, layout=work.layout, fault_generator=fault_generator, level=level)
    journal = _open_journal(work, bench, fault_generator) if resume else None
    rows = len(work.errors) * len(work.chips)
    seconds = Pace.of(bench.base, work.data, work.spec, level).measuring((1 + bench.fused) * rows, len(work.data))
    if seconds >= WORTH_SAYING:
        on_stage(f"{rows} chips and rates on {len(work.data)} samples: about {duration(seconds)}")
    counter = Counter("measuring under bit errors", rows, on_progress)
    measured = measure(
        bench, work.errors, work.chips, journal=journal, on_row=lambda row: counter(describe_row(row))
    )  # fmt: skip
    costs = count_costs(work.model, work.scale.curve, bench)
    record = Assessor(bench, work.scale, journal=journal, on_progress=on_progress).assess(
        measured, work.provenance, costs,
        alone=_stated_alone(work.model), further=further_rivals(work.model, bench, costs), warnings=work.warnings,
    )  # fmt: skip
    if latency_batch is not None:
        record = msgspec.structs.replace(record, latency=_time(work, latency_batch, level))
    if journal is not None:
        journal.discard()
    return record


def evaluate_precisions(
    model: ModelLike,
    data: DataLike | None,
    bits: Sequence[int],
    spec: InputSpec | None = None,
    errors: Iterable[BitErrors] | None = None,
    *,
    fault_generator: bool = False,
    level: Level = "all",
    on_progress: OnProgress = silent,
    **settings: Any,
) -> PrecisionSweep:
    """Measures accuracy under bit errors with the base's weights requantised to fewer bits, without retraining.

    Args:
        model: A quantised base or a fused model; see `evaluate`.
        data: Samples; None to look for them.
        bits: Bits of the base's weights.
        spec: The model's input; found in the file by default.
        errors: Bit errors of one kind.
        fault_generator: Whether errors hit the generator's weights as well.
        level: Optimisation level of ONNX Runtime.
        on_progress: Told how far it is.
        settings: Further arguments of `evaluate`.

    Raises:
        NfkitError: When something does not fit.
    """
    work = _Work.of(model, data, spec, errors, level=level, **settings)
    total = len(dict.fromkeys(bits)) * len(work.errors) * len(work.chips)
    counter = Counter("measuring under bit errors", total, on_progress)
    return evaluate_bits(
        work.model, work.data, work.spec, work.errors, bits,
        chips=work.chips, layout=work.layout, fault_generator=fault_generator, level=level,
        provenance=work.provenance, warnings=work.warnings,
        on_row=lambda b, row: counter(f"{b} bits, {describe_row(row)}"),
    )  # fmt: skip


def count_costs(model: ir.Model, curve: Curve, bench: Bench) -> Costs | ModelError | None:
    """What a fused model costs on the samples of a bench; why that cannot be counted, or None for a bare base."""
    if not is_fused(model):
        return None
    try:
        return Costs.of(model, curve, bench.early.share if bench.early else 0.0)
    except ModelError as error:  # the measurement stands without it
        return error


def further_rivals(model: ir.Model, bench: Bench, costs: Costs | ModelError | None) -> list[FurtherRival]:
    """What a fused model has to beat besides: early answers at the nominal voltage, where it has them."""
    if not isinstance(costs, Costs) or is_nominal(model):
        return []
    early = EarlyAtVmin.of(model, bench, costs.generator.accesses / costs.base.accesses)
    return [] if early is None else [early]


def describe_row(row: Row) -> str:
    """A finished chip in a few words."""
    figure = row.base if row.protected is None else row.protected
    return f"{100 * row.ber:.3g} %, chip {row.chip}: {100 * figure:.1f} % accurate"


@dataclass(frozen=True)
class _Work:
    """What an evaluation works on, read and checked before anything is computed."""

    model: ir.Model
    data: Dataset
    spec: InputSpec
    errors: list[BitErrors]
    scale: Scale
    chips: Sequence[int]
    layout: Layout
    provenance: Provenance
    warnings: tuple[str, ...]

    @classmethod
    def of(
        cls,
        model: ModelLike,
        data: DataLike | None,
        spec: InputSpec | None,
        errors: Iterable[BitErrors] | None,
        *,
        ber: Numbers | None = None,
        vdd: Numbers | None = None,
        chips: int | Sequence[int] = inputs.DEFAULT_CHIPS,
        first_chip: int = EVALUATION_CHIPS[0],
        samples: int | None = None,
        labels: LabelSource = "data",
        level: Level = "all",
        on_stage: Callable[[str], None] = lambda stage: None,
        **settings: Unpack[Settings],
    ) -> _Work:
        memory, form = read_settings(settings)
        graph = inputs.find_model(model)
        seeds = inputs.find_chips(chips, first_chip)
        given, warnings = None if errors is None else list(errors), list[str]()
        if given is not None:
            check_strengths(given, seeds)
            scale = inputs.scale_of(graph, given[0], memory.curve, extrapolate=memory.extrapolate)
        else:
            scale = memory.scale(graph)
            strengths, warnings = inputs.find_strengths(scale, ber, vdd)
            given = [strength.errors for strength in strengths]
        check_strengths(given, seeds)
        check_chips(seeds, is_fused(graph))
        known, cells = spec or inputs.find_spec(graph, **form), memory.cells
        taken = data_for_measuring(graph, model, data, known, labels=labels, samples=samples, level=level)
        for sentence in taken.sentences:
            on_stage(sentence)
        return cls(
            graph, taken.test, taken.spec, given, scale, seeds, cells,
            Provenance.of(model, graph, taken.test), (*warnings, *foreign_curve(cells, scale.curve), *taken.warnings),
        )  # fmt: skip


def _stated_alone(model: ir.Model) -> Alone | None:
    """What a fused file states of its generator alone, where that tells no classes by itself."""
    try:
        accuracy = json.loads(model.metadata_props.get(ADVICE_KEY, "{}")).get("generator_alone")
    except (ValueError, AttributeError):  # metadata that was changed says nothing
        return None
    return Alone("file", float(accuracy)) if isinstance(accuracy, (int, float)) and 0 <= accuracy <= 1 else None


def _open_journal(work: _Work, bench: Bench, fault_generator: bool) -> Journal | None:
    depends = [__version__, str(bench.basis(work.errors[0])), sha256(work.model), str(fault_generator)]
    try:
        return Journal(cache_folder() / "evaluations", depends)
    except OutputError:  # a measurement needs no cache folder; it then starts over where it is ended
        return None


def _time(work: _Work, batch: int, level: Level) -> dict[str, Any]:
    timed = work.data.take(min(len(work.data), max(batch, TIMED)))
    times = measure_latency(work.model, work.spec.encode(timed.x), batches=(1, batch), level=level)
    return {str(entry.batch): entry.to_dict() for entry in times}
