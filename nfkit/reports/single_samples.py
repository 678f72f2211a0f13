"""What single samples show of a model: what goes in, what the generator makes of it, and what three models answer.

Given by `nfkit.measure.single_samples`, and shown by `nfkit.reports.document.samples`. Arrays stay arrays: nothing of
it is kept in a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Which = Literal["clean", "base", "protected", "alone"]
"""What a model is, for its look in a picture."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Answers:
    """What a model answers.

    Attributes:
        name: What it is, in words.
        role: What it is, for its look.
        shares: Probability that it gives each class, [N, C].
    """

    name: str
    role: Which
    shares: Array

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """The class with the largest share, [N]."""
        best: npt.NDArray[np.int64] = self.shares.argmax(axis=1)
        return best


@dataclass(frozen=True)
class Bin:
    """Samples of which a model is about equally sure.

    Attributes:
        confidence: Its mean confidence in its answers.
        accuracy: Share of them that are right.
        count: How many samples.
    """

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Calibration:
    """Whether a model is as often right as it is sure.

    Attributes:
        answers: Whose.
        bins: By confidence, the empty ones left out.
        error: Expected calibration error, the mean distance of accuracy and confidence over samples.
    """

    answers: Answers
    bins: tuple[Bin, ...]
    error: float


@dataclass(frozen=True)
class ScoreMap:
    """Scores of several models in two dimensions.

    Attributes:
        samples: Which samples are mapped, [M].
        places: Where, [models, M, 2].
    """

    samples: npt.NDArray[np.int64]
    places: Array


@dataclass(frozen=True)
class FlippedBits:
    """Stored bits that one chip changes, by weight site and bit position.

    Attributes:
        sites: Names of the sites, in the order of the model.
        counts: How many codes of a site come back with that bit flipped, [sites, bits], bit 0 first; -1 where a site's
            codes have no such bit.
    """

    sites: tuple[str, ...]
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Looks:
    """A model on single samples, with the errors of one chip.

    Attributes:
        model: What it is called.
        data: What the samples are called.
        errors: The errors and the chip, in words.
        y: Labels [N].
        names: Names of the classes.
        images: Inputs [N, C, H, W] in [-1, 1]; None where the input is no image, or has no known range.
        transformed: The same as the generator changes them; None where it does not.
        base: The base without errors.
        faulty: The base with them.
        protected: The protected model with them; None for a bare base.
        evidence: The generator's own evidence; None where it has none.
        calibrations: Of the models that can be judged.
        score_map: Scores of base, faulty base and protected model in two dimensions; None where they were not mapped.
        notes: What was left out, and why.
        flipped: Which stored bits the chip changes; None where that was not counted.
    """

    model: str
    data: str
    errors: str
    y: npt.NDArray[np.int64]
    names: tuple[str, ...]
    images: Array | None
    transformed: Array | None
    base: Answers
    faulty: Answers
    protected: Answers | None = None
    evidence: Answers | None = None
    calibrations: tuple[Calibration, ...] = ()
    score_map: ScoreMap | None = None
    notes: tuple[str, ...] = ()
    flipped: FlippedBits | None = None

    @property
    def shown(self) -> tuple[Answers, ...]:
        """The models that are compared."""
        found = (self.base, self.faulty, self.protected)
        return tuple(answers for answers in found if answers is not None)

    @property
    def judged(self) -> Answers:
        """The model that is to be run: the protected one, or the faulty base where there is none."""
        return self.protected or self.faulty
