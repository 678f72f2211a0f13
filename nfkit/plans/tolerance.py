"""The lowest voltage at which no more accuracy is lost than is tolerated, chosen and then confirmed.

Faults of one chip at a milder voltage are a part of those at a lower one, so accuracy falls with the voltage but for
chance, and bisection finds the last voltage that holds; few chips steer it, all chips decide. What decides is the upper
end of the paired two-way interval of the loss against the clean base, on images and chips that do the choosing.

Chips and images that had no part in it confirm the choice, by fixed sequences of tests: from two steps of the grid
above the chosen voltage downwards, until one fails; the last one that passed is the plan. So the order of tests is
settled before the first, and a sequence errs no more often than a single test does, in 2.5 % of the cases (as in
Angelopoulos et al., Learn then Test, 2021). Where its first test fails, a second begins five steps above the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from msgspec.structs import replace
from scipy.special import ndtr, ndtri

from nfkit.errors import OptionError
from nfkit.measure.statistics import accuracy_spread, difference_spread
from nfkit.plans.rivals import Answers
from nfkit.reports.figures import Interval, Spread

CONFIDENCE = 0.8
"""How surely a loss is within the tolerance unless more or less is asked for: four to one."""
MEASURED = 0.5
"""The confidence with which the measured loss alone decides."""
SURE = 0.975
"""That with which the upper end of a 95 % interval does."""
STEERING_CHIPS = 3
"""Chips that steer the bisection."""
STEPS_BACK = (2, 5)
"""Steps of the grid above the chosen voltage at which confirming begins, and begins again where it fails at once."""


Step = TypeVar("Step", contravariant=True)
"""How a system is run: at a voltage, or at one with settings of its own."""


S = TypeVar("S")


def upper_end(mean: float, ci95: Interval, confidence: float) -> float:
    """Below which a loss lies with some confidence.

    Args:
        mean: The measured loss.
        ci95: Its 95 % interval, whose upper end it is below with a confidence of 97.5 %.
        confidence: From 0.5, which gives the measured loss itself, to below 1.
    """
    if confidence == SURE:
        return ci95[1]
    return mean + (ci95[1] - mean) * float(ndtri(confidence) / ndtri(SURE))


def certainty(mean: float, ci95: Interval, tolerance: float) -> float:
    """The confidence with which a loss is within the tolerance: that whose `upper_end` the tolerance is.

    Args:
        mean: The measured loss.
        ci95: Its 95 % interval.
        tolerance: Largest loss, as a share of the samples.

    Returns:
        A probability: a half where the measured loss is the tolerance itself.
    """
    room = tolerance - mean
    end = ci95[1] - mean if room >= 0 else mean - ci95[0]
    if end == 0.0:
        return float(room >= 0)
    return float(ndtr(ndtri(SURE) * room / end))


def check_confidence(confidence: float) -> None:
    """Refuses what is no confidence.

    Raises:
        OptionError: When it is below a half, where a measured loss beyond the tolerance would do, or not below 1.
    """
    if not MEASURED <= confidence < 1:
        raise OptionError(
            f"a confidence of {confidence:g}: give a share from 50% (the measured loss decides) to below 100%"
        )


class Examiner(Protocol[Step]):
    """What answers for one system on one set of chips and images."""

    @property
    def chips(self) -> Sequence[int]:
        """Seeds of the chips."""

    @property
    def clean(self) -> Answers:
        """Which images the clean base gets right, [1, images]."""

    def answers(self, rung: Step, chips: int) -> Answers:
        """Which images the system gets right on the first so many chips, [chips, images]."""

    def independent(self, rung: Step) -> float:
        """As in `nfkit.measure.statistics.difference_interval`."""


@dataclass(frozen=True)
class Finding:
    """A system at one voltage.

    Attributes:
        step: Index of the voltage in the ladder.
        accuracy: Its accuracy.
        loss: What it is less accurate than the clean base; below 0 where it is more.
    """

    step: int
    accuracy: Spread
    loss: Spread

    def holds(self, tolerance: float, confidence: float = SURE) -> bool:
        """Whether the loss is within the tolerance with some confidence: by default, its whole interval is."""
        if self.loss.ci95 is None:
            return False
        return upper_end(self.loss.mean, self.loss.ci95, confidence) <= tolerance


@dataclass(frozen=True)
class Confirmed:
    """What a system's voltage came to.

    Attributes:
        chosen: Index of the lowest voltage that held where it was chosen; None where not even Vmin did.
        found: The voltage that is reported, on chips and images that had no part in choosing: the lowest that was
            confirmed, or the mildest that failed.
        holds: Whether it was confirmed.
    """

    chosen: int | None
    found: Finding
    holds: bool


def check_tolerance(tolerance: float) -> None:
    """Refuses a tolerance that is no share of the samples.

    Raises:
        OptionError: When it is below 0 or above 1.
    """
    if not 0 <= tolerance <= 1:
        raise OptionError(f"a loss of {tolerance:g} cannot be kept to: give a share of the samples, such as 0.01 or 1%")


def examine(examiner: Examiner[S], ladder: Sequence[S], step: int, chips: int | None = None) -> Finding:
    """Measures one voltage.

    Args:
        examiner: The system on chips and images.
        ladder: Its voltages.
        step: Index of the voltage.
        chips: How many chips; all by default.
    """
    answers = examiner.answers(ladder[step], len(examiner.chips) if chips is None else chips)
    return judge(step, examiner.clean, answers, examiner.independent(ladder[step]))


def judge(step: int, clean: Answers, answers: Answers, independent: float | None = None) -> Finding:
    """What answers [chips, images] come to against those of the clean base, [1, images]."""
    # The least loss of a chip is its best, so extremes are told of the accuracy alone.
    loss = replace(difference_spread(clean, answers, independent), worst=None, low=None)
    return Finding(step, accuracy_spread(answers), loss)


def choose(examiner: Examiner[S], ladder: Sequence[S], tolerance: float, confidence: float = SURE) -> int | None:
    """Index of the lowest voltage whose loss is surely within the tolerance; None where not even that of Vmin is.

    Args:
        examiner: The system on the chips and images that choose.
        ladder: Its voltages, by falling voltage.
        tolerance: Largest loss of accuracy, as a share of the samples.
        confidence: How surely the loss has to be within it.
    """
    few = min(STEERING_CHIPS, len(examiner.chips))
    good, bad = 0, len(ladder)
    while bad - good > 1:
        middle = (good + bad) // 2
        if examine(examiner, ladder, middle, few).loss.mean <= tolerance:
            good = middle
        else:
            bad = middle
    if not examine(examiner, ladder, good).holds(tolerance, confidence):
        milder = range(good - 1, -1, -1)
        return next((step for step in milder if examine(examiner, ladder, step).holds(tolerance, confidence)), None)
    while good + 1 < len(ladder) and examine(examiner, ladder, good + 1).holds(tolerance, confidence):
        good += 1
    return good


def confirm(
    examiner: Examiner[S],
    ladder: Sequence[S],
    chosen: int | None,
    tolerance: float,
    last: int | None = None,
    steps_back: Sequence[int] = STEPS_BACK,
    confidence: float = SURE,
) -> Confirmed:
    """Confirms a choice, or what is left of it.

    Args:
        examiner: The system on chips and images that had no part in choosing.
        ladder: Its voltages, or other steps that lose more and more.
        chosen: What was chosen.
        tolerance: Largest loss of accuracy, as a share of the samples.
        last: How far to go down while every test passes; to what was chosen by default.
        steps_back: How far above the choice to begin, and to begin again.
        confidence: How surely the loss has to be within the tolerance.
    """
    if chosen is None:
        return Confirmed(None, examine(examiner, ladder, 0), False)
    end = (chosen if last is None else last) + 1
    for back in steps_back:
        passed: Finding | None = None
        for step in range(max(0, chosen - back), end):
            found = examine(examiner, ladder, step)
            if not found.holds(tolerance, confidence):
                break
            passed = found
        if passed is not None:
            return Confirmed(chosen, passed, True)
        end = found.step
        if not end:
            break
    return Confirmed(chosen, found, False)
