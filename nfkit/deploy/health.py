"""How a device does, told by its canary: bit error rate, accuracy in each mode, and the mode to run in.

    switched = nfkit.Switched("switched.nf.onnx")
    health = nfkit.check_health("switched.canary.npz", switched)    # at start, after a change of voltage, at intervals
    print(health.sentence())                                        # switched is in the mode that was chosen

Nothing is simulated here: what simulated chips show was stored with the inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.stats import norm
from scipy.stats import t as student

from nfkit.access.base import Answers
from nfkit.access.switched import Switched
from nfkit.deploy.canary import Canary
from nfkit.errors import OptionError
from nfkit.graph.fusion.modes.record import NOMINAL
from nfkit.measure.device import DeviceEstimate, estimate_device

_NEIGHBOURS = 24
"""Simulated chips whose scatter about the curve gives an interval."""
_FLOOR = 1e-6


@dataclass(frozen=True)
class Health:
    """What a canary told.

    Attributes:
        device: The bit error rate, with its 95 % interval.
        accuracy: Expected accuracy by mode, with the 95 % interval of a chip that shows the same.
        mode: The mode to run in.
        least: Accuracy below which the voltage should be raised; None for any.
        beyond: Whether the device departs further than any simulated chip, so that its accuracy can be anything.
    """

    device: DeviceEstimate
    accuracy: dict[str, tuple[float, float, float]]
    mode: str
    least: float | None = None
    beyond: bool = False

    @property
    def suffices(self) -> bool:
        """Whether the expected accuracy in the chosen mode is no less than it should be."""
        return not self.beyond and (self.least is None or self.accuracy[self.mode][0] >= self.least)

    def to_dict(self) -> dict[str, Any]:
        """The findings for a record."""
        told = {name: {"mean": mean, "ci95": [low, high]} for name, (mean, low, high) in self.accuracy.items()}
        return {
            "device": self.device.to_dict(), "accuracy": told, "mode": self.mode, "least": self.least,
            "suffices": self.suffices, "beyond": self.beyond,
        }  # fmt: skip

    def sentence(self) -> str:
        """The findings in words."""
        mean, low, high = (100 * share for share in self.accuracy[self.mode])
        told = f"{self.device.sentence()}; mode '{self.mode}': accuracy {mean:.1f} % ({low:.1f} to {high:.1f})"
        if self.suffices:
            return told
        if self.beyond:
            return f"{told}; it departs further from the error-free answers than any simulated chip: raise the voltage"
        return f"{told}; that is less than {100 * (self.least or 0):.1f} %: raise the voltage"


def tell_health(
    canary: Canary, ask: Callable[[npt.NDArray[Any]], npt.NDArray[Any]], answers: Answers = "scores"
) -> Health:
    """Asks a device its canary.

    Args:
        canary: The canary of the file that runs there.
        ask: Gives the device's answers to inputs, in the nominal mode: scores [n, classes].
        answers: Whether these are scores, or stand for its best class.

    Raises:
        OptionError: When it answers with another shape, as another file does.
    """
    given = np.asarray(ask(canary.x))
    scores = given.reshape(len(given), -1).astype(np.float32)
    clean = canary.calibration.clean
    if scores.shape != clean.shape:
        raise OptionError(
            f"the device answers with shape {list(given.shape)}, its canary was made with {list(clean.shape)}: take "
            "the canary of the file that it runs"
        )
    device = estimate_device(canary.calibration, scores, answers)
    measure = device.best.measure
    shown = canary.calibration.departures[measure].ravel()
    at = device.best.departure
    told = canary.about.get("samples")
    samples = told if isinstance(told, int) and told > 0 else None
    accuracy = {
        name: _expected(shown, canary.accuracy[:, :, i].ravel(), at, canary.clean_accuracy[i], samples)
        for i, name in enumerate(canary.modes)
    }
    number = int(np.searchsorted(canary.rule[measure], at, side="right"))
    return Health(device, accuracy, canary.modes[number], canary.least, beyond=bool(at > shown.max()))


def look_after(switched: Switched, canary: Canary) -> Health:
    """Asks a file in ONNX Runtime its canary, and switches it to the mode that does best.

    Raises:
        OptionError: When the canary is that of another file.
    """
    if tuple(mode.name for mode in switched.modes) != canary.modes:
        raise OptionError("the canary was made for a file of other modes: build one for this file (nfkit canary)")
    before = switched.mode
    switched.mode = NOMINAL
    try:
        health = tell_health(canary, switched)
    except BaseException:
        switched.mode = before
        raise
    switched.mode = health.mode
    return health


def _expected(
    shown: npt.NDArray[np.float64], worth: npt.NDArray[np.float64], at: float, clean: float, samples: int | None
) -> tuple[float, float, float]:
    """Accuracy of a chip that shows a departure: mean, and 95 % prediction interval.

    All chips were measured on the same samples, so that their scatter among each other says nothing of what other
    samples would have given: a binomial variance over these comes on top.
    """
    logs, here = np.log(shown + _FLOOR), math.log(at + _FLOOR)
    if at <= 0:
        here = float(logs.min()) - 1.0
    order = np.argsort(logs, kind="stable")
    logs, worth = logs[order], worth[order]
    falling = isotonic_regression(worth, increasing=False).x
    mean = float(np.interp(here, logs, falling, left=max(clean, float(falling[0])), right=float(falling[-1])))
    near = np.argsort(np.abs(logs - here), kind="stable")[: min(_NEIGHBOURS, len(logs))]
    n = len(near)
    if here > logs[-1]:
        return mean, 0.0, max(mean, float(worth.max()))
    spread = math.sqrt(float(((worth[near] - falling[near]) ** 2).sum()) / (n - 1))
    of_chips = float(student.ppf(0.975, n - 1)) * spread * math.sqrt(1 + 1 / n)
    of_samples = 0.0 if samples is None else float(norm.ppf(0.975)) * math.sqrt(mean * (1 - mean) / samples)
    reach = math.hypot(of_chips, of_samples)
    return mean, max(0.0, mean - reach), min(1.0, mean + reach)
