"""What every remedy of a plan comes to: chosen on one half of the images, confirmed on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.energy import Curve, count, count_fused
from nfkit.errors import ModelError, UnsupportedError
from nfkit.faults import BitErrors
from nfkit.graph.fusion.early import check_branch
from nfkit.graph.fusion.fused import has_answer
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.early import NEVER, EarlyShare
from nfkit.measure.vulnerability import SiteFaultBench
from nfkit.plans.early_settings import STEPS_BACK, EarlyChoice, Path, Setting
from nfkit.plans.early_settings import EarlyAnswers as Settings
from nfkit.plans.halves import Half
from nfkit.plans.ladder import Rung, ladder
from nfkit.plans.looked import BothEnds as Always
from nfkit.plans.looked import Looked, Trusts
from nfkit.plans.means import Means
from nfkit.plans.operating_points import Strength
from nfkit.plans.tolerance import CONFIDENCE, MEASURED, STEERING_CHIPS, SURE, Confirmed, choose, confirm, judge
from nfkit.remedies.answering import BothEnds, EarlyAnswers, EarlyAtVmin, GeneratorAlone
from nfkit.remedies.bare import Bare
from nfkit.remedies.base import Combined, Remedy
from nfkit.remedies.site_choice import choose_sites
from nfkit.remedies.trained import NeuralFuse
from nfkit.reports.plan import Option, Outcome, Plan, Untried
from nfkit.workflows import inputs
from nfkit.workflows.plan_progress import Display

SITE_STEPS = (2, 4)
"""Steps of the grid below the bare base's voltage at which sites are looked for that stay at the nominal one."""


