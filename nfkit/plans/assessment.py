"""From a measurement to a whole record: voltages, savings, rivals and the verdict, joined point by point.

What the verdict needs besides the measurement is measured here: the bare base at the milder voltage at which it saves
as much as the protected model does, and the recommended point afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from nfkit.errors import ModelError
from nfkit.faults import EVALUATION_CHIPS, BitErrors
from nfkit.graph.injection.inject import count_inexact
from nfkit.graph.memory.coverage import coverage as find_coverage
from nfkit.graph.memory.scales import odd_scales
from nfkit.graph.memory.survey import Survey
from nfkit.measure.bench import Bench
from nfkit.measure.evaluation import Measurement, correct_matrix
from nfkit.measure.journal import Journal
from nfkit.measure.statistics import share
from nfkit.plans.energy_analysis import Costs
from nfkit.plans.operating_points import Scale, Strength
from nfkit.plans.rivals import Answers, Candidate, Rival
from nfkit.plans.verdicts import Fresh, Setting, judge_base, judge_pair
from nfkit.progress import OnProgress, silent, track
from nfkit.reports.evaluation import Clean, Evaluation
from nfkit.reports.figures import Share
from nfkit.reports.operating_point import Point, Row
from nfkit.reports.provenance import Provenance
from nfkit.reports.verdict import Verdict

FurtherRival = Callable[[float | None], Rival | None]
"""Makes a rival that saves at least a share of the energy; None where it cannot, or the share is not known."""


@dataclass(frozen=True, eq=False)
class Alone:
    """What a generator scores without its base.

    Attributes:
        by: What tells its classes: its own `evidence`, a linear `probe`, or what the `file` states.
        accuracy: Its accuracy.
        correct: Which samples it gets right, [images]; None where only the accuracy is known.
    """

    by: str
    accuracy: float
    correct: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None


class Assessor:
    """Makes records of what is measured on one bench.

    Args:
        bench: The model and its samples.
        scale: What rates stand for.
        journal: Where finished rows are kept.
        on_progress: Told of every row.
    """

    def __init__(
        self, bench: Bench, scale: Scale, *, journal: Journal | None = None, on_progress: OnProgress = silent
    ) -> None:
        self._bench, self._scale, self._journal, self._on_progress = bench, scale, journal, on_progress

    def assess(
        self,
        measured: Measurement,
        model: Provenance,
        costs: Costs | ModelError | None,
        *,
        alone: Alone | None = None,
        further: Iterable[FurtherRival] = (),
        warnings: Iterable[str] = (),
        coverage: dict[str, object] | None = None,
    ) -> Evaluation:
        """The whole record of a measurement.

        Args:
            measured: What was measured.
            model: What it depends on.
            costs: What the fused model costs, or why it could not be counted; None for a bare base.
            alone: What the generator scores by itself, where it has no evidence of its own.
            further: What makes further rivals of the protected model; each is told what it has to save.
            warnings: What makes the numbers doubtful.
            coverage: How much of the model's weights the faults reach; found here by default.
        """
        survey = Survey(self._bench.base)
        odd = [str(scale) for scale in odd_scales(survey)]
        strengths = tuple(self._scale.at_rates(entry.rate for entry in measured.errors))
        counted = costs if isinstance(costs, Costs) else None
        points = tuple(
            _priced(point, strength, counted) for point, strength in zip(measured.points(), strengths, strict=True)
        )
        if measured.generator is not None:
            alone = Alone("evidence", float(measured.generator.mean()), measured.generator)
        verdict = self._judge(measured, points, strengths, alone, tuple(further))
        more = [f"energy: {costs}"] if isinstance(costs, ModelError) else []
        if counted is not None:
            more += [gap for gap in (counted.base.gap, counted.generator.gap) if gap]
        if inexact := count_inexact(self._bench.base, self._bench.sites, self._scale.errors):
            more.append(
                f"{inexact} codes have no word in {self._scale.errors.storage} and are held as the nearest one, also "
                "where nothing errs; the accuracy without errors is that of the codes as they are"
            )
        return Evaluation(
            verdict=verdict,
            model=model.model,
            data=model.data,
            versions=model.versions,
            faults=measured.faults,
            level=measured.level,
            clean=_clean(measured, alone),
            points=points,
            curve=self._scale.facts,
            energy=counted.facts if counted else None,
            memory=self._scale.memory,
            coverage=coverage or find_coverage(survey).to_dict(),
            warnings=(*warnings, *odd, *more),
            early=None if self._bench.early is None else self._bench.early.to_dict(),
        )

    def _judge(
        self,
        measured: Measurement,
        points: Sequence[Point],
        strengths: tuple[Strength, ...],
        alone: Alone | None,
        further: Sequence[FurtherRival],
    ) -> Verdict:
        labels = self._bench.data.y
        chance = float(np.bincount(labels).max() / len(labels))
        base = [self._answers(point.rows, "base") for point in points]
        if measured.protected is None:
            return judge_base(base, measured.base[np.newaxis], Setting(strengths, measured.clean_base, chance))
        unchecked = []
        if alone is None:
            unchecked.append("the generator alone, which tells no classes by itself")
        milder = [self._milder(point) for point in points]
        if missing := [point for point, rival in zip(points, milder, strict=True) if rival is None]:
            rates = ", ".join(f"{100 * point.ber:.3g} %" for point in missing)
            unchecked.append(
                f"the bare base at a milder voltage, since '{self._scale.curve.name}' states none that saves as much "
                f"as the protected model at {rates}"
            )
        chips = [row.chip for row in points[0].rows]
        others = [
            tuple(rival for make in further if (rival := make(_saving(point))) is not None) for point in points
        ]  # fmt: skip
        candidates = [
            self._candidate(
                i, point.rows, milder[i], self._rows(milder[i], chips), point, strengths[i], alone, others[i]
            )
            for i, point in enumerate(points)
        ]  # fmt: skip

        def measure_again(index: int) -> Fresh:
            seeds = _fresh_chips(chips)
            settings = [(measured.errors[index], chip) for chip in seeds]
            stage = f"confirming {strengths[index].describe()} on fresh chips"
            rows = self._run(stage, settings, protected=True)
            bare = self._rows(milder[index], seeds, fresh=True)
            candidate = self._candidate(
                index, rows, milder[index], bare, points[index], strengths[index], alone, others[index]
            )  # fmt: skip
            return Fresh(seeds, candidate)

        setting = Setting(strengths, measured.clean_base, chance, tuple(unchecked))
        return judge_pair(candidates, setting, measure_again)

    def _milder(self, point: Point) -> Strength | None:
        """Where the bare base saves as much as the protected model does at an operating point."""
        if point.saving is None:
            return None
        return self._scale.at_energy(1 - point.saving.by_accesses)

    def _rows(self, milder: Strength | None, chips: Sequence[int], *, fresh: bool = False) -> tuple[Row, ...]:
        """The bare base at a milder voltage; empty where it errs nowhere, or that voltage is not known."""
        if milder is None or milder.rate == 0:
            return ()
        stage = f"the bare base at {milder.describe()}" + (" on fresh chips" if fresh else "")
        return self._run(stage, [(milder.errors, chip) for chip in chips], protected=False)

    def _run(self, stage: str, settings: list[tuple[BitErrors, int]], *, protected: bool) -> tuple[Row, ...]:
        kept = {
            (errors.rate, chip): row
            for errors, chip in settings
            if self._journal is not None and (row := self._journal.find(errors.rate, chip, protected))
        }
        missing = [(errors, chip) for errors, chip in settings if (errors.rate, chip) not in kept]
        for row in track(stage, self._bench.run(missing, protected=protected), len(missing), self._on_progress):
            kept[row.ber, row.chip] = row
            if self._journal is not None:
                self._journal.add(row)
        return tuple(kept[errors.rate, chip] for errors, chip in settings)

    def _candidate(
        self,
        index: int,
        rows: Sequence[Row],
        milder: Strength | None,
        bare: Sequence[Row],
        point: Point,
        strength: Strength,
        alone: Alone | None,
        others: Sequence[Rival],
    ) -> Candidate:
        saved = None if strength.point is None else 1 - strength.point.energy
        rivals = [
            Rival.of(
                "the faulty base", "base", self._answers(rows, "base"),
                saving=saved, ber=strength.rate, volts=_volts(strength),
            )
        ]  # fmt: skip
        if alone is not None:
            name = "the generator alone" + (" (by a linear probe)" if alone.by == "probe" else "")
            answers = None if alone.correct is None else alone.correct[np.newaxis]
            rivals.append(Rival(name, "alone", answers, alone.accuracy))
        if milder is not None:
            answers = self._answers(bare, "base") if bare else self._bench.clean_base[np.newaxis]
            rivals.append(
                Rival.of(
                    f"the bare base at {_words(milder)}", "milder", answers,
                    saving=None if milder.point is None else 1 - milder.point.energy,
                    ber=milder.rate, volts=_volts(milder),
                )
            )  # fmt: skip
        return Candidate(index, self._answers(rows, "protected"), _saving(point), (*rivals, *others))

    def _answers(self, rows: Sequence[Row], part: str) -> Answers:
        answers = correct_matrix([getattr(row, f"{part}_correct") for row in rows], len(self._bench.data))
        assert answers is not None, "the bench keeps every answer"
        return answers


def _priced(point: Point, strength: Strength, costs: Costs | None) -> Point:
    """An operating point with its voltage and what is saved there."""
    saving = costs.saving(strength.point) if costs else None
    return msgspec.structs.replace(point, flips=strength.flips, voltage=strength.voltage, saving=saving)


def _saving(point: Point) -> float | None:
    return None if point.saving is None else point.saving.by_accesses


def _clean(measured: Measurement, alone: Alone | None) -> Clean:
    if alone is None or measured.generator is not None:
        return measured.clean
    known = Share(alone.accuracy) if alone.correct is None else share(alone.correct)
    return msgspec.structs.replace(measured.clean, generator_alone=known, alone_by=alone.by)


def _fresh_chips(used: Sequence[int]) -> tuple[int, ...]:
    """As many chips as were used, that had no part in anything before."""
    seeds = (seed for seed in EVALUATION_CHIPS if seed > max(used) or seed < min(used))
    return tuple(seed for seed, _ in zip(seeds, used, strict=False))


def _volts(strength: Strength) -> float | None:
    return None if strength.point is None else strength.point.volts


def _words(strength: Strength) -> str:
    volts = "" if strength.point is None else f"{strength.point.volts:.3f} Vmin"
    if strength.rate == 0:
        return "full voltage" if volts == "1.000 Vmin" else f"{volts}, where the curve states no errors"
    return f"{volts} (bit error rate {100 * strength.rate:.3g} %)"
