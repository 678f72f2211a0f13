"""The record of a plan: the least energy at which a model loses no more than is tolerated."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from nfkit.reports.energy import CurveFacts
from nfkit.reports.evaluation import describe_latency
from nfkit.reports.figures import Interval, Share, Spread
from nfkit.reports.provenance import DataFacts, ModelFacts
from nfkit.reports.rendering import Overview, Readable, Table

Outcome = Literal["within", "not confirmed", "beyond"]
"""Whether the loss is within the tolerance where it was confirmed; was so only where the voltage was chosen; or was so
nowhere, Vmin included: with the confidence that the plan was asked for."""


GENERATOR_NAMES = ("neuralfuse", "both-ends", "early", "early-at-vmin", "generator-alone")
"""What the names of remedies with a generator begin with."""


class Untried(msgspec.Struct, frozen=True):
    """A remedy that was not tried.

    Attributes:
        name: Its name.
        reason: Why it was not.
    """

    name: str
    reason: str


class Option(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A remedy at the lowest voltage that is within the tolerance, measured on chips and images that confirm it.

    Attributes:
        name: Its name, as `nfkit.remedies.registry.parse_remedy` reads it.
        sentence: What is done.
        needs: What the chip must be able to do.
        outcome: Whether it is within the tolerance.
        volts_over_vmin: Supply voltage over Vmin.
        ber: Bit error rate there, in errors of the kind a cell.
        flips: Share of the exposed bits that they flip.
        energy: Energy of the weight memory for an inference, over that of the bare base at Vmin.
        accuracy: Accuracy.
        loss: What it is less accurate than the clean base, paired by chip and image; below 0 where it is more.
        chosen_volts: The voltage that was chosen, before it was confirmed; None where none was within the tolerance.
        trust: How far base and generator are trusted: numbers of `nfkit.graph.fusion.trust.Trust`; None where not both
            answer.
        threshold: Probability from which on the generator answers alone; None where it never does.
        early: Share of the images that it does so for, with its interval; None without early answers.
        energy_ci95: 95 % interval of the energy, which is an expectation over images where some need no base.
    """

    name: str
    sentence: str
    needs: tuple[str, ...]
    outcome: Outcome
    volts_over_vmin: float
    ber: float
    flips: float
    energy: float
    accuracy: Spread
    loss: Spread
    chosen_volts: float | None
    trust: dict[str, float] | None = None
    threshold: float | None = None
    early: dict[str, float] | None = None
    energy_ci95: Interval | None = None

    @property
    def saving(self) -> float:
        """Share of the weight memory's energy that it saves."""
        return 1 - self.energy

    @property
    def uses_generator(self) -> bool:
        """Whether a generator has a part in it."""
        return self.name.partition(":")[0] in GENERATOR_NAMES

    @property
    def within(self) -> bool:
        """Whether its loss is within the tolerance with the confidence of the plan."""
        return self.outcome == "within"


class Part(msgspec.Struct, frozen=True):
    """Chips and images of one half.

    Attributes:
        chips: Seeds of the chips.
        images: Number of images.
        sha256: Digest over them and their labels.
        clean: Accuracy of the clean base on them.
    """

    chips: tuple[int, ...]
    images: int
    sha256: str
    clean: Share