@dataclass
class PlanSearch:
    """What all remedies of a plan share.

    Attributes:
        graph: The model.
        errors: Kind of the errors.
        curve: The voltage curve.
        choosing: The half that chooses.
        confirming: The half that confirms.
        tolerance: Largest loss of accuracy, as a share of the samples.
        display: Where progress is told.
        confidence: How surely the loss has to be within it.
        known: What the base alone comes to, where that is known.
        untried: What was found not to be possible, and why.
    """

    graph: ir.Model
    errors: BitErrors
    curve: Curve
    choosing: Half
    confirming: Half
    tolerance: float
    display: Display
    confidence: float = CONFIDENCE
    known: Plan | None = None
    untried: list[Untried] = field(default_factory=list)
    _bare: int = 0
    _trusts: Trusts | None = None
    _early: bool = False

    def all_of(self, means: Means) -> list[Option]:
        """What every remedy comes to, of the base and, where the file is fused, of that."""
        looked = self._both_look()
        fused, self._early = self.choosing.bench.fused, looked is not None and self._may_answer_early()
        # Where both answer also the generator alone, both at all times, and early answers at Vmin: these three times.
        self.display.total = (1 + fused) * len(means.remedies) + (5 if self._early else 1 if looked else 0)
        options = [self._base(remedy) for remedy in means.remedies]
        if not fused:
            return options
        if looked is None:
            return options + [self._published(remedy) for remedy in means.remedies]
        self._trusts = Trusts(looked[0])
        options += [self._alone(looked), self._both(Bare(), looked)]
        if not self._early:
            return options + [self._both(remedy, looked) for remedy in means.remedies if not isinstance(remedy, Bare)]
        nominal = self._answered_early(Bare(), looked, at_vmin=True)
        lower = [self._answered_early(remedy, looked) for remedy in means.remedies]
        return [*options, nominal, *(option for option in lower if option.needs)]

    def by_measured_loss(self) -> Option | None:
        """Early answers at Vmin where the measured loss alone decides; None where there are none, or it did already.

        All that this takes has been measured: what it saves is known at no further cost.
        """
        looked = self._both_look()
        if looked is None or not self._early or self.confidence <= MEASURED:
            return None
        return self._answered_early(Bare(), looked, at_vmin=True, confidence=MEASURED)

    def for_sure(self) -> list[Option]:
        """The base, and early answers at Vmin, where the whole interval of the loss decides; none where it did already.

        Little of this is left to be measured.
        """
        if self.confidence >= SURE:
            return []
        known = None if self.known is None else self.known.sure
        found = [self._decided_for(Bare(), SURE) if known is None else known]
        looked = self._both_look()
        if looked is not None and self._early:
            found.append(self._answered_early(Bare(), looked, at_vmin=True, confidence=SURE))
        return found

    def with_sites(self, spec: InputSpec, level: Level) -> list[Option]:
        """The best that a nominal voltage for some sites of the base comes to."""
        if self.known is not None:
            return [option for option in self.known.options if option.name.startswith("mixed-voltage")]
        base, rungs, options = self.choosing.bench.base, self._ladder(Bare()), []
        for step in dict.fromkeys(min(self._bare + more, len(rungs) - 1) for more in SITE_STEPS):
            at = rungs[step].strength
            self.display.begin(f"sites at the nominal voltage, the others at {rungs[step].volts:.3f} Vmin")
            bench = SiteFaultBench(
                base, self.choosing.bench.data, spec, at.errors, self.choosing.chips[:STEERING_CHIPS],
                self.choosing.bench.layout, level,
            )  # fmt: skip
            # Half of the tolerance: the whole interval has to lie below it, and not the mean alone.
            remedy = choose_sites(bench, count(base), self.tolerance / 2).remedy
            if not isinstance(remedy, Bare):
                options.append(self._base(remedy))
        return sorted(options, key=lambda option: (not option.within, option.energy))[:1]

    def _base(self, remedy: Remedy) -> Option:
        if self.known is not None:
            found = next((option for option in self.known.options if option.name == remedy.name), None)
            if found is not None:
                self.display.end()
                return found
        self.display.begin(remedy.name)
        option = self._decided_for(remedy, self.confidence)
        self.display.end()
        return option

    def _decided_for(self, remedy: Remedy, confidence: float) -> Option:
        """The base with a remedy, decided with some confidence."""
        rungs = self._ladder(remedy)
        chosen = choose(self.choosing.of(protected=False), rungs, self.tolerance, confidence)
        if isinstance(remedy, Bare) and confidence == self.confidence:
            self._bare = chosen or 0
        confirmed = confirm(self.confirming.of(protected=False), rungs, chosen, self.tolerance, confidence=confidence)
        return _option(remedy, rungs, confirmed)

    def _published(self, remedy: Remedy) -> Option:
        added, whole = self._added(), _with(NeuralFuse(self.graph), remedy)
        rungs = self._ladder(remedy, added)
        self.display.begin(whole.name)
        chosen = choose(self.choosing.of(protected=True), rungs, self.tolerance, self.confidence)
        confirmed = confirm(
            self.confirming.of(protected=True), rungs, chosen, self.tolerance, confidence=self.confidence
        )
        self.display.end()
        return _option(whole, rungs, confirmed)

    def _both(self, remedy: Remedy, looked: tuple[Looked, Looked]) -> Option:
        whole, rungs = _with(BothEnds(self.graph), remedy), self._ladder(remedy, self._added())
        self.display.begin(whole.name)
        assert self._trusts is not None
        chosen = choose(Always(looked[0], self._trusts), rungs, self.tolerance, self.confidence)
        examiner = Always(looked[1], self._trusts, min(STEERING_CHIPS, len(self.choosing.chips)))
        confirmed = confirm(examiner, rungs, chosen, self.tolerance, confidence=self.confidence)
        self.display.end()
        trust = self._trusts.at(rungs[confirmed.found.step].strength.errors, examiner.fitting or 1)
        return _option(whole, rungs, confirmed, trust=trust.to_dict())

    def _answered_early(
        self, remedy: Remedy, looked: tuple[Looked, Looked], *, at_vmin: bool = False, confidence: float | None = None
    ) -> Option:
        sure = self.confidence if confidence is None else confidence
        kind, added, rungs = EarlyAtVmin if at_vmin else EarlyAnswers, self._added(), self._ladder(remedy)
        whole = _with(kind(self.graph), remedy)
        self.display.begin(whole.name)
        assert self._trusts is not None
        choice = EarlyChoice(looked[0], self._trusts, rungs, added, self.tolerance, sure)
        path = choice.nominal() if at_vmin else choice.best()
        if path is None:
            trust = self._trusts.at(rungs[0].strength.errors, 1)
            path = Path((Setting(rungs[0], trust, NEVER, added + rungs[0].energy),), 0)
            confirmed = confirm(Settings(looked[1]), path.settings, None, self.tolerance)
        else:
            last = len(path.settings) - 1
            confirmed = confirm(
                Settings(looked[1]), path.settings, path.chosen, self.tolerance, last, STEPS_BACK, sure
            )  # fmt: skip
        self.display.end()
        at = path.settings[confirmed.found.step]
        share = EarlyShare.of(at.threshold, looked[1].sure(at.trust, at.threshold))
        ends = tuple(added + (1 - part) * at.rung.energy for part in (share.share, share.high, share.low))
        return _option(
            whole, [setting.rung for setting in path.settings], confirmed,
            trust=at.trust.to_dict(), threshold=None if at.threshold == NEVER else at.threshold,
            early=share.to_dict(), energy=ends[0], energy_ci95=(ends[1], ends[2]),
        )  # fmt: skip

    def _alone(self, looked: tuple[Looked, Looked]) -> Option:
        added, whole = self._added(), GeneratorAlone(self.graph)
        found = [
            judge(0, half.clean, np.tile(half.alone, (len(half.chips), 1)))  # no chip changes it
            for half in looked
        ]
        held = [finding.holds(self.tolerance, self.confidence) for finding in found]
        confirmed = Confirmed(0 if held[0] else None, found[1], all(held))
        self.display.end()
        rungs = self._ladder(Bare())[:1]
        return _option(whole, rungs, confirmed, energy=added)

    def _both_look(self) -> tuple[Looked, Looked] | None:
        one, other = self.choosing.looked, self.confirming.looked
        return None if one is None or other is None else (one, other)

    def _may_answer_early(self) -> bool:
        """Whether the file can answer early; where it cannot, that is noted."""
        base = self.choosing.bench.base
        try:
            check_branch(list(base.graph.outputs[1:]), list(base.graph.initializers.values()))
        except UnsupportedError as error:
            self.untried.append(Untried("early", str(error)))
            return False
        return True

    def _added(self) -> float:
        """What the generator reads, over what the base does."""
        base, generator = count_fused(self.graph)
        if not base.accesses:
            raise ModelError("the base's weight accesses cannot be counted, so nothing can be weighed against energy")
        return generator.accesses / base.accesses

    def _ladder(self, remedy: Remedy, added: float = 0.0) -> tuple[Rung, ...]:
        scale = inputs.scale_of(self.graph, remedy.errors(self.errors), self.curve)
        scale = replace(scale, cells=remedy.cells(scale.cells))
        reads = count(self.choosing.bench.base)
        if more := remedy.added_accesses(reads.array):
            added += more / reads.accesses
        rungs = ladder(scale, lambda strength: added + _energy(strength))
        rungs = tuple(replace(r, strength=r.strength.leaving(remedy.errors(r.strength.errors))) for r in rungs)
        known = self.choosing.bench.layout.highest_rate  # measured cells end at some voltage
        return tuple(rung for rung in rungs if rung.strength.rate <= known)


