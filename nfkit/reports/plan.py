"""The record of a plan: the least energy at which a model loses no more than is tolerated."""

from __future__ import annotations

from typing import Literal

import msgspec

from nfkit.reports.energy import CurveFacts
from nfkit.reports.figures import Share, Spread
from nfkit.reports.provenance import DataFacts, ModelFacts
from nfkit.reports.rendering import Overview, Readable, Table

Outcome = Literal["within", "not confirmed", "beyond"]
"""Whether the loss is surely within the tolerance where it was confirmed; was so only where the voltage was chosen; or
was so nowhere, Vmin included."""


class Untried(msgspec.Struct, frozen=True):
    """A remedy that was not tried.

    Attributes:
        name: Its name.
        reason: Why it was not.
    """

    name: str
    reason: str


class Option(msgspec.Struct, frozen=True, kw_only=True):
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

    @property
    def saving(self) -> float:
        """Share of the weight memory's energy that it saves."""
        return 1 - self.energy

    @property
    def within(self) -> bool:
        """Whether its loss is surely within the tolerance."""
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
        spared: Share of the images for which a fused file does not run its base; None where it always does.
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
    model: ModelFacts
    data: DataFacts
    versions: dict[str, str]
    spared: float | None = None
    warnings: tuple[str, ...] = ()
    command: str | None = None

    @property
    def chosen(self) -> Option | None:
        """The plan; None where nothing saves energy within the tolerance."""
        return None if self.best is None else self.options[self.best]

    def overview(self) -> Overview:
        """One row an option."""
        columns = ("remedy", "V/Vmin", "BER", "accuracy", "worst chip", "loss", "95 % interval", "energy saved")
        rows = [
            (
                option.name,
                f"{option.volts_over_vmin:.3f}",
                f"{100 * option.ber:.2g} %",
                option.accuracy.percent(),
                "–" if option.accuracy.worst is None else f"{100 * option.accuracy.worst:.1f}",
                f"{100 * option.loss.mean:.2f}",
                "–"
                if option.loss.ci95 is None
                else "{:.2f} to {:.2f}".format(*(100 * end for end in option.loss.ci95)),
                f"{100 * option.saving:.1f} %",
                option.outcome,
            )
            for option in self.options
        ]
        part = self.confirming
        title = (
            f"accuracy and loss in % (points), of the clean base {100 * part.clean.accuracy:.1f}, on {len(part.chips)} "
            f"chips and {part.images} images that had no part in choosing; energy of the weight memory by "
            f"{self.curve.name}; {self.kind} errors, {self.layout}"
        )
        reasons: dict[str, list[str]] = {}
        for entry in self.untried:
            reasons.setdefault(entry.reason, []).append(entry.name)
        notes = [f"not tried: {', '.join(names)}: {reason}" for reason, names in reasons.items()]
        if self.spared is not None:
            notes.insert(0, f"the base does not run for {100 * self.spared:.1f} % of these images: that is counted")
        return Overview(
            self.sentence, title, Table((*columns, "tolerance"), tuple(rows)), (*notes, *self.warnings)
        )  # fmt: skip

    def table(self) -> Table:
        """One row an option, unrounded."""
        names = ("name", "outcome", "volts_over_vmin", "ber", "flips", "energy", "saving")
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
