"""Bit error rates and the supply voltages that they stand for.

A rate counts errors of a kind, and a curve counts what its authors counted: bits that flip, or stuck cells of which
half hold the right bit. Between the two stands what both of them cause, bits that come back wrong:

    flips per cell = rate x flips per error of the kind = the curve's rate x flips per error of the curve
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from nfkit.energy import PLAIN, Curve, MemoryCells, OperatingPoint
from nfkit.energy.memory import NOT_COUNTED
from nfkit.errors import OptionError
from nfkit.faults import BitErrors
from nfkit.reports.energy import CurveFacts, MemoryFacts, Voltage

NEGLIGIBLE_RATE = 1e-5
"""Where a curve ends at fewer errors than this, a higher voltage counts as one without errors."""


@dataclass(frozen=True)
class Strength:
    """How strong errors are, and the voltage that they stand for.

    Attributes:
        errors: The errors.
        flips: Share of the stored bits that they flip on average.
        point: Where the base runs, by the curve, whose own rate it states; None where the curve knows no voltage.
    """

    errors: BitErrors
    flips: float
    point: OperatingPoint | None

    @property
    def rate(self) -> float:
        """Bit error rate, errors of the kind per cell."""
        return self.errors.rate

    def leaving(self, errors: BitErrors) -> Strength:
        """The same voltage, where a remedy leaves other errors than the memory has."""
        left = errors.rate / self.rate if self.rate else 1.0
        return replace(self, errors=errors, flips=left * self.flips)

    @property
    def voltage(self) -> Voltage | None:
        """The operating point, for a record."""
        if self.point is None:
            return None
        at = self.point
        return Voltage(at.volts, at.rate, at.energy, at.extrapolated)

    def describe(self) -> str:
        """The rate, and the voltage that it stands for."""
        rate = f"{100 * self.rate:.3g} %"
        return rate + (f" ({self.point.volts:.3f} Vmin by {self.point.curve})" if self.point else "")


@dataclass(frozen=True)
class Scale:
    """Translates between rates of one kind of errors, voltages and energies.

    Attributes:
        errors: The kind of errors, whatever their rate.
        flips_per_error: Stored bits that one of them flips on average; see `nfkit.measure.flips`.
        curve: The voltage curve.
        extrapolate: Whether points beyond the curve are taken.
        cells: Which cells of the base's weight memory follow the voltage. The energy of a point is that of an access
            to this memory; its voltage and its rate are those of the cells that do.
    """

    errors: BitErrors
    flips_per_error: float
    curve: Curve
    extrapolate: bool = False
    cells: MemoryCells = PLAIN

    @property
    def curve_rate_per_rate(self) -> float:
        """What the curve counts for each error of the kind."""
        return self.flips_per_error / self.curve.flips_per_error

    @property
    def facts(self) -> CurveFacts:
        """The curve, for a record."""
        return CurveFacts(**self.curve.to_dict())

    @property
    def memory(self) -> MemoryFacts | None:
        """The cells that do not follow the voltage, for a record; None where all do."""
        return None if self.cells == PLAIN else MemoryFacts(self.cells.robust, self.cells.check, NOT_COUNTED)

    def at_rate(self, rate: float) -> Strength:
        """Errors of a rate, with their voltage where the curve knows one."""
        point = self.curve.find_rate(rate * self.curve_rate_per_rate, extrapolate=self.extrapolate)
        return Strength(self.errors.at(rate), rate * self.flips_per_error, self._priced(point))

    def require(self, rate: float) -> OperatingPoint:
        """Where errors of a rate belong.

        Raises:
            OptionError: When the curve knows no voltage for it, saying what was looked up.
        """
        try:
            return self.curve.at_rate(rate * self.curve_rate_per_rate, extrapolate=self.extrapolate)
        except OptionError as error:
            flips = f"{self.errors.kind} errors at {100 * rate:g} % flip {100 * rate * self.flips_per_error:g} % of the"
            raise OptionError(f"{flips} bits, which is what a voltage is looked up by: {error}") from error

    def at_rates(self, rates: Iterable[float]) -> list[Strength]:
        """The same for several rates."""
        return [self.at_rate(rate) for rate in rates]

    def at_volts(self, volts: float) -> Strength:
        """Errors at a supply voltage over Vmin.

        Raises:
            OptionError: When the curve does not reach so far, or no such errors flip anything.
        """
        return self._of(self.curve.at_volts(volts, extrapolate=self.extrapolate))

    def at_energy(self, energy: float) -> Strength | None:
        """Errors where an access costs so much over one at Vmin; None where the curve does not say.

        Above the last voltage for which a curve states errors, where those are negligible, there are none.
        """
        low = self.cells.low(energy)
        if low is not None and low >= 1:
            return Strength(self.errors.at(0.0), 0.0, self._priced(OperatingPoint(1.0, 0.0, 1.0, self.curve.name)))
        volts = None if low is None else self.curve.volts_at_energy(low)
        if volts is None:
            return None
        try:
            return self._of(self.curve.at_volts(volts, extrapolate=self.extrapolate))
        except OptionError:
            last = next(p for p in reversed(self.curve.points) if p.rate)
            if volts < last.volts or (last.rate or 1.0) > NEGLIGIBLE_RATE:
                return None
            return Strength(self.errors.at(0.0), 0.0, OperatingPoint(volts, 0.0, energy, self.curve.name))

    def _priced(self, point: OperatingPoint | None) -> OperatingPoint | None:
        """A point of the curve, at what an access to this memory costs there."""
        return None if point is None else replace(point, energy=self.cells.energy(point.energy))

    def _of(self, point: OperatingPoint) -> Strength:
        if self.curve_rate_per_rate == 0:
            raise OptionError(
                f"errors of kind '{self.errors.kind}' with a set share of {self.errors.set_share:g} flip none of this "
                "model's bits, so no voltage can be told by them: give --ber"
            )
        errors = self.errors.at(point.rate / self.curve_rate_per_rate)
        return Strength(errors, errors.rate * self.flips_per_error, self._priced(point))
