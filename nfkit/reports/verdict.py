"""What a measurement recommends, as records hold it; `nfkit.plans.verdicts` decides it."""

from __future__ import annotations

from typing import Literal

import msgspec

from nfkit.reports.figures import Spread

Choice = Literal["pair", "base", "milder", "alone", "other", "none", "undecided"]
"""What is recommended: the protected model, the base as it is, the bare base at a milder voltage, the generator alone,
another remedy, none of them, or nothing yet, since the measurement cannot tell."""

Outcome = Literal["ahead", "behind", "undecided", "broken"]


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A protected model at one operating point against one rival that saves at least as much.

    Attributes:
        rival: What the rival is, in words that go into a sentence.
        kind: What it is, as a word: `base`, `alone`, `milder`, or that of another remedy.
        accuracy: Its mean accuracy.
        ahead: By how much the protected model is more accurate, paired by chip and image.
        ber: Bit error rate of the rival, where it runs at one.
        volts_over_vmin: Its supply voltage over Vmin, where that is known.
        saving: Share of the weight memory's energy that it saves; None where that is not known.
    """

    rival: str
    kind: str
    accuracy: float
    ahead: Spread
    ber: float | None = None
    volts_over_vmin: float | None = None
    saving: float | None = None


class Comparison(msgspec.Struct, frozen=True, omit_defaults=True):
    """A protected model at one operating point against all its rivals.

    Attributes:
        point: Index of the operating point in the record's `points`.
        outcome: `ahead` of every rival, `behind` one, `undecided`, or `broken`: hardly better than chance.
        accuracy: Mean accuracy of the protected model on the images that were compared.
        rivals: How it stands against each.
    """

    point: int
    outcome: Outcome
    accuracy: float
    rivals: tuple[Standing, ...]


class Confirmation(msgspec.Struct, frozen=True):
    """The recommended operating point, measured again on chips and images that had no part in choosing it.

    Attributes:
        chips: Seeds of the chips.
        images: Number of images.
        accuracy: Accuracy of the protected model there.
        holds: Whether it is ahead of every rival there too.
        rivals: How it stands against each.
    """

    chips: tuple[int, ...]
    images: int
    accuracy: Spread
    holds: bool
    rivals: tuple[Standing, ...]


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What to run, in one sentence, all rivals taken into account at once.

    Attributes:
        choice: What is recommended.
        sentence: The recommendation and its reason.
        point: Index of the recommended operating point in the record's `points`, where there is one.
        comparisons: What it rests on, one entry an operating point.
        confirmed: The recommended point measured afresh; None where nothing was chosen among several.
        unchecked: Rivals that were not compared, each with the reason.
    """

    choice: Choice
    sentence: str
    point: int | None = None
    comparisons: tuple[Comparison, ...] = ()
    confirmed: Confirmation | None = None
    unchecked: tuple[str, ...] = ()
