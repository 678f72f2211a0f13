"""Intervals of an accuracy over chips and images.

An accuracy under bit errors is a mean over two samples at once: some chips out of all that will be made, and some
images out of all that will be seen. Every chip sees the same images, so the answers are a matrix chips x images with
crossed random effects,

    answer = mean + chip + image + rest,

and the variance of its mean is that of the two-way analysis of variance,

    (MS_chips + MS_images - MS_rest) / (chips x images),

with Satterthwaite's degrees of freedom (F. E. Satterthwaite, Biometrics Bulletin 2, 1946). An accuracy's interval is
made on the logit scale, by the delta method, since its distribution leans away from 0 and 1. Two systems on the same
chips and images are compared by the matrix of their differences. How often such intervals hold the truth is
measured in `benchmarks/coverage.py` and stated in docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from nfkit.reports.figures import Interval, Share, Spread, pack

LOW_QUANTILE = 0.1
"""The share of chips that are worse than `Spread.low`."""

_LEVEL = 0.95


def wilson(correct: int, count: int) -> Interval:
    """Wilson's 95 % interval of a share (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927).

    Args:
        correct: Samples that were right.
        count: All samples, at least one.
    """
    z = float(special.ndtri((1 + _LEVEL) / 2))
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


def difference_spread(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> Spread:
    """By how much one system is more accurate than another on the same chips and images.

    Args:
        one: Whether each chip is right about each image, [chips, images].
        other: The same of the other system; [1, images] where no chip changes it.
    """
    difference = one.astype(np.int8) - other.astype(np.int8)
    return _describe(difference.mean(axis=1), difference_interval(difference))


def accuracy_interval(correct: npt.NDArray[np.bool_]) -> Interval | None:
    """95 % interval of the mean accuracy over all chips and images; None for a single chip or image.

    Args:
        correct: Whether each chip is right about each image, [chips, images].
    """
    mean, variance, degrees = _two_way(correct)
    if degrees is None:
        return None
    if not 0 < mean < 1:  # nothing varies: what is left is what so many images could have missed
        return wilson(int(mean) * correct.shape[1], correct.shape[1])
    reach = _quantile(degrees) * math.sqrt(variance) / (mean * (1 - mean))
    centre = math.log(mean / (1 - mean))
    return _logistic(centre - reach), _logistic(centre + reach)


def difference_interval(difference: npt.NDArray[np.number]) -> Interval | None:
    """95 % interval of a mean difference over all chips and images; None for a single chip or image.

    Args:
        difference: -1, 0 or 1 for each chip and image, [chips, images].
    """
    mean, variance, degrees = _two_way(difference)
    if degrees is None:
        return None
    reach = _quantile(degrees) * math.sqrt(variance)
    return max(-1.0, mean - reach), min(1.0, mean + reach)


def chip_spread(values: Sequence[float]) -> Spread:
    """A figure over chips of which no single answers are known, so that there is no interval over images."""
    return _describe(np.asarray(values, np.float64), None)


def _two_way(answers: npt.NDArray[np.generic]) -> tuple[float, float, float | None]:
    """Mean of a matrix [chips, images], variance of that mean, and its degrees of freedom; None where undefined."""
    chips, images = answers.shape
    mean = float(answers.mean(dtype=np.float64))
    if chips < 2 or images < 2:
        return mean, math.nan, None
    by_chip, by_image = answers.mean(axis=1, dtype=np.float64), answers.mean(axis=0, dtype=np.float64)
    of_chips = images * float(np.square(by_chip - mean).sum())
    of_images = chips * float(np.square(by_image - mean).sum())
    squares = float(np.count_nonzero(answers))  # every entry is -1, 0 or 1
    rest = max(0.0, squares - answers.size * mean**2 - of_chips - of_images)
    square_chips, square_images = of_chips / (chips - 1), of_images / (images - 1)
    square_rest = rest / ((chips - 1) * (images - 1))
    # By chance the estimate may fall far below what the rest alone would give, or below zero. All of the rest as a
    # floor makes intervals too wide (98 % hold the truth), none too narrow; with half of it they are right.
    total = max(square_chips + square_images - square_rest, square_rest / 2)
    if total == 0:
        return mean, 0.0, float(chips - 1)
    parts = square_chips**2 / (chips - 1) + square_images**2 / (images - 1)
    parts += square_rest**2 / ((chips - 1) * (images - 1))
    return mean, total / answers.size, max(total**2 / parts, float(min(chips, images) - 1))


def _describe(by_chip: npt.NDArray[np.float64], interval: Interval | None) -> Spread:
    mean, worst = float(by_chip.mean()), float(by_chip.min())
    if len(by_chip) < 2:
        return Spread(mean, worst=worst)
    low = float(np.quantile(by_chip, LOW_QUANTILE))
    return Spread(mean, float(by_chip.std(ddof=1)), interval, worst, low)


def _quantile(degrees: float) -> float:
    return float(special.stdtrit(degrees, (1 + _LEVEL) / 2))


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
