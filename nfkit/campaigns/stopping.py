"""When a cell is known well enough, and what looking again and again costs.

A cell is looked at after `chips` chips, and then each time there are half as many more. At look k its interval has the
confidence 1 - 0.05 / (k (k + 1)): the probabilities to miss the truth, spent over all looks, add up to at most 5 % (the
sum of 1 / (k (k + 1)) is 1), whenever the rule ends. That is a spending rule after Bonferroni, which holds without any
assumption on how the looks depend on each other; the interval that is reported is the one of the look that ended it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scipy import special

from nfkit.campaigns.plan import CampaignPlan, Figure
from nfkit.measure.statistics import Tally

MISS = 0.05
"""Probability that a cell's interval misses the truth, over all looks."""

_GROWTH = 1.5


@dataclass(frozen=True)
class Look:
    """One look at a cell.

    Attributes:
        number: Which, from 1 on.
        chips: Chips that are measured by then.
        level: Confidence level of the interval.
    """

    number: int
    chips: int
    level: float


@dataclass(frozen=True)
class StopRule:
    """When a cell ends.

    Attributes:
        chips: Chips at the first look.
        until: Half width that is asked for; None to end at the first look.
        most: Chips at which it ends in any case.
        figure: Whose interval it is: that of the accuracy, or of the loss against the same file without errors.
    """

    chips: int
    until: float | None
    most: int
    figure: Figure = "accuracy"

    @classmethod
    def of(cls, plan: CampaignPlan) -> StopRule:
        """The rule of a plan."""
        return cls(plan.chips, plan.until, plan.most_chips, plan.figure)

    def looks(self) -> Iterator[Look]:
        """All looks that there may be, in order."""
        if self.until is None:
            yield Look(1, self.chips, 1 - MISS)
            return
        chips, number = min(self.chips, self.most), 1
        while True:
            yield Look(number, chips, 1 - MISS / (number * (number + 1)))
            if chips >= self.most:
                return
            chips, number = min(self.most, math.ceil(_GROWTH * chips)), number + 1

    def settles(self, tally: Tally, look: Look) -> bool:
        """Whether the interval is narrow enough at a look."""
        if self.until is None:
            return True
        interval = tally.interval(look.level)
        return interval is not None and (interval[1] - interval[0]) / 2 <= self.until

    def chips_needed(self, tally: Tally) -> int | None:
        """How many chips the cell will take, by the variances of those that are there; None where none are enough.

        Args:
            tally: A pilot: two chips at least.
        """
        for look in self.looks():
            if self.until is None or half_width(tally, look.chips, None, look.level) <= self.until:
                return look.chips
        return None

    def images_needed(self, tally: Tally) -> int | None:
        """How many images `most` chips would take, by the same variances; None where no number is enough."""
        if self.until is None:
            return tally.images
        chip, image, rest = tally.variances()
        *_, last = self.looks()
        left = (self.until / _normal(last.level)) ** 2 - chip / self.most
        return math.ceil((image + rest / self.most) / left) if left > 0 else None


def half_width(tally: Tally, chips: int, images: int | None, level: float) -> float:
    """Half width of the interval that so many chips and images are expected to give.

    Args:
        tally: A pilot: two chips at least.
        chips: Chips.
        images: Images; those of the pilot by default.
        level: Confidence level.
    """
    chip, image, rest = tally.variances()
    count = images or tally.images
    return _normal(level) * math.sqrt(chip / chips + image / count + rest / (chips * count))


def _normal(level: float) -> float:
    return float(special.ndtri((1 + level) / 2))
