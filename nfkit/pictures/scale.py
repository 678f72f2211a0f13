"""From values to places on a drawing, and the round numbers that an axis names."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from nfkit.pictures.charts import Axis


@dataclass(frozen=True)
class Scale:
    """Maps values to places.

    Attributes:
        low: Value at `begin`.
        high: Value at `end`.
        begin: A place on the drawing.
        end: Another one.
        logarithmic: Whether equal steps are equal factors.
    """

    low: float
    high: float
    begin: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value; of one beyond the ends, the end."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self, most: int) -> list[float]:
        """Round values within the ends, about so many."""
        return _factors(self.low, self.high) if self.logarithmic else _steps(self.low, self.high, most)


def fit(axis: Axis, values: Iterable[float], begin: float, end: float) -> Scale:
    """A scale that holds all values with a little room, but no value that has no meaning.

    Args:
        axis: Says which values have a meaning.
        values: At least one finite number.
        begin: Place of the low end.
        end: Place of the high end.
    """
    given = [value for value in values if not axis.logarithmic or value > 0]
    low, high = min(given), max(given)
    if axis.logarithmic:
        return Scale(low / 1.15, high * 1.15, begin, end, logarithmic=True)
    room = 0.05 * (high - low) or max(abs(high) * 0.05, 0.5)
    low, high = low - room, high + room
    # An end that has a meaning stays the end, even where a value lies on it.
    low = low if axis.low is None else max(low, axis.low)
    high = high if axis.high is None else min(high, axis.high)
    return Scale(low, high, begin, end) if low < high else Scale(low - 1, low + 1, begin, end)


def _steps(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _factors(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 2, 5) if last - first <= 3 else (1,)
    ticks = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
    return [tick for tick in ticks if low <= tick <= high]
