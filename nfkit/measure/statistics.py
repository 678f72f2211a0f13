"""Intervals of an accuracy over chips and images.

An accuracy under bit errors is a mean over two samples at once: some chips out of all that will be made, and some
images out of all that will be seen. Every chip sees the same images, so the answers are a matrix chips x images with
crossed random effects (see `nfkit.measure.two_way`). An accuracy's interval is made on the logit scale, by the delta
method, since its distribution leans away from 0 and 1. Two systems on the same chips and images are compared by the
matrix of their differences, by the score interval of paired shares (T. Tango, Statistics in Medicine 17, 1998): where
few answers differ, the variance of those that do says little, so that at each end the variance is that of the
likeliest shares whose difference lies there. It is scaled by how far the answers depend on each other, the ratio of
the two-way variance to that of as many independent ones. How often intervals hold the truth is measured in
`benchmarks/coverage.py` and stated in docs/statistics.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from nfkit.measure.two_way import Sums, mean_squares, sums_of, variance_of_mean
from nfkit.reports.figures import Interval, Share, Spread, pack

LOW_QUANTILE = 0.1
"""The share of chips that are worse than `Spread.low`."""

_LEVEL = 0.95


def wilson(correct: int, count: int, level: float = _LEVEL) -> Interval:
    """Wilson's interval of a share, of 95 % by default (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927).

    Examples:
        >>> low, high = wilson(92, 100)
        >>> print(f"{low:.3f} to {high:.3f}")
        0.850 to 0.959

    Args:
        correct: Samples that were right.
        count: All samples, at least one.
        level: Confidence level.
    """
    z = float(special.ndtri((1 + level) / 2))
    mean, weight = correct / count, z**2 / count
    centre = (mean + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(mean * (1 - mean) / count + weight / (4 * count))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def share(correct: npt.NDArray[np.bool_]) -> Share:
    """The accuracy of answers [images] with its interval."""
    return Share(float(correct.mean()), wilson(int(correct.sum()), len(correct)), pack(correct))


def accuracy_spread(correct: npt.NDArray[np.bool_]) -> Spread:
    """The accuracy over chips.

    Args:
        correct: Whether each chip is right about each image, [chips, images].
    """
    return _describe(correct.mean(axis=1), accuracy_interval(correct))


def difference_spread(
    one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_], independent: float | None = None
) -> Spread:
    """By how much one system is more accurate than another on the same chips and images.

    Args:
        one: Whether each chip is right about each image, [chips, images].
        other: The same of the other system; [1, images] where no chip changes it.
        independent: As in `difference_interval`.
    """
    difference = one.astype(np.int8) - other.astype(np.int8)
    return _describe(difference.mean(axis=1), difference_interval(difference, independent))


def accuracy_interval(correct: npt.NDArray[np.bool_]) -> Interval | None:
    """95 % interval of the mean accuracy over all chips and images; None for a single chip or image.

    Args:
        correct: Whether each chip is right about each image, [chips, images].
    """
    return _accuracy_interval(sums_of(correct), _LEVEL)


class Tally:
    """Answers of chip after chip, of which no more is kept than what an interval needs.

    Args:
        images: Samples of each chip.
        differences: Whether the answers are differences between two systems, -1, 0 or 1, in place of rights and wrongs.
    """

    def __init__(self, images: int, *, differences: bool = False) -> None:
        self._by_image = np.zeros(images, np.int64)
        self._by_chip: list[int] = []
        self._squares, self._differences = 0, differences

    @property
    def chips(self) -> int:
        """Chips so far."""
        return len(self._by_chip)

    @property
    def images(self) -> int:
        """Samples of each."""
        return len(self._by_image)

    def add(self, answers: npt.NDArray[np.bool_] | npt.NDArray[np.int8]) -> None:
        """Counts a chip in.

        Args:
            answers: Whether it is right about each image, or the difference, [images].
        """
        self._by_image += answers
        self._by_chip.append(int(answers.sum()))
        self._squares += int(np.count_nonzero(answers))

    def interval(self, level: float = _LEVEL) -> Interval | None:
        """The interval of `accuracy_interval`, or of `difference_interval`, of a confidence level."""
        if self._differences:  # by errors, which chips have apart from each other
            return _difference_interval(self._all(), level, self.images * self.chips)
        return _accuracy_interval(self._all(), level)

    def spread(self, level: float = _LEVEL) -> Spread:
        """The figure over chips, with the interval of a confidence level."""
        return _describe(self._all().by_chip, self.interval(level))

    def variances(self) -> tuple[float, float, float]:
        """Variance of a single answer between chips, between images, and of the rest: estimates, at least 0.

        The variance of a mean over n chips and m images is chip / n + image / m + rest / (n m).

        Raises:
            ValueError: When there are fewer than two chips or images.
        """
        sums = self._all()
        squares = mean_squares(sums)
        if squares is None:
            raise ValueError("variances take two chips and two images")
        of_chips, of_images, rest = squares
        chips, images = len(sums.by_chip), len(sums.by_image)
        return max(0.0, (of_chips - rest) / images), max(0.0, (of_images - rest) / chips), rest

    def _all(self) -> Sums:
        by_chip, images = np.array(self._by_chip, np.float64), len(self._by_image)
        mean = float(by_chip.sum()) / max(1, images * self.chips)
        return Sums(mean, by_chip / images, self._by_image / max(1, self.chips), float(self._squares))


def _accuracy_interval(sums: Sums, level: float) -> Interval | None:
    mean, variance, degrees = variance_of_mean(sums)
    if degrees is None:
        return None
    if not 0 < mean < 1:  # nothing varies: what is left is what so many images could have missed
        images = len(sums.by_image)
        return wilson(int(mean) * images, images, level)
    reach = _quantile(degrees, level) * math.sqrt(variance) / (mean * (1 - mean))
    centre = math.log(mean / (1 - mean))
    return _logistic(centre - reach), _logistic(centre + reach)


def difference_interval(difference: npt.NDArray[np.number], independent: float | None = None) -> Interval | None:
    """95 % interval of a mean difference over all chips and images; None for a single chip or image.

    Args:
        difference: -1, 0 or 1 for each chip and image, [chips, images].
        independent: How many answers could have shown a difference by themselves, where none does: as many as there
            are images by default, all where chips err apart from each other, infinitely many where both systems are
            the same.
    """
    return _difference_interval(sums_of(difference), _LEVEL, independent)


def _difference_interval(sums: Sums, level: float, independent: float | None = None) -> Interval | None:
    mean, variance, degrees = variance_of_mean(sums)
    if degrees is None:
        return None
    differing = sums.squares / (len(sums.by_chip) * len(sums.by_image))
    spread = differing - mean**2  # variance of a single difference
    if spread <= 0:
        count = len(sums.by_image) if independent is None else independent
        weight = float(special.ndtri((1 + level) / 2)) ** 2 / count
        reach = weight / (1 + weight)
        return max(-1.0, mean - reach), min(1.0, mean + reach)
    scale = _quantile(degrees, level) ** 2 * variance / spread
    return -_score_end(-mean, differing, scale), _score_end(mean, differing, scale)


def _score_end(mean: float, differing: float, scale: float) -> float:
    """Upper end of a score interval: where (end - mean)^2 = scale x the variance of a difference whose mean is the end.

    Args:
        mean: Share of answers that differ upwards, less the share of those that do downwards.
        differing: Share of answers that differ.
        scale: Square of a quantile over the number of independent answers.
    """
    from scipy.optimize import brentq  # costs a tenth of a second, which a start need not wait for

    down = (differing - mean) / 2

    def beyond(end: float) -> float:
        # The likeliest share of downward differences, if the mean is `end`.
        linear = (2 - mean) * end - differing
        likeliest = (math.sqrt(max(0.0, linear**2 + 8 * down * end * (1 - end))) - linear) / 4
        return end - mean - math.sqrt(scale * max(0.0, 2 * likeliest + end * (1 - end)))

    return 1.0 if beyond(1.0) <= 0 else float(brentq(beyond, mean, 1.0, xtol=1e-12))


def value_spread(values: Iterable[npt.NDArray[np.floating[Any]]]) -> Spread:
    """A figure of any size that every chip has for every sample, with its two-way interval.

    The interval is of the mean, symmetric: nothing is known of where such figures end.

    Args:
        values: Chip by chip, [samples] each: a matrix, or what makes one row after the other.
    """
    by_chip, total, squares = list[float](), np.zeros(()), 0.0
    for row in values:
        by_chip.append(float(row.mean(dtype=np.float64)))
        total = total + row.astype(np.float64)
        squares += float(np.square(row, dtype=np.float64).sum())
    by_image = total / len(by_chip)
    sums = Sums(float(by_image.mean()), np.array(by_chip), by_image, squares)
    mean, variance, degrees = variance_of_mean(sums)
    if degrees is None:
        return _describe(sums.by_chip, None)
    reach = _quantile(degrees, _LEVEL) * math.sqrt(variance)
    return _describe(sums.by_chip, (mean - reach, mean + reach))


def whole_spread(values: Sequence[float]) -> Spread:
    """A figure that a chip has for all samples at once, with the interval of its mean over chips, by Student's t."""
    by_chip = np.asarray(values, np.float64)
    if len(by_chip) < 2:
        return _describe(by_chip, None)
    reach = _quantile(len(by_chip) - 1, _LEVEL) * float(by_chip.std(ddof=1)) / math.sqrt(len(by_chip))
    return _describe(by_chip, (float(by_chip.mean()) - reach, float(by_chip.mean()) + reach))


def metric_spread(values: Iterable[npt.NDArray[np.floating[Any]]]) -> Spread:
    """What a metric gives: of both, chips and samples, or over chips alone where it has one value for all samples.

    Args:
        values: Chip by chip, [samples] or [1] each; one chip at least.
    """
    rows = iter(values)
    first = next(rows)
    if first.size == 1:
        return whole_spread([float(row[0]) for row in itertools.chain([first], rows)])
    return value_spread(itertools.chain([first], rows))


def chip_spread(values: Sequence[float]) -> Spread:
    """A figure over chips of which no single answers are known, so that there is no interval over images."""
    return _describe(np.asarray(values, np.float64), None)


def _describe(by_chip: npt.NDArray[np.float64], interval: Interval | None) -> Spread:
    mean, worst = float(by_chip.mean()), float(by_chip.min())
    if len(by_chip) < 2:
        return Spread(mean, worst=worst)
    low = float(np.quantile(by_chip, LOW_QUANTILE))
    return Spread(mean, float(by_chip.std(ddof=1)), interval, worst, low)


def _quantile(degrees: float, level: float) -> float:
    return float(special.stdtrit(degrees, (1 + level) / 2))


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
