"""Voltage curves: supply voltage <-> bit error rate <-> energy of an access.

Between the points of a curve, the logarithm of the rate is linear in the voltage, and the energy is linear in the
square of the voltage. Beyond them a curve says nothing, unless it is asked to go on as its last two points do. Vmin
itself has no errors, which no logarithm reaches: between it and the lowest rate above 0 lies a gap that is beyond the
curve as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

from nfkit.errors import OptionError


@dataclass(frozen=True)
class CurvePoint:
    """A row of a curve; None where the source gives no number.

    Attributes:
        volts: Supply voltage over Vmin, the lowest voltage without errors.
        rate: Bit error rate.
        energy: Energy of an access over that at Vmin.
    """

    volts: float
    rate: float | None
    energy: float | None


@dataclass(frozen=True)
class OperatingPoint:
    """A voltage, and what follows from it by a curve.

    Attributes:
        volts: Supply voltage over Vmin.
        rate: Bit error rate.
        energy: Energy of an access over that at Vmin.
        curve: Name of the curve.
        extrapolated: Whether the point lies beyond the curve.
    """

    volts: float
    rate: float
    energy: float
    curve: str
    extrapolated: bool = False

    def __str__(self) -> str:
        beyond = ", extrapolated" if self.extrapolated else ""
        rate = f"bit error rate {100 * self.rate:.3g} %"
        return f"{self.volts:.3f} Vmin, {rate}, energy per access {self.energy:.3f}{beyond}"

    def to_dict(self) -> dict[str, Any]:
        """The point for a record."""
        return {
            "volts_over_vmin": self.volts,
            "bit_error_rate": self.rate,
            "energy_per_access": self.energy,
            "extrapolated": self.extrapolated,
        }


@dataclass(frozen=True)
class Curve:
    """What a memory does at lower voltage.

    Examples:
        >>> import nfkit
        >>> curve = nfkit.load_curve("stutz-2021")
        >>> print(curve.at_rate(0.01))
        0.848 Vmin, bit error rate 1 %, energy per access 0.701
        >>> curve.at_volts(0.5)
        Traceback (most recent call last):
            ...
        nfkit.errors.OptionError: 0.5 Vmin is beyond the voltage curve 'stutz-2021', which goes from 0.754 ...

    Attributes:
        name: Name of the curve.
        points: By rising voltage; the last one is Vmin itself: (1, 0, 1).
        source: Where the numbers come from.
        licence: On what terms.
        error: How exact they are.
        meaning: What its bit error rate counts, in words.
        flips_per_error: Bits that come back wrong for each error that the rate counts: 1 where it counts bits that
            flip, 0.5 where it counts stuck cells, half of which hold the right bit.
        picojoules: Energy of one access at Vmin in pJ, where the source states one.
        word_bits: Bits of such an access.
    """

    name: str
    points: tuple[CurvePoint, ...]
    source: str = ""
    licence: str = ""
    error: str = ""
    meaning: str = ""
    flips_per_error: float = 1.0
    picojoules: float | None = None
    word_bits: int | None = None

    def at_volts(self, volts: float, *, extrapolate: bool = False) -> OperatingPoint:
        """The operating point of a supply voltage.

        Args:
            volts: Supply voltage over Vmin.
            extrapolate: Whether to go on beyond the points.

        Raises:
            OptionError: When the curve does not reach so far.
        """
        if volts == 1.0:
            return OperatingPoint(1.0, 0.0, 1.0, self.name)
        rated = self._rated()
        within = rated[0].volts <= volts <= rated[-1].volts
        if not 0 < volts < 1 or not (within or extrapolate):
            raise OptionError(f"{volts:g} Vmin is beyond the voltage curve '{self.name}', {self._range()}")
        self._need_slope(volts, rated)
        rate = 10 ** _interpolate([(p.volts, log10(_known(p.rate))) for p in rated], volts)
        if rate > 0.5:
            raise OptionError(f"the curve '{self.name}' does not extend to {volts:g} Vmin: half of all bits would err")
        return self._point(volts, rate, extrapolate, beyond=not within)

    def at_rate(self, rate: float, *, extrapolate: bool = False) -> OperatingPoint:
        """The operating point of a bit error rate.

        Args:
            rate: Bit error rate per cell.
            extrapolate: Whether to go on beyond the points.

        Raises:
            OptionError: When the curve does not reach so far.
        """
        if rate == 0.0:
            return OperatingPoint(1.0, 0.0, 1.0, self.name)
        rated = self._rated()
        within = _known(rated[-1].rate) <= rate <= _known(rated[0].rate)
        if not 0 < rate < 1 or not (within or extrapolate):
            raise OptionError(
                f"a bit error rate of {100 * rate:g} % is beyond the voltage curve '{self.name}', {self._range()}"
            )
        if within and len(rated) == 1:
            return self._point(rated[0].volts, rate, extrapolate, beyond=False)
        self._need_slope(None, rated)
        volts = _interpolate([(log10(_known(p.rate)), p.volts) for p in reversed(rated)], log10(rate))
        if not 0 < volts < 1:
            raise OptionError(f"the curve '{self.name}' does not extend to a bit error rate of {100 * rate:g} %")
        return self._point(volts, rate, extrapolate, beyond=not within)

    def find_rate(self, rate: float, *, extrapolate: bool = False) -> OperatingPoint | None:
        """The operating point of a bit error rate; None where `at_rate` refuses."""
        try:
            return self.at_rate(rate, extrapolate=extrapolate)
        except OptionError:
            return None

    def volts_at_energy(self, energy: float) -> float | None:
        """The voltage at which an access costs so much; None beyond the curve."""
        points = [(_known(p.energy), p.volts**2) for p in self._priced()]
        if not points[0][0] <= energy <= points[-1][0]:
            return None
        return float(_interpolate(points, energy) ** 0.5)

    def to_dict(self) -> dict[str, Any]:
        """The curve for a record, without its points."""
        return {
            "name": self.name,
            "source": self.source,
            "licence": self.licence,
            "error": self.error,
            "rate": self.meaning,
        }

    def _rated(self) -> list[CurvePoint]:
        """Points with errors, of which there is at least one."""
        return [p for p in self.points if p.rate]

    def _priced(self) -> list[CurvePoint]:
        return [p for p in self.points if p.energy is not None]

    def _point(self, volts: float, rate: float, extrapolate: bool, *, beyond: bool) -> OperatingPoint:
        priced = self._priced()
        if volts < priced[0].volts:
            if not extrapolate:
                raise OptionError(
                    f"the voltage curve '{self.name}' states no energy below {priced[0].volts:g} Vmin, and this is "
                    f"{volts:.3f}: give a higher voltage, or --extrapolate"
                )
            beyond = True
        energy = _interpolate([(p.volts**2, _known(p.energy)) for p in priced], volts**2)
        return OperatingPoint(volts, rate, max(energy, 0.0), self.name, beyond)

    def _need_slope(self, volts: float | None, rated: list[CurvePoint]) -> None:
        if len(rated) == 1 and volts != rated[0].volts:
            raise OptionError(
                f"the voltage curve '{self.name}' has one point with errors, {rated[0].volts:g} Vmin at "
                f"{100 * _known(rated[0].rate):g} %, and so no slope to go on with: choose another --curve"
            )

    def _range(self) -> str:
        rated = self._rated()
        first, last = rated[0], rated[-1]
        if first is last:
            return (
                f"which knows {first.volts:g} Vmin (bit error rate {100 * _known(first.rate):g} %) and 1 (none) alone: "
                "choose another --curve"
            )
        return (
            f"which goes from {first.volts:g} to {last.volts:g} Vmin (bit error rates {100 * _known(first.rate):g} to "
            f"{100 * _known(last.rate):g} %), and 1 without errors: choose a value within, or give --extrapolate"
        )


def _known(number: float | None) -> float:
    assert number is not None
    return number


def _interpolate(points: Sequence[tuple[float, float]], x: float) -> float:
    """Piecewise linear through points of rising x, and on from the first and last two."""
    if len(points) == 1:
        return points[0][1]
    right = next((i for i in range(1, len(points) - 1) if points[i][0] >= x), len(points) - 1)
    (x0, y0), (x1, y1) = points[right - 1], points[right]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
