"""The record of a front for a base that only answers: what was trained, how trust was fitted, and what it is worth."""

from __future__ import annotations

from typing import Any

import msgspec

from nfkit.reports.answered import Part, describe_usage
from nfkit.reports.protection import SurrogateFacts
from nfkit.reports.rendering import Overview, Readable, Table


class WrittenFront(msgspec.Struct, frozen=True):
    """The file.

    Attributes:
        path: Where it is.
        sha256: Digest of it.
    """

    path: str
    sha256: str


class Worth(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a base answers samples that nothing was fitted on.

    Attributes:
        accuracy: Share that is right.
        agreement: Share that a reference classifies alike; None without one.
        clean_accuracy: Accuracy of the reference.
    """

    accuracy: Part
    agreement: Part | None = None
    clean_accuracy: Part | None = None


class Fronted(Readable, frozen=True, kw_only=True, tag_field="schema", tag="nfkit.protect-answers/1"):
    """A front, and what it is worth.

    Attributes:
        output: Its file.
        generator: Name of the generator.
        macs: Multiply-accumulate operations of its evidence, per sample.
        held_out: Accuracy of the evidence on samples held out of its training.
        labels: Whose labels it was trained on.
        why: Why it was made this way.
        fit: How far base and evidence are trusted, and how likely that makes the answers.
        threshold: From where on the evidence answers alone; None where the base is always asked.
        before: The base by itself.
        after: The same behind the front.
        asked: Share of those samples that the base was asked for.
        transform: Whether the base is asked the image that the generator made of it.
        surrogates: What it was trained through; empty for a generator that only looks.
        said: The same in words.
        base: Where the base answers, and what asking it took; None where that was not kept.
        command: The command line behind the record, if there was one.
    """

    output: WrittenFront
    generator: str
    macs: int
    held_out: float
    labels: str
    why: str
    fit: dict[str, Any]
    threshold: dict[str, Any] | None
    before: Worth
    after: Worth
    asked: float
    transform: bool = False
    surrogates: tuple[SurrogateFacts, ...] = ()
    said: tuple[str, ...] = ()
    base: dict[str, Any] | None = None
    command: str | None = None

    def overview(self) -> Overview:
        """Sentences, and accuracy with and without the front."""
        rows = [
            (name, worth.accuracy.percent(), f"{100 * share:.1f} %")
            for name, worth, share in (("base", self.before, 1.0), ("behind the front", self.after, self.asked))
        ]
        first, *rest = self.said or [f"{self.output.path}: {self.generator}"]
        if self.base is not None:
            rest.append(describe_usage(self.base))
        return Overview(first, "", Table(("", "accuracy", "base asked for"), tuple(rows)), tuple(rest))

    def table(self) -> Table:
        """One row with the front and one without, unrounded."""
        parts = (("base", self.before.accuracy, 1.0), ("front", self.after.accuracy, self.asked))
        rows = [(name, part.value, *part.ci95, part.samples, asked) for name, part, asked in parts]
        return Table(("what", "accuracy", "low", "high", "samples", "asked"), tuple(rows))