def untrained(fused: bool, model: ir.Model) -> tuple[Untried, ...]:
    """What a plan cannot try without training, and why."""
    if not fused:
        reason = "it has to be trained (nfkit protect --max-loss does, and plans with it)"
        return (Untried("neuralfuse", reason),)
    if not has_answer(model):
        reason = "the base of this file answers by itself (protect it with --answer both)"
        return (Untried("early", reason),)
    return ()


def _energy(strength: Strength) -> float:
    assert strength.point is not None
    return strength.point.energy


def _with(fused: NeuralFuse, remedy: Remedy) -> Remedy:
    return fused if isinstance(remedy, Bare) else Combined([fused, remedy])


def _option(
    remedy: Remedy,
    rungs: Sequence[Rung],
    confirmed: Confirmed,
    *,
    trust: dict[str, float] | None = None,
    threshold: float | None = None,
    early: dict[str, float] | None = None,
    energy: float | None = None,
    energy_ci95: tuple[float, float] | None = None,
) -> Option:
    found, rung = confirmed.found, rungs[confirmed.found.step]
    outcome: Outcome = "within" if confirmed.holds else "beyond" if confirmed.chosen is None else "not confirmed"
    needs = remedy.needs if rung.strength.rate or not _only_voltage(remedy) else frozenset[str]()
    return Option(
        name=remedy.name, sentence=remedy.sentence, needs=tuple(sorted(needs)), outcome=outcome,
        volts_over_vmin=rung.volts, ber=rung.strength.rate, flips=rung.strength.flips,
        energy=rung.energy if energy is None else energy,
        accuracy=found.accuracy, loss=found.loss,
        chosen_volts=None if confirmed.chosen is None else rungs[confirmed.chosen].volts,
        trust=trust, threshold=threshold, early=early, energy_ci95=energy_ci95,
    )  # fmt: skip


def _only_voltage(remedy: Remedy) -> bool:
    """Whether a remedy needs nothing but a lower voltage, so that it needs nothing at the nominal one."""
    return remedy.needs <= {"voltage"}
