"""What a generator saves, and what it costs.

The base runs at low voltage and the generator, which must not err, at the nominal one. Against the base alone at the
nominal voltage the two save

    ES = 1 - e(V) - A_generator / A_base

of the energy, where e(V) is the energy of an access at the voltage V over the nominal one, and A counts the accesses to
the weight memory, or (MAC-ES) the multiply-accumulate operations (Sun et al., NeuralFuse, NeurIPS 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nfkit.energy.count import Count
from nfkit.energy.voltage import Curve, OperatingPoint
from nfkit.errors import ModelError, OptionError

GENERATOR_BITS = 8
"""Bits of a generator's weights, as `protect` writes them by default."""


@dataclass(frozen=True)
class BreakEven:
    """Where a generator costs as much as it saves: it pays below this voltage.

    Attributes:
        volts: Supply voltage over Vmin.
        rate: Bit error rate of the curve there; None where it states none.
        flips: Share of the bits that come back wrong there.
    """

    volts: float
    rate: float | None
    flips: float | None = None

    def __str__(self) -> str:
        flips = "" if self.flips is None else f", where {100 * self.flips:.3g} % of the bits flip"
        return f"{self.volts:.3f} Vmin{flips}"


@dataclass(frozen=True)
class Saving:
    """A base at low voltage behind a generator at the nominal one, against the base alone at the nominal one.

    Attributes:
        name: Name of the generator.
        base: What an inference of the base costs.
        generator: What the generator adds to it, counted for the same array.
        point: Where the base runs.
        curve: Where the point comes from.
    """

    name: str
    base: Count
    generator: Count
    point: OperatingPoint
    curve: Curve

    @property
    def overhead(self) -> float:
        """Accesses of the generator over those of the base."""
        return self.generator.accesses / self.base.accesses

    @property
    def by_accesses(self) -> float:
        """Share of the weight memory's energy that is saved; below 0 where it costs more."""
        return energy_saving(self.point.energy, self.generator.accesses, self.base.accesses)

    @property
    def by_macs(self) -> float:
        """The same with operations in place of accesses."""
        return energy_saving(self.point.energy, self.generator.macs, self.base.macs)

    @property
    def pays(self) -> bool:
        """Whether the pair saves energy by accesses."""
        return self.by_accesses > 0

    @property
    def break_even(self) -> BreakEven | None:
        """Where the pair costs as much as the base alone, by accesses; None where that is beyond the curve."""
        volts = self.curve.volts_at_energy(1 - self.overhead)
        if volts is None:
            return None
        try:
            rate = self.curve.at_volts(volts).rate
            return BreakEven(volts, rate, rate * self.curve.flips_per_error)
        except OptionError:  # a stated energy, but no stated rate
            return BreakEven(volts, None)

    @property
    def verdict(self) -> str:
        """What a user should know before training, in one sentence."""
        flips = self.point.rate * self.curve.flips_per_error
        at = f"at {self.point.volts:.3f} Vmin, where {100 * flips:.3g} % of the bits flip"
        parts = (
            f"the voltage saves {100 * (1 - self.point.energy):.1f} % of the weight memory's energy, "
            f"the generator's reads cost {100 * self.overhead:.1f} %"
        )
        if self.pays:
            text = f"{self.name} saves {100 * self.by_accesses:.1f} % {at}: {parts}"
        else:
            text = f"{self.name} costs more than it saves {at}: {parts}; {self._remedy()}"
        if self.pays and self.by_macs < 0:
            text += f" (by operations it costs {-100 * self.by_macs:.1f} % more than it saves)"
        if missing := len(self.base.uncounted) + len(self.generator.uncounted):
            text += f" ({missing} operator{'s' * (missing > 1)} could not be counted)"
        return text

    def picojoules(self) -> dict[str, float] | None:
        """Energy of the weight memory for one inference in pJ; None where the curve states none for such words.

        Returns:
            The base alone at the nominal voltage, the base at the point, and the protected pair.
        """
        if self.curve.picojoules is None or self.curve.word_bits not in (None, self.base.array.word_bits):
            return None
        nominal = self.base.accesses * self.curve.picojoules
        low = nominal * self.point.energy
        return {
            "base_nominal": nominal,
            "base": low,
            "protected": low + self.generator.accesses * self.curve.picojoules,
        }

    def to_dict(self) -> dict[str, Any]:
        """The saving for a record."""
        even = self.break_even
        return {
            "generator": self.name,
            "parameters": self.generator.parameters,
            "macs": self.generator.macs,
            "accesses": self.generator.accesses,
            "overhead": self.overhead,
            "saving_by_accesses": self.by_accesses,
            "saving_by_macs": self.by_macs,
            "break_even": None if even is None else {"volts_over_vmin": even.volts, "bit_error_rate": even.rate},
            "picojoules": self.picojoules(),
            "verdict": self.verdict,
        }

    def _remedy(self) -> str:
        if self.overhead >= 1:
            return "it reads as many weights as the base, so no voltage pays for it"
        even = self.break_even
        return f"it would pay below {even}" if even else f"no voltage of the curve '{self.curve.name}' pays for it"


def energy_saving(energy: float, generator: float, base: float) -> float:
    """ES = 1 - e - generator / base.

    Args:
        energy: e, energy of an access at low voltage over the nominal one.
        generator: What the generator adds, in accesses or operations.
        base: What the base takes, in the same unit.
    """
    return 1 - energy - generator / base


def efficiency_ratio(recovery: float, parameters: int) -> float:
    """Recovered accuracy (RP) in points for each million parameters of the generator."""
    return recovery / (parameters / 1e6)


def compare(name: str, base: Count, generator: Count, point: OperatingPoint, curve: Curve) -> Saving:
    """The saving of two counts.

    Args:
        name: Name of the generator.
        base: Count of the base.
        generator: Count of the generator on the same array.
        point: Where the base runs.
        curve: The voltage curve.

    Raises:
        ModelError: When the base reads no weights, so that there is nothing to save.
    """
    if not base.accesses:
        reason = f": {base.uncounted[0]}" if base.uncounted else ""
        raise ModelError(
            f"no reads of weights could be counted in the base, so there is nothing to compare with{reason}"
        )
    return Saving(name, base, generator, point, curve)
