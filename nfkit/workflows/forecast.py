"""How long a call will take in all, said before it begins.

Runs of the base make up nearly all of it, so one of them is timed; how many there will be is known for a measurement,
and a matter of experience for a search of voltages and for what follows a training. An estimate, not a promise: the
record holds the time that it took.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.graph.input.spec import InputSpec
from nfkit.parallel import cores
from nfkit.progress import duration

WORTH_SAYING = 5.0
"""Seconds below which nobody needs to be told."""
_TIMED = 64
"""Samples of the run that is timed."""
_PLAN = 12
"""Runs of a remedy for every chip that chooses and confirms: a dozen steps of the grid, halves of the samples."""
_EXPORT = 15.0
"""Seconds to write a trained generator as a graph, twice, and to fuse it."""
_FITS = 40
"""Runs of faulty chips that trust is fitted on, around the rate of operation."""


@dataclass(frozen=True)
class Pace:
    """How fast a model runs here.

    Attributes:
        seconds: For a sample, on one core.
    """

    seconds: float

    @classmethod
    def of(cls, model: ir.Model, data: Dataset, spec: InputSpec, level: Level = "all") -> Pace:
        """Times a model on a few samples.

        Args:
            model: A base, or a fused model.
            data: Samples that fit it.
            spec: Its input.
            level: Optimisation level of ONNX Runtime.

        Raises:
            ModelError: When ONNX Runtime fails.
        """
        x = spec.encode(data.x[:_TIMED])
        runner = Runner(model, level=level, threads=1)
        runner(x)  # the first run allocates
        begun = time.perf_counter()
        runner(x)
        return cls((time.perf_counter() - begun) / len(x))

    def measuring(self, runs: int, samples: int) -> float:
        """Seconds of so many runs of all samples, one a core."""
        return runs * samples * self.seconds / min(cores(), max(1, runs))

    def planning(self, remedies: int, chips: int, samples: int) -> float:
        """Seconds of a search for the least energy, with half of the samples choosing and half confirming."""
        return self.measuring(_PLAN * remedies * chips, samples // 2)


def of_protection(
    pace: Pace, minutes: float | None, *, train: int, asked: bool, measured: int, rates: int, chips: int, planned: int
) -> str:
    """What a protection takes in all, as a sentence.

    Args:
        pace: How fast the base runs.
        minutes: Budget of the training; None where it goes by epochs.
        train: Samples that are trained on.
        asked: Whether the base is asked for its opinion of all of them.
        measured: Samples that the result is measured on.
        rates: Bit error rates that it is measured at.
        chips: Chips of each.
        planned: Remedies that are planned before and after; 0 where nothing is planned.
    """
    parts = {"training": 60 * minutes} if minutes is not None else {}
    if asked:
        parts["asking the base"] = pace.measuring(cores(), train) / cores()
    if planned:
        parts["planning"] = 2 * pace.planning(planned, chips, 2 * measured)
    parts["fitting and measuring"] = (
        _EXPORT + pace.measuring(_FITS, min(1000, measured)) + pace.measuring((2 * rates + 1) * chips, measured)
    )
    shown = ", ".join(f"{duration(seconds)} {name}" for name, seconds in parts.items() if seconds >= 1)
    total = duration(sum(parts.values()))
    if minutes is None:
        return f"about {total} besides the training, whose epochs take what they take: {shown}"
    return f"about {total} in all: {shown}"
