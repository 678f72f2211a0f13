"""A base as it is: its accuracy on labelled samples, and how often it agrees with another one.

Nothing is injected: whatever answers, a file, a callable or a device behind an address, is measured in the state it is
in. The interval is that of a share of N samples (Wilson, 1927); it says nothing about other chips than the one asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.access.base import Base, Scores
from nfkit.data import Dataset
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.statistics import wilson


@dataclass(frozen=True)
class Share:
    """A share of samples, with its 95 % interval."""

    hits: int
    samples: int

    @property
    def value(self) -> float:
        """The share itself."""
        return self.hits / self.samples

    @property
    def ci95(self) -> tuple[float, float]:
        """Wilson's interval."""
        return wilson(self.hits, self.samples)

    def to_dict(self) -> dict[str, Any]:
        """The share for a record."""
        return {"value": self.value, "hits": self.hits, "samples": self.samples, "ci95": list(self.ci95)}

    def percent(self) -> str:
        """The share and its interval in percent."""
        low, high = self.ci95
        return f"{100 * self.value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


@dataclass(frozen=True)
class Answering:
    """What `measure_answers` measured.

    Attributes:
        accuracy: Share of samples whose highest score is their label.
        agreement: Share of samples that the reference gives the same class; None without one.
        reference: Accuracy of the reference; None without one.
        scores: The answers, [N, classes].
        reference_scores: Those of the reference.
    """

    accuracy: Share
    agreement: Share | None
    reference: Share | None
    scores: Scores
    reference_scores: Scores | None

    def to_dict(self) -> dict[str, Any]:
        """The numbers for a record."""
        named = {"accuracy": self.accuracy, "agreement": self.agreement, "clean_accuracy": self.reference}
        return {name: share.to_dict() for name, share in named.items() if share is not None}


def measure_answers(base: Base, data: Dataset, spec: InputSpec, reference: Base | None = None) -> Answering:
    """Asks a base for every sample.

    Args:
        base: What is measured.
        data: Labelled samples.
        spec: Its input.
        reference: What it should answer like: the same model without errors, say.

    Raises:
        DataError: When the data does not fit the base.
        AccessError: When the base does not answer, or not as it should.
    """
    data.check_labels(base.about.classes)
    x = spec.encode(data.x)
    scores = base(x)
    ours, theirs = best(scores), None
    agreement = known = known_scores = None
    if reference is not None:
        known_scores = reference(x)
        theirs = best(known_scores)
        agreement = Share(int((ours == theirs).sum()), len(data))
        known = Share(int((theirs == data.y).sum()), len(data))
    return Answering(Share(int((ours == data.y).sum()), len(data)), agreement, known, scores, known_scores)


def best(scores: Scores) -> npt.NDArray[np.int64]:
    """The class with the highest score, [N]."""
    classes: npt.NDArray[np.int64] = scores.argmax(axis=1)
    return classes
