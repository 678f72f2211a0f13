"""`nfkit.plan`: the least energy at which a model loses no more than is tolerated, without any training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.data import Dataset
from nfkit.energy import Curve, count
from nfkit.errors import DataError, OptionError
from nfkit.faults import BitErrors, Layout
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.bench import Bench
from nfkit.measure.plausibility import near_perfect
from nfkit.measure.statistics import share
from nfkit.model import ModelLike
from nfkit.plans.halves import CHOOSING_CHIPS, CONFIRMING_CHIPS, Half
from nfkit.plans.ladder import grid
from nfkit.plans.looked import Looked
from nfkit.plans.means import find_means
from nfkit.plans.operating_points import Scale
from nfkit.plans.recommendation import best_of, is_sure, recommend, worth_saying
from nfkit.plans.tolerance import CONFIDENCE, check_confidence, check_tolerance
from nfkit.progress import OnProgress, Progress, duration, silent
from nfkit.reports.plan import Option, Part, Plan
from nfkit.reports.provenance import Provenance
from nfkit.workflows import inputs
from nfkit.workflows.forecast import WORTH_SAYING, Pace
from nfkit.workflows.inputs import CurveLike, DataLike
from nfkit.workflows.intake import LabelSource, data_for_measuring
from nfkit.workflows.memory import foreign_curve
from nfkit.workflows.plan_progress import Display
from nfkit.workflows.plan_search import PlanSearch, untrained
from nfkit.workflows.planned_file import as_planned, check_planned, time_planned


def plan(
    model: ModelLike,
    data: DataLike | None = None,
    max_loss: float = 0.01,
    can: str | Iterable[str] = (),
    spec: InputSpec | None = None,
    *,
    confidence: float = CONFIDENCE,
    curve: CurveLike = "stutz-2021",
    kind: str = "stuck",
    set_share: float = 0.5,
    layout: str | None = None,
    chips: int = inputs.DEFAULT_CHIPS,
    chip: int | None = None,
    samples: int | None = None,
    labels: LabelSource = "data",
    seed: int = 0,
    level: Level = "all",
    input_layout: str | None = None,
    value_range: tuple[float, float] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: OnProgress = silent,
) -> Plan:
    """Finds the least energy at which a model loses no more than is tolerated, as far as no training is needed.

        nfkit.plan("model.onnx", "test.npz", max_loss=0.01, can=("robust-bits",))

    Args:
        model: A frozen base or a fused model: a path, a ModelProto or an onnx-ir model; never changed.
        data: Samples, as for `nfkit.evaluate`; one half chooses, the other confirms.
        max_loss: Largest loss of accuracy against the clean base, as a share of the samples.
        can: What the chip can do besides a lower voltage: names of `nfkit.plans.means.MEANS`.
        spec: The model's input; found in the file by default.
        confidence: How surely the loss has to be within it: at 0.5 the measured loss decides, at 0.975 the upper end of
            its 95 % interval. The plan says how sure it is.
        curve: Voltage curve, by name or path; the voltages that are tried lie on it.
        kind: What a faulty cell does: stuck, flip or asymmetric.
        set_share: Share of the errors that write a 1.
        layout: How cells hold weights: iid, array[:ROWSxCOLUMNS] or reference.
        chips: How many chips choose, and how many others confirm; at least 2.
        chip: Seed of one device whose faulty cells are known: all is chosen and confirmed for it alone, and intervals
            are over images.
        samples: Use only the first samples.
        labels: Whose labels: the data's own, or the clean base's answers; accuracy then means agreement with it.
        seed: Seed of the division of the samples into halves.
        level: Optimisation level of ONNX Runtime.
        input_layout: Layout of the input, if it cannot be told: NCHW, NHWC, NHW or NC.
        value_range: Valid range of the model's input.
        mean: Mean that images in [0, 1] were normalised with, one number or one a channel.
        std: Standard deviation to go with it.
        on_stage: Called with a sentence about data that was found.
        on_progress: Told how far it is.

    Returns:
        The whole record; `str`, a notebook and `to_pandas` show it.

    Raises:
        NfkitError: When something does not fit; the message says what, and what to do.
    """
    check_tolerance(max_loss)
    check_confidence(confidence)
    graph = inputs.find_model(model)
    errors = BitErrors(0.0, kind, set_share)
    known = inputs.scale_of(graph, errors, curve).curve
    cells = inputs.find_layout(layout)
    form = spec or inputs.find_spec(graph, input_layout=input_layout, value_range=value_range, mean=mean, std=std)
    taken = data_for_measuring(graph, model, data, form, labels=labels, samples=samples, level=level)
    for sentence in taken.sentences:
        on_stage(sentence)
    form = taken.spec
    if len(taken.test) < 4:
        raise DataError(f"{taken.test.name}: a plan needs images to choose by and others to confirm: give at least 4")
    halves = taken.test.hold_out(0.5, seed)
    return plan_on_halves(
        graph, halves, form, errors, max_loss, can,
        confidence=confidence, curve=known, layout=cells, chips=chips, chip=chip, seed=seed, level=level,
        provenance=Provenance.of(model, graph, taken.test), warnings=taken.warnings, on_stage=on_stage,
        on_progress=on_progress,
    )  # fmt: skip


def plan_on_halves(
    graph: ir.Model,
    halves: tuple[Dataset, Dataset],
    form: InputSpec,
    errors: BitErrors,
    max_loss: float,
    can: str | Iterable[str],
    *,
    confidence: float = CONFIDENCE,
    curve: Curve,
    layout: Layout,
    chips: int,
    chip: int | None = None,
    seed: int,
    level: Level,
    provenance: Provenance,
    warnings: Sequence[str] = (),
    known: Plan | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: OnProgress = silent,
) -> Plan:
    """A plan on images that are divided already.

    Args:
        graph: The model.
        halves: Images that choose, and images that confirm.
        form: The model's input.
        errors: Kind of the errors.
        max_loss: Largest loss of accuracy.
        can: What the chip can do besides a lower voltage.
        confidence: How surely the loss has to be within it.
        curve: The voltage curve.
        layout: How cells hold weights.
        chips: How many chips choose, and how many confirm.
        chip: The one device that it is for; None for any.
        seed: Seed of the division, for the record.
        level: Optimisation level of ONNX Runtime.
        provenance: What the numbers depend on.
        warnings: What is doubtful.
        known: A plan of the base alone on the same halves, which is not made again.
        on_stage: Called with a sentence about the time that it takes.
        on_progress: Told how far it is.

    Raises:
        NfkitError: As `plan`.
    """
    display = Display(on_progress)
    on_progress(Progress("measuring without errors", 0, 1))
    groups = (CHOOSING_CHIPS[:chips], CONFIRMING_CHIPS[:chips]) if chip is None else (_alone(chip), _alone(chip))
    choosing, confirming = (
        _half(graph, half, form, layout, seeds, level, display) for half, seeds in zip(halves, groups, strict=True)
    )
    means = find_means(can, choosing.bench)
    searched = len(means.remedies) * (1 + choosing.bench.fused)
    seconds = Pace.of(choosing.bench.base, choosing.bench.data, form, level).planning(
        searched, chips, 2 * choosing.images
    )
    if seconds >= WORTH_SAYING:
        on_stage(f"looking for the least energy: about {duration(seconds)}")
    doubts = [doubt.sentence for doubt in near_perfect(choosing.bench.data.name, choosing.bench.clean_base)]
    if gap := count(choosing.bench.base).gap:
        doubts.append(gap)
    doubts += foreign_curve(layout, curve)
    search = PlanSearch(graph, errors, curve, choosing, confirming, max_loss, display, confidence, known)
    options = search.all_of(means)
    if means.per_site:
        options += search.with_sites(form, level)
    options.sort(key=lambda option: (not option.within, -option.saving, len(option.needs)))
    best = best_of(options)
    likely, sure = _besides(search, None if best is None else options[best])
    display.close()
    times = None
    if best is not None and options[best].trust is not None:
        file = as_planned(graph, options[best])
        check_planned(file, options[best], confirming)
        times = time_planned(file, confirming, level)
    return Plan(
        sentence=recommend(options, best, max_loss, times, images=confirming.images, likely=likely, sure=sure),
        tolerance=max_loss, confidence=confidence, best=best, options=tuple(options), likely=likely, sure=sure,
        untried=(*means.untried, *search.untried, *untrained(choosing.bench.fused, graph)),
        can=tuple(sorted(means.hardware.abilities)),
        choosing=_part(choosing), confirming=_part(confirming), grid=grid(curve),
        curve=Scale(errors, 1.0, curve).facts, kind=errors.kind, set_share=errors.set_share, layout=str(layout),
        seed=seed, latency=None if times is None else {"1": times.to_dict()}, model=provenance.model,
        data=provenance.data, versions=provenance.versions, warnings=(*warnings, *doubts),
    )  # fmt: skip


def _besides(search: PlanSearch, best: Option | None) -> tuple[Option | None, Option | None]:
    """What saves clearly more by its measured loss, and what whole intervals decide for; None where all is said."""
    likely = search.by_measured_loss()
    if likely is not None and not worth_saying(likely, best):
        likely = None
    surely = [] if best is None or is_sure(best, search.tolerance) else search.for_sure()
    surest = best_of(surely)
    return likely, None if surest is None else surely[surest]


def _half(
    graph: ir.Model,
    data: Dataset,
    form: InputSpec,
    layout: Layout,
    chips: Sequence[int],
    level: Level,
    display: Display,
) -> Half:
    bench = Bench(graph, data, form, layout=layout, level=level)
    return Half(bench, chips, display.row, Looked.of(bench, graph, chips, display.say))


def _alone(chip: int) -> tuple[int, int]:
    """A chip twice: of two that are alike the two-way interval is that over images, to the last digit."""
    if chip < 0:
        raise OptionError(f"--chip {chip}: give a seed from 0 on")
    return chip, chip


def _part(half: Half) -> Part:
    return Part(tuple(dict.fromkeys(half.chips)), half.images, half.bench.data.sha256, share(half.bench.clean_base))
