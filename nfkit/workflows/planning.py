"""`nfkit.plan`: the least energy at which a model loses no more than is tolerated, without any training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.energy import Curve, count, count_fused
from nfkit.errors import DataError
from nfkit.faults import BitErrors
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.bench import Bench
from nfkit.measure.statistics import share
from nfkit.measure.vulnerability import SiteFaultBench
from nfkit.model import ModelLike
from nfkit.plans.halves import CHOOSING_CHIPS, CONFIRMING_CHIPS, Half
from nfkit.plans.ladder import Rung, grid, ladder
from nfkit.plans.means import Means, find_means
from nfkit.plans.operating_points import Scale, Strength
from nfkit.plans.tolerance import STEERING_CHIPS, Confirmed, check_tolerance, choose, confirm
from nfkit.progress import OnProgress, Progress, silent
from nfkit.remedies.bare import Bare
from nfkit.remedies.base import Combined, Remedy
from nfkit.remedies.site_choice import choose_sites
from nfkit.remedies.trained import NeuralFuse
from nfkit.reports.evaluation import Row
from nfkit.reports.plan import Option, Outcome, Part, Plan, Untried
from nfkit.reports.provenance import Provenance
from nfkit.workflows import inputs
from nfkit.workflows.evaluation import describe_row
from nfkit.workflows.inputs import CurveLike, DataLike
from nfkit.workflows.intake import LabelSource, data_for_measuring

SITE_STEPS = (2, 4)
"""Steps of the grid below the bare base's voltage at which sites are looked for that stay at the nominal one."""


