"""The record of a base that was asked and not opened: a model, or a device, behind an address, as it is."""

from __future__ import annotations

from typing import Any

import msgspec

from nfkit.reports.figures import Interval
from nfkit.reports.rendering import Overview, Readable, Table


class Part(msgspec.Struct, frozen=True):
    """A share of the samples.

    Attributes:
        value: The share.
        hits: Samples that are counted in.
        samples: All samples.
        ci95: Wilson's interval of the share, over samples.
    """

    value: float
    hits: int
    samples: int
    ci95: Interval

    def percent(self) -> str:
        """The share and its interval in percent."""
        return f"{100 * self.value:.1f} % ({100 * self.ci95[0]:.1f} to {100 * self.ci95[1]:.1f})"


class Asked(msgspec.Struct, frozen=True):
    """Which samples the base was asked for.

    Attributes:
        name: What messages call them.
        n: How many.
        sha256: Digest over them and their labels.
    """

    name: str
    n: int
    sha256: str


class FrontFacts(msgspec.Struct, frozen=True):
    """The front that the base was measured behind.

    Attributes:
        path: Its file.
        sha256: Digest of it.
        asked: Samples that it asked the base for.
        spared: Samples that it answered by itself.
    """

    path: str
    sha256: str
    asked: int
    spared: int


class CleanFacts(msgspec.Struct, frozen=True):
    """The same model without errors.

    Attributes:
        path: Its file.
        sha256: Digest of it.
        level: Optimisation level of ONNX Runtime.
    """

    path: str
    sha256: str
    level: str


class Answered(
    Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.evaluate-base/1"
):
    """How a base answers, in the state that it is in: nothing is injected.

    Attributes:
        base: Where it answers, what it says of itself, and what asking it took.
        data: Which samples.
        accuracy: Share of them that it is right about.
        agreement: Share that the model without errors classifies alike; None where that is not known.
        clean_accuracy: Accuracy of that model.
        front: The front that it was measured behind; None for none.
        clean: The model without errors; None where it is not known.
        chip_behind: Bit error rate of the device there, as estimated, and by what; None where it was not asked for.
        versions: Versions that numbers depend on.
        command: The command line behind the record, if there was one.
    """

    base: dict[str, Any]
    data: Asked
    accuracy: Part
    versions: dict[str, str]
    agreement: Part | None = None
    clean_accuracy: Part | None = None
    front: FrontFacts | None = None
    clean: CleanFacts | None = None
    chip_behind: dict[str, Any] | None = None
    command: str | None = None

    def overview(self) -> Overview:
        """Sentences alone: there is one figure, and no table of it."""
        first = (
            f"{self.base.get('address')}: accuracy {self.accuracy.percent()} on {self.accuracy.samples} samples of "
            f"{self.data.name}; 95 % interval over samples (Wilson), of this base as it is"
        )
        notes = []
        if self.agreement is not None and self.clean_accuracy is not None:
            notes.append(
                f"answers as the model without errors on {self.agreement.percent()}; that one's accuracy is "
                f"{self.clean_accuracy.percent()}"
            )
        if self.chip_behind is not None and "sentence" in self.chip_behind:
            notes.append(str(self.chip_behind["sentence"]))
        notes.append(describe_usage(self.base))
        if self.front is not None:
            share = self.front.asked / max(1, self.front.asked + self.front.spared)
            notes.append(f"behind {self.front.path}, which asked the base for {100 * share:.1f} % of the samples")
        return Overview(first, "", Table((), ()), tuple(notes))

    def table(self) -> Table:
        """One row a share, unrounded."""
        named = {"accuracy": self.accuracy, "agreement": self.agreement, "clean_accuracy": self.clean_accuracy}
        rows = [(name, part.value, *part.ci95, part.samples) for name, part in named.items() if part is not None]
        return Table(("share", "value", "low", "high", "samples"), tuple(rows))


def describe_usage(usage: dict[str, Any]) -> str:
    """What asking an endpoint took."""
    return (
        f"{usage.get('queries')} queries in {usage.get('calls')} calls, {usage.get('retries')} of them repeated; "
        f"{usage.get('known')} answers were known; {usage.get('queries_of_all_runs')} queries in all runs"
    )
