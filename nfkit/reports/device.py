"""The record of a file that was made for one device: what it gains there, and how it does elsewhere."""

from __future__ import annotations

import msgspec

from nfkit.reports.figures import Share, Spread
from nfkit.reports.provenance import DataFacts, ModelFacts
from nfkit.reports.rendering import Overview, Readable, Table


class Systems(msgspec.Struct, frozen=True):
    """Accuracies on one chip.

    Attributes:
        chip: Seed of the chip.
        base: The base by itself.
        general: The file that it was made from.
        own: The file for the device.
    """

    chip: int
    base: Share
    general: Share
    own: Share


class DeviceFile(
    Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.protect-device/1"
):
    """A protected file for one device.

    Attributes:
        output: The file.
        generator: Name of its generator.
        ber: Bit error rate that it is for.
        kind: What a faulty cell does.
        layout: How cells hold weights.
        clean: Accuracy of the base without errors.
        device: The device itself.
        others: Other chips at the same rate.
        gain: What the file gains on its device over the general one: an interval over images.
        held_out: Accuracy on held-out training images, with the general patterns and with its own.
        numbers: How many numbers were trained.
        steps: Steps of training.
        seconds: Time of training.
        seed: Seed of the training.
        interrupted: Whether Ctrl-C ended it.
        model: The general file.
        data: What was measured on.
        versions: Versions that numbers depend on.
        warnings: What is doubtful.
        command: The command line behind the record, if there was one.
    """

    output: str
    generator: str
    ber: float
    kind: str
    layout: str
    clean: Share
    device: Systems
    others: tuple[Systems, ...]
    gain: Spread
    held_out: tuple[float, float]
    numbers: int
    steps: int
    seconds: float
    seed: int
    model: ModelFacts
    data: DataFacts
    versions: dict[str, str]
    interrupted: bool = False
    warnings: tuple[str, ...] = ()
    command: str | None = None

    @property
    def sentence(self) -> str:
        """What the device gains."""
        gained = 100 * self.gain.mean
        low, high = self.gain.ci95 or (self.gain.mean, self.gain.mean)
        sure = "" if low > 0 else ", which is not sure" if gained > 0 else ": ship the general file"
        return (
            f"{self.output}: for chip {self.device.chip} alone, at a bit error rate of {100 * self.ber:.3g} %: "
            f"{100 * self.device.own.accuracy:.1f} % accurate there, the general file "
            f"{100 * self.device.general.accuracy:.1f} %; it gains {gained:.1f} points "
            f"({100 * low:.1f} to {100 * high:.1f}){sure}"
        )

    def overview(self) -> Overview:
        """One row a chip."""
        title = (
            f"accuracy in % on {self.data.n:,} samples of {self.data.name}; the base without errors "
            f"{100 * self.clean.accuracy:.1f}; {self.kind} errors, {self.layout}"
        )
        trained = (
            f"{self.numbers:,} numbers of {self.generator} were trained, {self.steps:,} steps in {self.seconds:.0f} s; "
            f"on held-out images {100 * self.held_out[0]:.1f} % before, {100 * self.held_out[1]:.1f} % after"
        )
        notes = [trained, "another chip has other faulty cells: the file is for its device alone"]
        notes += ["Ctrl-C ended the training early"] * self.interrupted
        return Overview(self.sentence, title, self.table(), (*notes, *self.warnings))

    def table(self) -> Table:
        """One row a chip."""
        rows = tuple(
            (
                f"{entry.chip}, the device" if entry is self.device else f"{entry.chip}",
                *(f"{100 * share.accuracy:.1f}" for share in (entry.base, entry.general, entry.own)),
            )
            for entry in (self.device, *self.others)
        )
        return Table(("chip", "base", "general file", "this file"), rows)
