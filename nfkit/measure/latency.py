"""Latency of a base and its protected model in ONNX Runtime, measured by turns.

A processor that heats up, or shares its cores, slows down over seconds. Runs that alternate between the two models
meet the same processor, so their ratio keeps its meaning where either number alone drifts.

A model with early answers takes as long as the image wants it to. At batch 1 its times are therefore those of images:
each is run five times, its median counts, and the figures are over images. So what else the processor does is not taken
for what the model does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.errors import OptionError
from nfkit.graph.fusion.early import condition
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import split
from nfkit.parallel import cores

WARM_UP = 3  # rounds that are not counted: ONNX Runtime reserves memory in the first
_REPEATS = 5  # runs of an image whose median counts
_LEAST, _MOST = 20, 500  # counted rounds; a 95th percentile of fewer than 20 is no more than the slowest run


@dataclass(frozen=True)
class Percentiles:
    """How long one run takes.

    Attributes:
        p50_ms: Median in milliseconds.
        p95_ms: 95th percentile in milliseconds.
        mean_ms: Mean in milliseconds: what counts where some images take less than others, as with early answers.
    """

    p50_ms: float
    p95_ms: float
    mean_ms: float

    @classmethod
    def of(cls, milliseconds: Sequence[float] | npt.NDArray[np.float64]) -> Percentiles:
        """The percentiles of at least one run, interpolated linearly between runs."""
        times = np.asarray(milliseconds, np.float64)
        p50, p95 = np.percentile(times, (50, 95))
        return cls(float(p50), float(p95), float(times.mean()))


@dataclass(frozen=True)
class Latency:
    """Latency at one batch size.

    Attributes:
        batch: Samples of one run.
        rounds: How often each model ran, or how many images were timed.
        threads: Threads of one run.
        base: The bare base.
        protected: The protected model; None for a bare base.
    """

    batch: int
    rounds: int
    threads: int
    base: Percentiles
    protected: Percentiles | None

    @property
    def ratio(self) -> float | None:
        """Median of the protected model over that of the base."""
        return self.protected.p50_ms / self.base.p50_ms if self.protected is not None else None

    @property
    def mean_ratio(self) -> float | None:
        """Mean of the protected model over that of the base."""
        return self.protected.mean_ms / self.base.mean_ms if self.protected is not None else None

    def to_dict(self) -> dict[str, Any]:
        """The entry for a record."""
        entry: dict[str, Any] = {"rounds": self.rounds, "threads": self.threads, "base": asdict(self.base)}
        if self.protected is not None:
            entry |= {"protected": asdict(self.protected), "ratio": self.ratio, "mean_ratio": self.mean_ratio}
        return entry


def measure_latency(
    model: ir.Model,
    x: npt.NDArray[Any],
    *,
    batches: Sequence[int] = (1, 64),
    level: Level = "all",
    threads: int | None = None,
    seconds: float = 2.0,
) -> list[Latency]:
    """Measures how long a model takes, and by turns with it the base that it holds.

    Args:
        model: A base, or a fused model; not changed.
        x: Samples [M, ...] in the model's input space, at least one; each round takes the next of them, since a model
            with early answers takes longer for some than for others.
        batches: Batch sizes. A model of fixed batch is measured at that size instead.
        level: Optimisation level of ONNX Runtime.
        threads: Threads of one run; all cores by default.
        seconds: Time to spend on a batch size. At least 20 rounds are run, or images timed, however long they take.

    Raises:
        OptionError: When a batch size is below 1.
        ModelError: When ONNX Runtime fails.
    """
    if min(batches, default=0) < 1:
        raise OptionError("latency needs at least one batch size, each 1 or more")
    models = [split(model)[1], model] if is_fused(model) else [model]
    threads = threads or cores()
    runners = [Runner(each, level=level, threads=threads) for each in models]
    fixed = runners[0].fixed_batch
    entries = []
    for batch in dict.fromkeys([fixed] if fixed else batches):
        if batch == 1 and condition(model) is not None:
            times = by_image([partial(runner, batch=1) for runner in runners], x, seconds)
        else:
            times = alternate([_in_turn(runner, x, batch) for runner in runners], seconds)
        spreads = [Percentiles.of(row) for row in times]
        protected = spreads[1] if len(spreads) > 1 else None
        entries.append(Latency(batch, times.shape[1], threads, spreads[0], protected))
    return entries


def _in_turn(runner: Runner, x: npt.NDArray[Any], batch: int) -> Callable[[], object]:
    """Runs the next batch of the samples at every call, and begins again after the last."""
    parts = [x.take(range(start, start + batch), axis=0, mode="wrap") for start in range(0, len(x), batch)]
    rounds = cycle(parts)
    return lambda: runner(next(rounds), batch=batch)


def alternate(runs: Sequence[Callable[[], object]], seconds: float) -> npt.NDArray[np.float64]:
    """Times several things by turns: each once a round, in the same order in every round.

    Args:
        runs: What to time.
        seconds: Time to spend; 20 to 500 rounds are run, after three that are not counted.

    Returns:
        Milliseconds [runs, rounds].
    """
    for _ in range(WARM_UP):
        for run in runs:
            run()
    rounds: list[list[float]] = []
    end = time.perf_counter() + seconds
    while len(rounds) < _LEAST or (time.perf_counter() < end and len(rounds) < _MOST):
        rounds.append([_milliseconds(run) for run in runs])
    return np.array(rounds).T


def by_image(
    runs: Sequence[Callable[[npt.NDArray[Any]], object]], x: npt.NDArray[Any], seconds: float
) -> npt.NDArray[np.float64]:
    """Times several things on one image after the other, by turns.

    Args:
        runs: What to time, each given an image [1, ...].
        x: Images [M, ...].
        seconds: Time to spend; 20 images are timed at least, and all at most.

    Returns:
        Milliseconds [runs, images]: the median of five runs of each image.
    """
    for _ in range(WARM_UP):
        for run in runs:
            run(x[:1])
    images: list[npt.NDArray[np.float64]] = []
    end = time.perf_counter() + seconds
    for image in x[:, None]:
        if len(images) >= _LEAST and time.perf_counter() >= end:
            break
        times = [[_milliseconds(partial(run, image)) for run in runs] for _ in range(_REPEATS)]
        images.append(np.median(times, axis=0))
    return np.array(images).T


def _milliseconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - begun) / 1e6
