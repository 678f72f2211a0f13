"""Voltages that a plan tries: a grid on the voltage curve, from Vmin down to where the curve ends.

The grid is the same for every remedy, since a voltage says how many bits flip, whatever a remedy then makes of them;
what an access costs there is the remedy's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from nfkit.energy import Curve
from nfkit.faults.kinds import MAX_RATE
from nfkit.plans.operating_points import Scale, Strength

STEP = 0.01
"""Distance of the grid's voltages, of Vmin; as exact as the published curve was read."""

Price = Callable[[Strength], float]
"""Energy of the weight memory for an inference at an operating point, over that of the bare base at Vmin."""


@dataclass(frozen=True)
class Rung:
    """One voltage of the grid.

    Attributes:
        strength: The errors that are left there, and the voltage.
        energy: Energy of the weight memory for an inference, over that of the bare base at Vmin.
    """

    strength: Strength
    energy: float

    @property
    def volts(self) -> float:
        """Supply voltage over Vmin."""
        return 1.0 if self.strength.point is None else self.strength.point.volts


def grid(curve: Curve) -> tuple[float, ...]:
    """The voltages below Vmin at which a curve states both errors and energy, from the highest on.

    They lie on every 0.01 Vmin; the two ends are among them.
    """
    rated = [point.volts for point in curve.points if point.rate]
    priced = [point.volts for point in curve.points if point.energy is not None]
    low, high = max(rated[0], priced[0]), rated[-1]
    steps = range(math.ceil(round(low / STEP, 6)), math.floor(round(high / STEP, 6)) + 1)
    volts = {low, high, *(round(step * STEP, 6) for step in steps)} if low <= high else {high}
    return tuple(sorted(volts, reverse=True))


def ladder(scale: Scale, price: Price) -> tuple[Rung, ...]:
    """The operating points that a remedy can be run at, Vmin first, then by falling voltage.

    Args:
        scale: Errors that the remedy leaves, and the curve. Voltages whose errors exceed what the kind can have are
            left out.
        price: What the remedy's memory costs.

    Raises:
        OptionError: When the errors flip nothing, so that no voltage can be told by them.
    """
    highest = MAX_RATE * scale.curve_rate_per_rate
    possible = [volts for volts in grid(scale.curve) if not highest or scale.curve.at_volts(volts).rate <= highest]
    strengths = (scale.at_rate(0.0), *(scale.at_volts(volts) for volts in possible))
    return tuple(Rung(strength, price(strength)) for strength in strengths)
