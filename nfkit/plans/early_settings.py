"""Voltage, trust and threshold of early answers, chosen together: the least expected energy within a tolerance.

    energy = generator + (share of the images that need the base) x energy of the base at its voltage

A lower voltage makes the base cheaper, and leaves less of the tolerance to early answers; so the two are weighed
against each other. At each voltage the share of early answers is the largest at which the whole interval of the loss
lies within the tolerance, on images and chips that choose.

They are confirmed on others at that voltage, share by share: see `nfkit.plans.tolerance`. Since images are answered
early from the surest on, more of them is more risk, and the order of tests is settled before the first: it begins five
steps of share before the choice and ends where the choosing half itself loses more than is tolerated on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nfkit.graph.fusion.trust import Trust
from nfkit.measure.early import NEVER, sureness
from nfkit.measure.statistics import difference_interval
from nfkit.plans.ladder import Rung
from nfkit.plans.looked import Looked, Seen, Trusts
from nfkit.plans.rivals import Answers
from nfkit.plans.tolerance import STEERING_CHIPS, SURE, upper_end

SHARE_STEP = 0.02
"""Distance of the shares of early answers that are tried."""
STEPS_BACK = (5, 15)
"""Steps of share before the choice at which confirming begins, and begins again where it fails at once."""
_STRIDE = 3  # steps of the grid between voltages that are tried before the best is looked for among its neighbours
_PATIENCE = 2  # of those, how many may be dearer than the best before no lower voltage is tried


@dataclass(frozen=True)
class Setting:
    """How a file with early answers is run.

    Attributes:
        rung: The voltage.
        trust: How far base and evidence are trusted.
        threshold: Probability from which on the evidence answers alone; `NEVER` where the base always runs.
        energy: Expected energy of the weight memory on the half that chose, over that of the bare base at Vmin.
    """

    rung: Rung
    trust: Trust
    threshold: float
    energy: float

    @property
    def volts(self) -> float:
        """Supply voltage over Vmin."""
        return self.rung.volts


@dataclass(frozen=True)
class Path:
    """Settings from the safest on, as they are confirmed.

    Attributes:
        settings: By rising share of early answers.
        chosen: Index of the one that was chosen.
    """

    settings: tuple[Setting, ...]
    chosen: int


@dataclass(frozen=True)
class EarlyAnswers(Seen):
    """An examiner of settings for `nfkit.plans.tolerance`.

    Attributes:
        looked: Images and chips.
    """

    def answers(self, rung: Setting, chips: int) -> Answers:
        """Which images are right on the first so many chips, [chips, images]."""
        both = self.looked.both(rung.rung.strength.errors, chips, rung.trust)
        return np.where(self.looked.sure(rung.trust, rung.threshold), self.looked.alone, both)


class EarlyChoice:
    """Chooses settings on one half.

    Args:
        looked: The half that chooses.
        trusts: Trust at each voltage, fitted on it.
        rungs: The voltages; an energy is that of the base alone.
        added: Energy of the generator.
        tolerance: Largest loss of accuracy, as a share of the samples.
        confidence: How surely the loss has to be within it.
    """

    def __init__(
        self,
        looked: Looked,
        trusts: Trusts,
        rungs: Sequence[Rung],
        added: float,
        tolerance: float,
        confidence: float = SURE,
    ) -> None:
        self._looked, self._trusts, self._rungs = looked, trusts, rungs
        self._added, self._tolerance, self._confidence = added, tolerance, confidence
        self._exact: dict[int, Path | None] = {}

    def nominal(self) -> Path | None:
        """The settings at Vmin; None where no share is within the tolerance."""
        return self._at(0)

    def best(self) -> Path | None:
        """The settings of least energy at any voltage; None where none is within the tolerance.

        Few chips steer from the highest voltage downwards, in strides; all chips decide among the neighbours.
        """
        steered: dict[int, float] = {}
        for step in (0, *range(1, len(self._rungs), _STRIDE)):
            path = self._path(step, min(STEERING_CHIPS, len(self._looked.chips)))
            steered[step] = np.inf if path is None else path.settings[path.chosen].energy
            least = min(steered, key=lambda known: (steered[known], known))
            if list(steered).index(step) - list(steered).index(least) >= _PATIENCE:
                break
        here = min(steered, key=lambda known: (steered[known], known))
        while True:
            near = range(max(0, here - 1), min(len(self._rungs), here + 2))
            found = min(near, key=lambda step: (self._energy(step), step != here, step))
            if found == here:
                return self._at(here)
            here = found

    def _at(self, step: int) -> Path | None:
        if step not in self._exact:
            self._exact[step] = self._path(step, len(self._looked.chips))
        return self._exact[step]

    def _energy(self, step: int) -> float:
        path = self._at(step)
        return float("inf") if path is None else path.settings[path.chosen].energy

    def _path(self, step: int, chips: int) -> Path | None:
        """The settings at a voltage."""
        errors = self._rungs[step].strength.errors
        trust = self._trusts.at(errors, chips)
        first = self._with(step, chips, trust)
        if first is None:
            return None
        threshold = first.settings[first.chosen].threshold
        again = self._with(step, chips, self._trusts.where_unsure(errors, chips, trust, threshold))
        return min((p for p in (first, again) if p is not None), key=lambda path: path.settings[path.chosen].energy)

    def _with(self, step: int, chips: int, trust: Trust) -> Path | None:
        """The settings at a voltage, with this trust."""
        looked, rung = self._looked, self._rungs[step]
        both = looked.both(rung.strength.errors, chips, trust)
        sure = sureness(looked.evidence, trust)
        clean = looked.clean.astype(np.int8)
        settings: list[Setting] = []
        held, borne = -1, -1
        for index, threshold in enumerate(thresholds(sure)):
            early = sure >= threshold
            energy = self._added + float(1 - early.mean()) * rung.energy
            settings.append(Setting(rung, trust, threshold, energy))
            lost = clean - np.where(early, looked.alone, both).astype(np.int8)
            interval = difference_interval(lost)
            mean = float(lost.mean())
            surely = interval is not None and upper_end(mean, interval, self._confidence) <= self._tolerance
            held = index if surely else held
            borne = index if mean <= self._tolerance else borne
        return None if held < 0 else Path(tuple(settings[: max(held, borne) + 1]), held)


def thresholds(sure: npt.NDArray[np.float64]) -> list[float]:
    """Thresholds from `NEVER` downwards, each of which answers about `SHARE_STEP` more of the images.

    Args:
        sure: Largest probability of each image, [N].
    """
    shares = np.arange(SHARE_STEP, 1.0, SHARE_STEP)
    found = [round(float(value), 5) for value in np.quantile(sure, 1 - shares)]
    return [NEVER, *dict.fromkeys(found)]
