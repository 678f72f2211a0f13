"""The record of a search: finished generators of several sizes, and those that no other one beats."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nfkit.errors import DataError
from nfkit.reports.energy import CurveFacts, Voltage
from nfkit.reports.figures import Spread
from nfkit.reports.plan import Option
from nfkit.reports.protection import Protection
from nfkit.reports.rendering import Overview, Readable, Table


class Found(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finished candidate at the bit error rate that it was trained for.

    Attributes:
        generator: Its name.
        output: Name of the fused file, in the folder of the search.
        overhead: Weight accesses of the generator over those of the base.
        saving: Share of the weight memory's energy that is saved.
        clean: Accuracy without errors.
        base: Accuracy of the faulty base.
        protected: Accuracy of the protected model.
        recovery: Their paired difference.
        alone: Accuracy of the generator by itself; None where that is not known.
        choice: What the candidate's own verdict recommends.
        sentence: That verdict.
        on_front: Whether no other candidate is as good in accuracy and saving, and better in one.
        reused: Whether an earlier run of the search had made it.
        plan: The least energy within the tolerance, where the search had one; None where nothing is within it.
        plan_sentence: The same in words.
    """

    generator: str
    output: str
    overhead: float
    saving: float
    clean: float
    base: Spread
    protected: Spread
    recovery: Spread
    alone: float | None = None
    choice: str = "undecided"
    sentence: str = ""
    on_front: bool = False
    reused: bool = False
    plan: Option | None = None
    plan_sentence: str = ""

    @classmethod
    def of(cls, record: Protection, *, reused: bool) -> Found:
        """The entry of a candidate, at its first operating point, that it was trained for.

        Raises:
            DataError: When the record says nothing of its energy.
        """
        measured = record.evaluation
        at = measured.points[0]
        if at.protected is None or at.recovery is None or at.saving is None or measured.energy is None:
            raise DataError(f"the record of '{record.output}' says nothing of a protected model's energy")
        plan = record.plan
        return cls(
            plan=None if plan is None or plan.best is None else plan.options[plan.best],
            plan_sentence="" if plan is None else plan.sentence,
            generator=record.generator,
            output=record.path.name,
            overhead=measured.energy.overhead,
            saving=at.saving.by_accesses,
            clean=measured.clean_protected or 0.0,
            base=at.base,
            protected=at.protected,
            recovery=at.recovery,
            alone=measured.alone,
            choice=measured.verdict.choice if measured.verdict else "undecided",
            sentence=measured.verdict.sentence if measured.verdict else "",
            reused=reused,
        )


class Search(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.search/2"):
    """What a search has found so far.

    Attributes:
        ber: Bit error rate that was trained for.
        voltage: The voltage that it stands for.
        curve: Where that comes from.
        points: The finished candidates.
        left_out: Names of candidates that read more than the budget.
        interrupted: Whether the last candidate's training was ended early, and the search with it.
        max_loss: Accuracy, a share, that may be lost, where every candidate was planned for that.
        folder: Where the files are; empty in the record, which lies beside them.
        command: The command line behind the record, if there was one.
    """

    ber: float
    voltage: Voltage | None = None
    curve: CurveFacts | None = None
    points: tuple[Found, ...] = ()
    left_out: tuple[str, ...] = ()
    interrupted: bool = False
    max_loss: float | None = None
    folder: str = ""
    command: str | None = None

    @property
    def front(self) -> tuple[Found, ...]:
        """The candidates that no other one beats."""
        return tuple(point for point in self.points if point.on_front)

    def path(self, found: Found) -> Path:
        """The file of a candidate."""
        return Path(self.folder, found.output)

    @property
    def best(self) -> Found | None:
        """The candidate whose plan saves most; None without a tolerance, or where nothing is within it."""
        planned = [point for point in self.points if point.plan is not None]
        return max(planned, key=lambda point: point.plan.saving if point.plan else 0.0, default=None)

    def overview(self) -> Overview:
        """One row a candidate: its plan where there is a tolerance, else what it is at the trained rate."""
        return self._at_the_trained_rate() if self.max_loss is None else self._within(self.max_loss)

    def _within(self, max_loss: float) -> Overview:
        columns = ("generator", "accesses of base", "plan", "V/Vmin", "accuracy", "loss", "base runs", "energy saved")
        rows = []
        for point in self.points:
            cells = ["stay at Vmin", *"–––––"]
            if (plan := point.plan) is not None:
                runs = "100 %" if plan.early is None else f"{100 * (1 - plan.early['share']):.1f} %"
                cells = [
                    plan.name, f"{plan.volts_over_vmin:.3f}", plan.accuracy.percent(), f"{100 * plan.loss.mean:.2f}",
                    runs, f"{100 * plan.saving:.1f} %",
                ]  # fmt: skip
            rows.append((point.generator, f"{100 * point.overhead:.1f} %", *cells))
        title = (
            f"the least energy at which at most {100 * max_loss:g} % of the answers are lost, one plan a generator; "
            "accuracy and loss in % (points), on images and chips that had no part in choosing"
        )
        best = self.best
        sentence = "" if best is None else best.plan_sentence
        if best is not None and best.plan is not None and best.plan.uses_generator:
            sentence = f"{best.generator}: {sentence}"
        notes = ("all plans were confirmed on the same images: the best of several is so partly by chance",)
        return Overview(sentence, title, Table(columns, tuple(rows)), notes if len(rows) > 1 else ())

    def _at_the_trained_rate(self) -> Overview:
        columns = ("generator", "accesses of base", "energy saved", "CA (NF)", "PA", "PA (NF)", "RP")
        rows = [
            (
                point.generator,
                f"{100 * point.overhead:.1f} %",
                f"{100 * point.saving:.1f} %",
                f"{100 * point.clean:.1f}",
                point.base.percent(),
                point.protected.percent(),
                point.recovery.percent(signed=True),
                "–" if point.alone is None else f"{100 * point.alone:.1f}",
                "yes" if point.on_front else "no",
            )
            for point in self.points
        ]
        at = f"{100 * self.ber:.3g} %" + (f" ({self.voltage.volts_over_vmin:.3f} Vmin)" if self.voltage else "")
        title = (
            f"at a bit error rate of {at}; accuracy in %, mean ± standard deviation over chips; clean (CA), perturbed "
            "(PA), with the generator (NF), recovered (RP)"
        )
        notes = [f"{point.generator}: {point.sentence}" for point in self.points if point.sentence]
        return Overview("", title, Table((*columns, "generator alone", "on front"), tuple(rows)), tuple(notes))

    def table(self) -> Table:
        """One row a candidate, unrounded."""
        names = ("generator", "output", "overhead", "saving", "clean", "alone", "choice", "on_front", "reused")
        spreads = ("base", "protected", "recovery")
        rows = [
            (*(getattr(p, name) for name in names), *(getattr(p, name).mean for name in spreads)) for p in self.points
        ]
        return Table((*names, *spreads), tuple(rows))
