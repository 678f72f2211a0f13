"""Whether a model is as often right as it is sure.

Reliability by bins of equal width, and the expected calibration error over them: Guo et al., On calibration of modern
neural networks, ICML 2017, section 2.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nfkit.reports.single_samples import Answers, Bin, Calibration

BINS = 10


def calibrate(answers: Answers, y: npt.NDArray[np.int64]) -> Calibration:
    """Sorts the samples into bins by confidence.

    Args:
        answers: What the model answers.
        y: Labels [N].
    """
    confidence = answers.shares.max(axis=1)
    right = answers.classes == y
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = []
    for index in range(BINS):
        chosen = place == index
        if chosen.any():
            bins.append(Bin(float(confidence[chosen].mean()), float(right[chosen].mean()), int(chosen.sum())))
    error = sum(entry.count * abs(entry.accuracy - entry.confidence) for entry in bins) / len(y)
    return Calibration(answers, tuple(bins), error)
