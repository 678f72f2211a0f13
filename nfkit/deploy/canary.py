"""The canary: a few stored inputs by whose answers a device tells how its memory does at the voltage that it is at.

Simulated chips at rising bit error rates are asked the same inputs. What is kept is what they show (how far they
depart from the error-free answers) and what they are worth (accuracy in each mode of the file). A device that shows the
same is worth the same: that gives its rate, its accuracy and the best mode, without a label.

Inputs are chosen for what they tell. Their number of changed answers D has mean m(r) and variance v(r) over the chips
of a rate r; a statistic of that mean and variance holds (dm / d log r)^2 / v of Fisher information about log r. Inputs
are added one by one so that this, summed over rates near the one of operation, grows most. Inputs whose answers change
together add variance with their mean, so they are not taken twice. The chips that choose are not those that calibrate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from scipy.optimize import isotonic_regression

from nfkit.access.base import Scores
from nfkit.access.chip import put_on_chip
from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.errors import OptionError
from nfkit.faults import VALIDATION_CHIPS, BitErrors, Chip, Layout
from nfkit.graph.fusion.fused import EVIDENCE, GENERATOR_PREFIX, JOINT
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.modes.record import read_modes
from nfkit.graph.fusion.modes.taking import plain
from nfkit.graph.fusion.split import split
from nfkit.graph.fusion.trust import combine
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.device import Calibration, Measure, measure_departures
from nfkit.measure.early import sureness
from nfkit.parallel import cores

CHOOSING_CHIPS = VALIDATION_CHIPS[200:208]
CALIBRATING_CHIPS = VALIDATION_CHIPS[208:232]
"""Chips that no training, fit or measurement has seen."""
_RATES = 8
_BEYOND = 4.0  # how far rates reach below the lowest level and above the highest
_NEAR = 2.0  # in units of log rate: how fast rates count less, away from the one of operation
_SPREAD = 0.25  # answers: the least variance that is believed of few chips

Flips = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Canary:
    """Inputs, and what simulated chips show on them.

    Attributes:
        x: The inputs, [n, ...], as the file takes them.
        calibration: Error-free scores, rates, and departures of the simulated chips.
        modes: Names of the file's modes, the nominal one first.
        accuracy: Accuracy of each simulated chip in each mode, [rates, chips, modes].
        rule: By measure, the departures from which on the next mode is better, rising; one less than there are modes.
        clean_accuracy: Accuracy in each mode without errors.
        least: Accuracy below which the voltage should be raised; None for any.
        about: Which file, data and errors it was made for.
    """

    x: npt.NDArray[np.generic]
    calibration: Calibration
    modes: tuple[str, ...]
    accuracy: npt.NDArray[np.float64]
    rule: dict[Measure, list[float]]
    clean_accuracy: tuple[float, ...]
    least: float | None
    about: dict[str, object]


def build_canary(
    model: ir.Model,
    data: Dataset,
    spec: InputSpec,
    errors: BitErrors,
    layout: Layout,
    *,
    n: int = 32,
    least: float | None = None,
    chips: int = 16,
    level: Level = "all",
    about: dict[str, object] | None = None,
    on_chip: Callable[[float, int], None] = lambda rate, chip: None,
) -> Canary:
    """Chooses inputs and calibrates them.

    Args:
        model: A file with modes; not changed. Its canary is asked in the nominal mode, in which the base answers.
        data: Labelled samples, from which the inputs are chosen and on which accuracy is measured.
        spec: The file's input.
        errors: Errors at the rate of operation.
        layout: How chips hold weights.
        n: How many inputs to choose.
        least: Accuracy below which the voltage should be raised.
        chips: How many chips calibrate, at each of 8 rates.
        level: Optimisation level of ONNX Runtime.
        about: What to record of file and data.
        on_chip: Called with each simulated chip.

    Raises:
        OptionError: When there are fewer samples than inputs to choose, or the file has no modes.
        NfkitError: When the file cannot be run on the samples.
    """
    modes = read_modes(model)
    if len(modes) < 2:
        raise OptionError("the file has no modes between which a canary could choose: give it some (nfkit modes)")
    if not 3 <= chips <= len(CALIBRATING_CHIPS):
        raise OptionError(f"{chips} chips: give 3 to {len(CALIBRATING_CHIPS)}")
    if not 2 <= n <= len(data):
        raise OptionError(f"{n} inputs of {len(data)} samples: give 2 or more, and as many samples (--samples)")
    levels = [mode.ber for mode in modes[1:]]
    rates = tuple(float(r) for r in np.geomspace(min(levels) / _BEYOND, min(0.5, max(levels) * _BEYOND), _RATES))
    plant = Plant(model, data, spec, level)
    shown, worth = plant.simulate(errors, layout, rates, [*CHOOSING_CHIPS, *CALIBRATING_CHIPS[:chips]], on_chip)
    first = len(CHOOSING_CHIPS)
    chosen = choose(shown[:, :first].argmax(-1) != plant.clean.argmax(-1), rates, errors.rate, n)
    clean, seen = plant.clean[chosen], shown[:, first:, chosen]
    told = [[measure_departures(seen[r, c], clean) for c in range(chips)] for r in range(len(rates))]
    departures: dict[Measure, npt.NDArray[np.float64]] = {
        measure: np.array([[entry[measure] for entry in row] for row in told]) for measure in ("scores", "answers")
    }
    settings = {"faults": {**errors.to_dict(), "layout": str(layout)}, "chips": list(CALIBRATING_CHIPS[:chips])}
    accuracy = worth[:, first:]
    return Canary(
        x=plant.x[chosen],
        calibration=Calibration(clean, rates, departures, settings),
        modes=tuple(mode.name for mode in modes),
        accuracy=accuracy,
        rule={measure: find_rule(departures[measure], accuracy) for measure in departures},
        clean_accuracy=tuple(plant.worth(plant.clean, plant.clean_pushed)),
        least=least,
        about={**(about or {}), "level": level, "samples": len(data), "chosen": [int(i) for i in chosen]},
    )


def choose(flips: Flips, rates: Sequence[float], operating: float, n: int) -> npt.NDArray[np.int64]:
    """Inputs that tell most of the rate.

    Args:
        flips: Whether an answer is another than without errors, [rates, chips, inputs].
        rates: Bit error rates, rising.
        operating: The rate at which they shall tell most.
        n: How many to choose.

    Returns:
        Their indices, [n], the most telling first.
    """
    logs = np.log(rates)
    weights = np.exp(-(((logs - np.log(operating)) / _NEAR) ** 2))
    each = flips.astype(np.float64)
    # Few chips make a rough curve, and the roughest would look steepest: more errors change no fewer answers.
    curves = np.stack([isotonic_regression(curve).x for curve in each.mean(1).T], axis=1)  # [rates, inputs]
    slopes = np.gradient(curves, logs, axis=0)
    total, slope = np.zeros(flips.shape[:2]), np.zeros(len(logs))
    left, chosen = np.ones(flips.shape[2], np.bool_), list[int]()
    for _ in range(n):
        count = total[:, :, None] + each  # [rates, chips, inputs], had that input been taken
        steepness = slope[:, None] + slopes
        information = weights @ (steepness**2 / np.maximum(count.var(1, ddof=1), _SPREAD))
        best = int(np.argmax(np.where(left, information, -1.0)))
        chosen.append(best)
        left[best] = False
        total, slope = total + each[:, :, best], slope + slopes[:, best]
    return np.array(chosen, np.int64)


def find_rule(departures: npt.NDArray[np.float64], accuracy: npt.NDArray[np.float64]) -> list[float]:
    """From which departure on the next mode is better: the thresholds at which simulated chips do best.

    Args:
        departures: What chips show, [rates, chips].
        accuracy: What they are worth in each mode, [rates, chips, modes].

    Returns:
        One threshold less than there are modes, rising; infinite where a mode is never better.
    """
    shown = departures.ravel()
    order = np.argsort(shown, kind="stable")
    shown, worth = shown[order], accuracy.reshape(len(shown), -1)[order]
    count, modes = worth.shape
    summed = np.vstack([np.zeros(modes), np.cumsum(worth, axis=0)])
    # Cuts only between chips that show different things.
    allowed = np.concatenate([[True], shown[1:] > shown[:-1], [True]])
    best, origins = summed[:, 0].copy(), list[npt.NDArray[np.int64]]()
    for mode in range(1, modes):
        start = np.where(allowed, best - summed[:, mode], -np.inf)
        first = np.maximum.accumulate(start)
        origin = np.zeros(count + 1, np.int64)
        for end in range(1, count + 1):
            origin[end] = end if start[end] > first[end - 1] else origin[end - 1]
        origins.append(origin)
        best = summed[:, mode] + first
    cuts, end = list[float](), count
    for origin in reversed(origins):
        end = int(origin[end])
        cuts.append(float("inf") if end == count else 0.0 if end == 0 else float((shown[end - 1] + shown[end]) / 2))
    return cuts[::-1]


class Plant:
    """A file on chips: its base is run, and what its modes answer follows from that.

    Args:
        model: A file with modes; not changed.
        data: Labelled samples.
        spec: The file's input.
        level: Optimisation level of ONNX Runtime.
    """

    def __init__(self, model: ir.Model, data: Dataset, spec: InputSpec, level: Level = "all") -> None:
        file = plain(model)
        self._modes, self._y, self._level = read_modes(model), data.y, level
        self.answer, (prefix, self._base) = read_answer(file), split(file)
        self.x = spec.encode(data.x)
        names = [value.name for value in prefix.graph.outputs]
        seen = Runner(prefix, level=level).named(self.x, [str(name) for name in names])
        self._evidence = seen.get(GENERATOR_PREFIX + EVIDENCE)
        self._pushed = seen.get(JOINT)
        clean = Runner(self._base, level=level)
        self.clean = _flat(clean(self.x))
        self.clean_pushed = None if self._pushed is None else _flat(clean(self._pushed))

    def simulate(
        self,
        errors: BitErrors,
        layout: Layout,
        rates: Sequence[float],
        chips: Sequence[int],
        on_chip: Callable[[float, int], None],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Scores of the base, [rates, chips, N, classes], and accuracies in each mode, [rates, chips, modes]."""
        settings = [(rate, chip) for rate in rates for chip in chips]
        workers = min(cores(), len(settings))

        def run(setting: tuple[float, int]) -> tuple[Scores, list[float]]:
            rate, seed = setting
            threads = max(1, cores() // workers)
            base = put_on_chip(
                self._base, Chip(seed, layout), errors.at(rate), level=self._level, threads=threads
            ).base  # fmt: skip
            return self.ask(base)

        shown, worth = [], []
        with ThreadPoolExecutor(workers) as pool:
            for setting, (scores, accuracies) in zip(settings, pool.map(run, settings), strict=True):
                shown.append(scores)
                worth.append(accuracies)
                on_chip(*setting)
        extents = (len(rates), len(chips))
        return np.stack(shown).reshape(*extents, *shown[0].shape), np.array(worth).reshape(*extents, -1)

    def ask(self, base: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> tuple[Scores, list[float]]:
        """What a base says of the samples, [N, classes], and its accuracy in each mode."""
        scores = _flat(base(self.x))
        return scores, self.worth(scores, None if self._pushed is None else _flat(base(self._pushed)))

    def worth(self, scores: Scores, pushed: Scores | None) -> list[float]:
        """Accuracy in each mode, of the base's scores on the images and on what the generator makes of them."""
        found = [float((scores.argmax(1) == self._y).mean())]
        behind = scores if pushed is None else pushed
        for mode in self._modes[1:]:
            if self.answer is None or mode.trust is None or self._evidence is None:
                found.append(float((behind.argmax(1) == self._y).mean()))
                continue
            form = self.answer.form
            best = combine(form.log_scores(behind), self._evidence, mode.trust).argmax(1)
            if mode.threshold is not None:
                sure = sureness(self._evidence, mode.trust) >= mode.threshold
                best = np.where(sure, self._evidence.argmax(1), best)
            found.append(float((best == self._y).mean()))
        return found


def _flat(scores: npt.NDArray[np.generic]) -> Scores:
    return scores.reshape(len(scores), -1).astype(np.float32)
