"""The bit error rate of a device, estimated from its answers: what its voltage does, seen from outside.

The same model is simulated on many chips at several rates, and asked the same samples as the device. No labels are
needed: what is compared is by how much a chip departs from the model's error-free answers. Over the rates, the
logarithm of that departure is made monotone (isotonic regression) and interpolated; the device's rate is where it meets
the device's own.

Chips of one rate differ, by more than samples do. So the interval holds every rate at which a further chip may well
show what the device shows: where it lies within the 95 % prediction interval of the simulated chips (Student's t).

There are two departures. `scores`: the mean distance of the scores, in units of how far the classes' scores lie apart;
it sees small errors, and needs a device that computes like ONNX Runtime. `answers`: the share of samples that are given
another class; it asks for nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from scipy.optimize import isotonic_regression
from scipy.stats import t as student

from nfkit.access.base import Answers, Scores
from nfkit.access.chip import put_on_chip
from nfkit.access.runtime import Level
from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Chip, Layout
from nfkit.measure.answering import best
from nfkit.parallel import cores

RATES = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""Bit error rates that are simulated where no others are wanted."""

Measure = Literal["scores", "answers"]
_MEASURES: tuple[Measure, ...] = ("scores", "answers")
_LEAST = 3
"""Rates, and chips, that are the fewest to tell anything by."""
_SCORE_FLOOR = 1e-6
"""Distance of scores that counts as none."""


@dataclass(frozen=True)
class Calibration:
    """How far simulated chips depart from the error-free answers.

    Attributes:
        clean: The error-free scores, [N, classes].
        rates: Bit error rates, rising.
        departures: By measure, that of each chip, [rates, chips].
        settings: Kind and layout of the errors, and the chips' seeds.
    """

    clean: Scores
    rates: tuple[float, ...]
    departures: dict[Measure, npt.NDArray[np.float64]]
    settings: dict[str, Any]


@dataclass(frozen=True)
class RateEstimate:
    """A bit error rate, and the interval of rates that would show the same.

    Attributes:
        measure: What was compared.
        departure: How far the device departs from the error-free answers.
        rate: The estimate; 0 where it does not.
        low: Lower end of the 95 % interval.
        high: Upper end; infinite where the highest simulated rate would show the same.
    """

    measure: Measure
    departure: float
    rate: float
    low: float
    high: float

    def overlaps(self, other: RateEstimate) -> bool:
        """Whether a rate lies in the intervals of both."""
        return self.low <= other.high and other.low <= self.high

    def to_dict(self) -> dict[str, Any]:
        """The estimate for a record; an open end is null."""
        return {**vars(self), "high": None if math.isinf(self.high) else self.high}

    def sentence(self) -> str:
        """The estimate in words."""
        upper = "more than was simulated" if math.isinf(self.high) else f"{100 * self.high:.2g} %"
        return f"{100 * self.rate:.2g} %, 95 % interval {100 * self.low:.2g} % to {upper}, by its {self.measure}"


@dataclass(frozen=True)
class DeviceEstimate:
    """A device's bit error rate, by everything that it shows.

    Attributes:
        by_answers: By the classes that it gives.
        by_scores: By its scores; None where it gives none.
    """

    by_answers: RateEstimate
    by_scores: RateEstimate | None

    @property
    def contradictory(self) -> bool:
        """Whether its scores are of another rate than its answers, as those of another arithmetic are."""
        return self.by_scores is not None and not self.by_scores.overlaps(self.by_answers)

    @property
    def best(self) -> RateEstimate:
        """The sharper one that can be trusted."""
        return self.by_answers if self.by_scores is None or self.contradictory else self.by_scores

    def to_dict(self) -> dict[str, Any]:
        """The estimates for a record."""
        return {
            **self.best.to_dict(),
            "contradictory": self.contradictory,
            "estimates": [e.to_dict() for e in (self.by_scores, self.by_answers) if e is not None],
        }

    def sentence(self) -> str:
        """The estimates in words."""
        text = f"bit error rate {self.best.sentence()}"
        if self.contradictory and self.by_scores is not None:
            return (
                f"{text}; its scores say {self.by_scores.sentence()}, which contradicts it: the device seems to "
                "compute otherwise than ONNX Runtime, or to run another model"
            )
        return text if self.best is self.by_answers else f"{text} ({self.by_answers.sentence()})"