def plan(
    model: ModelLike,
    data: DataLike | None = None,
    max_loss: float = 0.01,
    can: str | Iterable[str] = (),
    spec: InputSpec | None = None,
    *,
    curve: CurveLike = "stutz-2021",
    kind: str = "stuck",
    set_share: float = 0.5,
    layout: str | None = None,
    chips: int = inputs.DEFAULT_CHIPS,
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
        curve: Voltage curve, by name or path; the voltages that are tried lie on it.
        kind: What a faulty cell does: stuck, flip or asymmetric.
        set_share: Share of the errors that write a 1.
        layout: How cells hold weights: iid, array[:ROWSxCOLUMNS] or reference.
        chips: How many chips choose, and how many others confirm; at least 2.
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
    display = _Display(on_progress)
    on_progress(Progress("measuring without errors", 0, 1))
    choosing, confirming = (
        Half(Bench(graph, half, form, layout=cells, level=level), seeds[:chips], display.row)
        for half, seeds in zip(halves, (CHOOSING_CHIPS, CONFIRMING_CHIPS), strict=True)
    )
    means, early = find_means(can, choosing.bench), confirming.bench.early
    search = _Search(graph, errors, known, choosing, confirming, max_loss, early.share if early else None, display)
    options = search.all_of(means)
    if means.per_site:
        options += search.with_sites(form, level)
    options.sort(key=lambda option: (not option.within, -option.saving, len(option.needs)))
    provenance = Provenance.of(model, graph, taken.test)
    best = 0 if options[0].within and options[0].saving > 0 else None
    return Plan(
        sentence=_sentence(options, best, max_loss), tolerance=max_loss, best=best, options=tuple(options),
        untried=(*means.untried, *_untrained(choosing.bench.fused)), can=tuple(sorted(means.hardware.abilities)),
        choosing=_part(choosing), confirming=_part(confirming), grid=grid(known),
        curve=Scale(errors, 1.0, known).facts, kind=kind, set_share=set_share, layout=str(cells), seed=seed,
        spared=search.spared, model=provenance.model, data=provenance.data, versions=provenance.versions,
        warnings=taken.warnings,
    )  # fmt: skip


@dataclass
class _Display:
    """Tells how far a search is, whose number of steps is not known before its end: in remedies."""

    on_progress: OnProgress
    total: int = 1
    done: int = 0
    name: str = ""
    begun: float = field(default_factory=time.monotonic)

    def begin(self, name: str) -> None:
        self.name = name
        self.row(None)

    def end(self) -> None:
        self.done = min(self.done + 1, self.total)
        self.row(None)

    def row(self, row: Row | None) -> None:
        left = (time.monotonic() - self.begun) / self.done * (self.total - self.done) if self.done else None
        detail = self.name if row is None else f"{self.name}, {describe_row(row)}"
        self.on_progress(Progress("looking for the lowest voltage", self.done, self.total, left, detail))


@dataclass
class _Search:
    """What all remedies of a plan share."""

    graph: ir.Model
    errors: BitErrors
    curve: Curve
    choosing: Half
    confirming: Half
    tolerance: float
    spared: float | None
    display: _Display
    bare: int = 0

    def all_of(self, means: Means) -> list[Option]:
        """What every remedy comes to, of the base and, where the file is fused, of that."""
        files = [None, NeuralFuse(self.graph)] if self.choosing.bench.fused else [None]
        self.display.total = len(files) * len(means.remedies)
        return [self._find(remedy, fused) for fused in files for remedy in means.remedies]

    def with_sites(self, spec: InputSpec, level: Level) -> list[Option]:
        """The best that a nominal voltage for some sites of the base comes to."""
        base, rungs, options = self.choosing.bench.base, self._ladder(Bare(), None), []
        for step in dict.fromkeys(min(self.bare + more, len(rungs) - 1) for more in SITE_STEPS):
            at = rungs[step].strength
            self.display.begin(f"sites at the nominal voltage, the others at {rungs[step].volts:.3f} Vmin")
            bench = SiteFaultBench(
                base, self.choosing.bench.data, spec, at.errors, self.choosing.chips[:STEERING_CHIPS],
                self.choosing.bench.layout, level,
            )  # fmt: skip
            # Half of the tolerance: the whole interval has to lie below it, and not the mean alone.
            remedy = choose_sites(bench, count(base), self.tolerance / 2).remedy
            if not isinstance(remedy, Bare):
                options.append(self._find(remedy, None))
        return sorted(options, key=lambda option: (not option.within, option.energy))[:1]

    def _find(self, remedy: Remedy, fused: NeuralFuse | None) -> Option:
        rungs, whole = self._ladder(remedy, fused), _with(remedy, fused)
        self.display.begin(whole.name)
        chosen = choose(self.choosing.of(protected=fused is not None), rungs, self.tolerance)
        if isinstance(whole, Bare):
            self.bare = chosen or 0
        confirmed = confirm(self.confirming.of(protected=fused is not None), rungs, chosen, self.tolerance)
        self.display.end()
        return _option(whole, rungs, confirmed)

    def _ladder(self, remedy: Remedy, fused: NeuralFuse | None) -> tuple[Rung, ...]:
        scale = inputs.scale_of(self.graph, remedy.errors(self.errors), self.curve)
        if fused is None:
            return ladder(scale, _energy)
        base, generator = count_fused(self.graph)
        added, runs = generator.accesses / base.accesses, 1 - (self.spared or 0.0)
        return ladder(scale, lambda strength: added + runs * _energy(strength))


def _energy(strength: Strength) -> float:
    assert strength.point is not None
    return strength.point.energy


def _with(remedy: Remedy, fused: NeuralFuse | None) -> Remedy:
    if fused is None:
        return remedy
    return fused if isinstance(remedy, Bare) else Combined([fused, remedy])


def _option(remedy: Remedy, rungs: Sequence[Rung], confirmed: Confirmed) -> Option:
    found, rung = confirmed.found, rungs[confirmed.found.step]
    outcome: Outcome = "within" if confirmed.holds else "beyond" if confirmed.chosen is None else "not confirmed"
    return Option(
        name=remedy.name, sentence=remedy.sentence, needs=tuple(sorted(remedy.needs)), outcome=outcome,
        volts_over_vmin=rung.volts, ber=rung.strength.rate, flips=rung.strength.flips, energy=rung.energy,
        accuracy=found.accuracy, loss=found.loss,
        chosen_volts=None if confirmed.chosen is None else rungs[confirmed.chosen].volts,
    )  # fmt: skip


def _part(half: Half) -> Part:
    return Part(half.chips, half.images, half.bench.data.sha256, share(half.bench.clean_base))


def _untrained(fused: bool) -> tuple[Untried, ...]:
    reason = "it has to be trained (nfkit protect, then nfkit plan on the file that this makes)"
    return () if fused else (Untried("neuralfuse", reason),)


def _sentence(options: Sequence[Option], best: int | None, tolerance: float) -> str:
    points = f"{100 * tolerance:g} {'point' if tolerance == 0.01 else 'points'}"
    if best is None:
        return f"stay at Vmin: nothing that was tried saves energy and surely loses at most {points}"
    at = options[best]
    low, high = at.loss.ci95 or (at.loss.mean, at.loss.mean)
    worst = "" if at.accuracy.worst is None else f", its worst chip {100 * at.accuracy.worst:.1f} %"
    interval = "" if at.accuracy.ci95 is None else f" ({at.accuracy.interval()})"
    return (
        f"run at {at.volts_over_vmin:.3f} Vmin (a bit error rate of {100 * at.ber:.2g} %): {at.sentence}; that saves "
        f"{100 * at.saving:.1f} % of the weight memory's energy, is {100 * at.accuracy.mean:.1f} %{interval} accurate"
        f"{worst}, and loses {100 * at.loss.mean:.2f} points ({100 * low:.2f} to {100 * high:.2f}) of the {points} "
        "tolerated"
    )
