"""What a faulty model answers, beside its labels and beside the model without errors.

An answer that errors change goes out like any other: nothing tells that it is wrong. So besides accuracy it counts how
many answers change (silent corruption), and in which direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

TOP = 5
"""Classes among which the label counts as found, where there are more."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """The answers of one model.

    Attributes:
        classes: The class with the highest score, [N]; -1 where a score is not a number.
        correct: Whether that is the label, [N].
        top: Whether the label is among the `TOP` highest, [N]; None where there are no more classes than that.
    """

    classes: npt.NDArray[np.int64]
    correct: Flags
    top: Flags | None

    @classmethod
    def of(cls, scores: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> Answers:
        """The answers in scores.

        Args:
            scores: One a class, [N, ...]; of equal scores the first class counts as the higher.
            labels: Class labels, [N].
        """
        flat = scores.reshape(len(scores), -1)
        best: npt.NDArray[np.int64] = flat.argmax(axis=1)
        unknown = (flat != flat).any(axis=1)  # not a number
        best[unknown] = -1
        top = None
        if flat.shape[1] > TOP:
            own = np.take_along_axis(flat, labels[:, np.newaxis], axis=1)
            first = np.arange(flat.shape[1]) < labels[:, np.newaxis]
            above = (flat > own) | ((flat == own) & first)
            top = (above.sum(axis=1) < TOP) & ~unknown
        return cls(best, best == labels, top)

    def changed(self, clean: npt.NDArray[np.int64]) -> Flags:
        """Whether each answer is another than that of the model without errors, [N]."""
        changed: Flags = self.classes != clean
        return changed
