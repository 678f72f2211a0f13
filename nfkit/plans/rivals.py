"""What a protected model has to beat, and how it stands against each.

A lower voltage saves more and errs more; a remedy takes back some of the errors and some of the saving. At an operating
point a protected model competes with everything that saves at least as much energy there: its own faulty base, its
generator without the base, and the bare base at the milder voltage at which it saves just as much. Another remedy's
rival is one more `Rival` in the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nfkit.measure.statistics import chip_spread, difference_spread
from nfkit.reports.figures import Spread
from nfkit.reports.verdict import Comparison, Outcome, Standing

Answers = npt.NDArray[np.bool_]
"""Whether a system is right about each image on each chip, [chips, images]; [1, images] where no chip changes it."""


@dataclass(frozen=True, eq=False)
class Rival:
    """What could be run in place of a protected model.

    Attributes:
        name: What it is, in words that go into a sentence, such as `the generator alone`.
        kind: What it is, as a word: `base`, `alone`, `milder`, or that of another remedy.
        answers: Its answers on the chips and images of the protected model; None where only its accuracy is known.
        accuracy: Its mean accuracy.
        saving: Share of the weight memory's energy that it saves; None where that is not known, and it then competes
            everywhere.
        ber: Bit error rate that it runs at, if it does.
        volts: Its supply voltage over Vmin, where that is known.
    """

    name: str
    kind: str
    answers: Answers | None
    accuracy: float
    saving: float | None = None
    ber: float | None = None
    volts: float | None = None

    @classmethod
    def of(
        cls,
        name: str,
        kind: str,
        answers: Answers,
        *,
        saving: float | None = None,
        ber: float | None = None,
        volts: float | None = None,
    ) -> Rival:
        """A rival of which all answers are known."""
        return cls(name, kind, answers, float(answers.mean()), saving, ber, volts)

    def seen_on(self, images: npt.NDArray[np.intp]) -> Rival:
        """The same on some of the images."""
        if self.answers is None:
            return self
        answers = self.answers[:, images]
        return Rival(self.name, self.kind, answers, float(answers.mean()), self.saving, self.ber, self.volts)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A protected model at one operating point, with its rivals there.

    Attributes:
        point: Index of the operating point.
        answers: The protected model's answers.
        saving: Share of the weight memory's energy that it saves; None where that is not known.
        rivals: What else could be run.
    """

    point: int
    answers: Answers
    saving: float | None
    rivals: tuple[Rival, ...]

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the protected model."""
        return float(self.answers.mean())

    def seen_on(self, images: npt.NDArray[np.intp]) -> Candidate:
        """The same on some of the images."""
        rivals = tuple(rival.seen_on(images) for rival in self.rivals)
        return Candidate(self.point, self.answers[:, images], self.saving, rivals)

    def compare(self, broken_below: float) -> Comparison:
        """Puts the protected model against its rivals, those that save less left out.

        Args:
            broken_below: Accuracy at and below which a model is of no use, whatever it beats.
        """
        standings = tuple(self._standing(rival) for rival in self.rivals if self._competes(rival))
        accuracy = self.accuracy
        outcome: Outcome = "broken" if accuracy <= broken_below else _outcome(standings)
        return Comparison(self.point, outcome, accuracy, standings)

    def _competes(self, rival: Rival) -> bool:
        if rival.saving is None or self.saving is None:
            return True
        return rival.saving >= self.saving - 1e-9  # equal savings come from two computations

    def _standing(self, rival: Rival) -> Standing:
        ahead = _ahead(self.answers, rival)
        return Standing(rival.name, rival.kind, rival.accuracy, ahead, rival.ber, rival.volts, rival.saving)


def _ahead(answers: Answers, rival: Rival) -> Spread:
    if rival.answers is not None:
        return difference_spread(answers, rival.answers)
    # Against a bare figure the images are not paired: the interval is that over the pair's chips and images.
    alone = difference_spread(answers, np.zeros_like(answers[:1]))
    centre = chip_spread([float(row.mean()) - rival.accuracy for row in answers])
    if alone.ci95 is None:
        return centre
    low, high = (end - rival.accuracy for end in alone.ci95)
    return Spread(centre.mean, centre.std, (low, high), centre.worst, centre.low)


def _outcome(standings: Sequence[Standing]) -> Outcome:
    if all(is_ahead(standing) for standing in standings):
        return "ahead"
    if any(standing.ahead.ci95 is not None and standing.ahead.ci95[1] <= 0 for standing in standings):
        return "behind"
    return "undecided"


def is_ahead(standing: Standing) -> bool:
    """Whether the protected model is surely more accurate: its lead's whole interval is above 0."""
    return standing.ahead.ci95 is not None and standing.ahead.ci95[0] > 0


def strongest(comparison: Comparison) -> Standing:
    """The rival that a protected model leads by least, or trails by most."""
    return min(comparison.rivals, key=lambda standing: standing.ahead.mean)