class Plan(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.plan/1"):
    """What to do so that a model loses no more than is tolerated at the least energy.

    Attributes:
        sentence: The plan.
        tolerance: Largest loss of accuracy, as a share of the samples.
        confidence: How surely a loss had to be within it; 0.5 is the measured loss, 0.975 the upper end of its 95 %
            interval.
        likely: What would save clearly more than the plan if the measured loss alone decided; None where nothing would.
        sure: What saves most where the upper end of the interval decides; None where nothing does, or the plan is sure.
        best: Index of the plan in `options`; None where nothing saves energy within the tolerance.
        options: What was tried, the most saving first.
        untried: What was not, each with the reason.
        can: What the chip can do.
        choosing: Chips and images that chose.
        confirming: Chips and images that had no part in it, and gave all figures of `options`.
        grid: Supply voltages over Vmin that were open to choice.
        curve: Where they come from.
        kind: What a faulty cell does.
        set_share: Share of the errors that write a 1.
        layout: How cells hold weights.
        seed: Seed of the division into halves.
        latency: Times at batch 1 of the best option, where both ends answer, and of the bare base.
        model: Which model it was.
        data: Which samples.
        versions: Versions that numbers depend on.
        warnings: What is doubtful.
        command: The command line behind the record, if there was one.
    """

    sentence: str
    tolerance: float
    best: int | None
    options: tuple[Option, ...]
    untried: tuple[Untried, ...]
    can: tuple[str, ...]
    choosing: Part
    confirming: Part
    grid: tuple[float, ...]
    curve: CurveFacts
    kind: str
    set_share: float
    layout: str
    seed: int
    confidence: float = 0.975
    likely: Option | None = None
    sure: Option | None = None
    model: ModelFacts
    data: DataFacts
    versions: dict[str, str]
    latency: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    command: str | None = None

    @property
    def chosen(self) -> Option | None:
        """The plan; None where nothing saves energy within the tolerance."""
        return None if self.best is None else self.options[self.best]

    @property
    def of_file(self) -> Option | None:
        """The plan, or the best way within the tolerance to run base and generator together; None where none is."""
        ways = [option for option in self.options if option.within and option.trust is not None]
        return self.chosen if self.chosen in ways else max(ways, key=lambda option: option.saving, default=None)

    def brief(self) -> str:
        """The sentence, and what each remedy comes to in a few words, for where a table has no room."""
        told = "; ".join(
            f"{option.name} saves {100 * option.saving:.1f} % at {option.volts_over_vmin:.3f} Vmin and loses "
            f"{100 * option.loss.mean:.2f} points ({self._outcome(option)})"
            for option in self.options
        )
        return f"{self.sentence}\n{told}"

    def rows(self) -> tuple[tuple[Option, str], ...]:
        """What was tried, with what became of it in words; at the end what other confidences would decide for."""
        besides = ((self.likely, "by its mean"), (self.sure, "for sure"))
        return (
            *((option, self._outcome(option)) for option in self.options),
            *((option, word) for option, word in besides if option is not None),
        )

    def _outcome(self, option: Option) -> str:
        """In words: what was beyond the tolerance where it is chosen may be within where it is confirmed."""
        return "not chosen" if option.outcome == "beyond" and option.loss.mean <= self.tolerance else option.outcome

    def overview(self) -> Overview:
        """One row an option."""
        early = any(option.early for option, _ in self.rows())
        columns = ["remedy", "V/Vmin", "BER", "accuracy", "worst chip", "loss", "95 % interval"]
        columns += [*(["base runs"] if early else []), "energy saved"]
        rows = [(*_cells(option, early=early), word) for option, word in self.rows()]
        part = self.confirming
        title = (
            f"accuracy and loss in % (points), of the clean base {100 * part.clean.accuracy:.1f}, on "
            f"{_chips(part.chips)} and {part.images} images that had no part in choosing; energy of the weight memory "
            f"by {self.curve.name}; {self.kind} errors, {self.layout}"
        )
        reasons: dict[str, list[str]] = {}
        for entry in self.untried:
            reasons.setdefault(entry.reason, []).append(entry.name)
        notes = [f"not tried: {', '.join(names)}: {reason}" for reason, names in reasons.items()]
        if self.latency is not None:
            said = "; ".join(describe_latency(batch, entry) for batch, entry in self.latency.items())
            notes.insert(
                0, f"latency of the plan in ms, mean / median / 95th percentile, by turns with the base; {said}"
            )
        if self.confidence == 0.5:
            notes.insert(0, "within: the measured loss is; its interval may go beyond")
        else:
            notes.insert(0, f"within: with a confidence of {100 * self.confidence:g} %")
        if early:
            notes.insert(0, "base runs: share of the images that need the base; energy is an expectation over images")
        return Overview(
            self.sentence, title, Table((*columns, "tolerance"), tuple(rows)), (*notes, *self.warnings)
        )  # fmt: skip

    def table(self) -> Table:
        """One row an option, unrounded."""
        names = ("name", "outcome", "volts_over_vmin", "ber", "flips", "threshold", "energy", "saving")
        rows = [
            (
                *(getattr(option, name) for name in names),
                option.accuracy.mean,
                option.accuracy.worst,
                option.loss.mean,
                *(option.loss.ci95 or (None, None)),
            )
            for option in self.options
        ]
        return Table((*names, "accuracy", "worst", "loss", "loss_low", "loss_high"), tuple(rows))


def _cells(option: Option, *, early: bool) -> tuple[str, ...]:
    """An option in figures, as a row of the table shows it."""
    worst, ends = option.accuracy.worst, option.loss.ci95
    return (
        option.name,
        f"{option.volts_over_vmin:.3f}",
        f"{100 * option.ber:.2g} %",
        option.accuracy.percent(),
        "–" if worst is None else f"{100 * worst:.1f}",
        f"{100 * option.loss.mean:.2f}",
        "–" if ends is None else f"{100 * ends[0]:.2f} to {100 * ends[1]:.2f}",
        *([_runs(option)] if early else []),
        f"{100 * option.saving:.1f} %",
    )


def _runs(option: Option) -> str:
    """For which share of the images the base runs."""
    if option.early is not None:
        return f"{100 * (1 - option.early['share']):.1f} %"
    return "–" if option.name.startswith("generator-alone:") else "100 %"


def _chips(seeds: tuple[int, ...]) -> str:
    return f"chip {seeds[0]} alone" if len(seeds) == 1 else f"{len(seeds)} chips"