def calibrate(
    model: ir.Model,
    x: npt.NDArray[Any],
    clean: Scores,
    errors: BitErrors,
    layout: Layout,
    *,
    rates: Sequence[float] = RATES,
    chips: Sequence[int],
    level: Level = "all",
    on_rate: Callable[[float], None] = lambda rate: None,
) -> Calibration:
    """Simulates chips at several rates on the samples that a device is asked.

    Args:
        model: The model that runs on the device; not changed.
        x: Samples in its input space.
        clean: Its scores without errors, [N, classes].
        errors: Kind of the errors.
        layout: How chips hold weights.
        rates: Bit error rates to simulate, at least 3.
        chips: Seeds of the chips, at least 3.
        level: Optimisation level of ONNX Runtime.
        on_rate: Called with each rate that is done.

    Raises:
        OptionError: When there are too few rates or chips.
        ModelError: When the model stores no weights as integers.
    """
    rates = tuple(sorted({rate for rate in rates if rate > 0}))
    if len(rates) < _LEAST or len(chips) < _LEAST:
        raise OptionError(
            f"{len(rates)} bit error rates and {len(chips)} chips calibrate nothing: give at least {_LEAST} of each "
            "(--ber, --chips)"
        )
    settings = [(rate, seed) for rate in rates for seed in chips]
    workers = min(cores(), len(settings))

    def simulate(setting: tuple[float, int]) -> dict[Measure, float]:
        rate, seed = setting
        threads = max(1, cores() // workers)
        device = put_on_chip(model, Chip(seed, layout), errors.at(rate), level=level, threads=threads)
        return measure_departures(device.base(x), clean)

    found = []
    with ThreadPoolExecutor(workers) as pool:
        for departure in pool.map(simulate, settings):
            found.append(departure)
            if len(found) % len(chips) == 0:
                on_rate(settings[len(found) - 1][0])
    departures = {m: np.array([entry[m] for entry in found]).reshape(len(rates), len(chips)) for m in _MEASURES}
    named = {"faults": {**errors.to_dict(), "layout": str(layout)}, "rates": list(rates), "chips": list(chips)}
    return Calibration(clean, rates, departures, named)


def measure_departures(scores: Scores, clean: Scores) -> dict[Measure, float]:
    """How far answers depart from the error-free ones, by each measure; both are [N, classes]."""
    apart = float(np.abs(clean - clean.mean(axis=1, keepdims=True)).mean())
    return {
        "scores": float(np.abs(scores - clean).mean()) / (apart or 1.0),
        "answers": float((best(scores) != best(clean)).mean()),
    }


def estimate_rate(calibration: Calibration, scores: Scores, measure: Measure) -> RateEstimate:
    """The bit error rate at which chips depart as far from the error-free answers as a device does.

    Args:
        calibration: Of the model that runs on the device, on the samples that it was asked.
        scores: What it answered, [N, classes].
        measure: What to compare.
    """
    departure = measure_departures(scores, calibration.clean)[measure]
    floor = _SCORE_FLOOR if measure == "scores" else 0.5 / len(scores)
    shown, none = math.log(departure + floor), math.log(floor)
    seen = np.log(calibration.departures[measure] + floor)
    n, mean, spread = seen.shape[1], seen.mean(axis=1), seen.std(axis=1, ddof=1)
    # Few samples show the same on many chips: no less than the usual spread is believed.
    spread = np.maximum(spread, np.median(spread))
    reach = float(student.ppf(0.975, n - 1)) * math.sqrt(1 + 1 / n) * spread

    def meets(curve: npt.NDArray[np.float64]) -> float:
        return _invert(calibration.rates, isotonic_regression(curve).x, shown, none)

    rate = min(meets(mean), calibration.rates[-1]) if departure > 0 else 0.0
    low, high = meets(mean + reach), meets(mean - reach)
    return RateEstimate(measure, departure, rate, min(low, rate), max(high, rate))


def estimate_device(calibration: Calibration, scores: Scores, answers: Answers) -> DeviceEstimate:
    """The bit error rate of a device by all that it shows; the arguments are those of `estimate_rate`.

    Args:
        calibration: Of the model that runs on the device, on the samples that it was asked.
        scores: What it answered, [N, classes].
        answers: Whether these are scores, or stand for its best class.
    """
    by_scores = estimate_rate(calibration, scores, "scores") if answers == "scores" else None
    return DeviceEstimate(estimate_rate(calibration, scores, "answers"), by_scores)


def _invert(rates: Sequence[float], curve: npt.NDArray[np.float64], shown: float, none: float) -> float:
    """The rate at which a rising curve of log departures reaches a value; infinite where it never does."""
    if shown > curve[-1]:
        return math.inf
    above = int(np.argmax(curve >= shown))
    if above == 0:  # between no errors and the lowest rate, departures grow with the rate itself
        lowest = float(curve[0])
        return rates[0] * math.expm1(shown - none) / math.expm1(lowest - none) if lowest > none else 0.0
    below, next_ = float(curve[above - 1]), float(curve[above])
    part = (shown - below) / (next_ - below)
    return math.exp(math.log(rates[above - 1]) * (1 - part) + math.log(rates[above]) * part)
