"""What is fitted before evidence and base answer together: trust in both, and the threshold of early answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.data import Dataset
from nfkit.errors import DataError, ModelError, OptionError
from nfkit.measure.threshold import Threshold, choose_threshold
from nfkit.measure.trust import Fit, fit_trust

_FEWEST = 20  # samples below which four numbers cannot be fitted, nor anything be measured


def split_in_two(data: Dataset) -> tuple[Dataset, Dataset]:
    """Every other sample: those to fit on, and those to measure on.

    Raises:
        DataError: When there are too few.
    """
    if len(data) < 2 * _FEWEST:
        raise DataError(f"{data.name}: {len(data)} samples are too few to fit on and to measure: give {2 * _FEWEST}")
    return data.select(np.arange(0, len(data), 2)), data.select(np.arange(1, len(data), 2))


def fit_both(
    scores: npt.NDArray[Any], evidence: npt.NDArray[Any], data: Dataset, early_loss: float | None
) -> tuple[Fit, Threshold | None]:
    """Fits trust, and chooses a threshold for early answers.

    Args:
        scores: s of each faulty base, [chips, N, C], in log form.
        evidence: z, [N, C].
        data: The samples, for their labels.
        early_loss: Accuracy that early answers may cost, as a share; None for none.

    Raises:
        DataError: When there are too few samples.
        OptionError: When the loss is no share.
        ModelError: When generator and base tell different classes apart.
    """
    if len(data) < _FEWEST:
        raise DataError(f"{data.name}: {len(data)} samples are too few to fit trust on: give {_FEWEST} or more")
    if early_loss is not None and not 0 <= early_loss < 1:
        raise OptionError(f"--early-loss {early_loss}: give a share of the samples, such as 0.01")
    if scores.shape[-1] != evidence.shape[-1]:
        raise ModelError(
            f"the generator tells {evidence.shape[-1]} classes apart, the base {scores.shape[-1]}: its evidence is of "
            "no use to it"
        )
    fit = fit_trust(scores, evidence, data.y)
    if early_loss is None or fit.trust.weight == 0:
        return fit, None
    return fit, choose_threshold(scores, evidence, data.y, fit.trust, early_loss)
