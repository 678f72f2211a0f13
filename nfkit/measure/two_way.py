"""Two-way analysis of variance of answers, chips x images, with crossed random effects.

    answer = mean + chip + image + rest

The variance of the mean is (MS_chips + MS_images - MS_rest) / (chips x images), with Satterthwaite's degrees of freedom
(F. E. Satterthwaite, Biometrics Bulletin 2, 1946).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Sums(NamedTuple):
    """What the analysis of variance needs of a matrix [chips, images].

    Attributes:
        mean: Mean of all entries.
        by_chip: Mean of each row, [chips].
        by_image: Mean of each column, [images].
        squares: Sum of the squares of all entries.
    """

    mean: float
    by_chip: npt.NDArray[np.float64]
    by_image: npt.NDArray[np.float64]
    squares: float


def sums_of(answers: npt.NDArray[np.generic]) -> Sums:
    """The sums of a matrix whose entries are all -1, 0 or 1."""
    return Sums(
        float(answers.mean(dtype=np.float64)),
        answers.mean(axis=1, dtype=np.float64),
        answers.mean(axis=0, dtype=np.float64),
        float(np.count_nonzero(answers)),
    )


def mean_squares(sums: Sums) -> tuple[float, float, float] | None:
    """Mean squares of chips, of images and of the rest; None for a single chip or image."""
    chips, images = len(sums.by_chip), len(sums.by_image)
    if chips < 2 or images < 2:
        return None
    of_chips = images * float(np.square(sums.by_chip - sums.mean).sum())
    of_images = chips * float(np.square(sums.by_image - sums.mean).sum())
    rest = max(0.0, sums.squares - chips * images * sums.mean**2 - of_chips - of_images)
    return of_chips / (chips - 1), of_images / (images - 1), rest / ((chips - 1) * (images - 1))


def variance_of_mean(sums: Sums) -> tuple[float, float, float | None]:
    """Mean of a matrix [chips, images], variance of that mean, and its degrees of freedom; None where undefined."""
    mean, chips, images = sums.mean, len(sums.by_chip), len(sums.by_image)
    squares = mean_squares(sums)
    if squares is None:
        return mean, math.nan, None
    square_chips, square_images, square_rest = squares
    # By chance the estimate may fall far below what the rest alone would give, or below zero. All of the rest as a
    # floor makes intervals too wide (98 % hold the truth), none too narrow; with half of it they are right.
    total = max(square_chips + square_images - square_rest, square_rest / 2)
    if total == 0:
        return mean, 0.0, float(chips - 1)
    parts = square_chips**2 / (chips - 1) + square_images**2 / (images - 1)
    parts += square_rest**2 / ((chips - 1) * (images - 1))
    return mean, total / (chips * images), max(total**2 / parts, float(min(chips, images) - 1))
