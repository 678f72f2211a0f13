"""What records say of voltage and energy."""

from __future__ import annotations

from typing import Any

import msgspec


class Voltage(msgspec.Struct, frozen=True):
    """Where the base runs, by a voltage curve.

    Attributes:
        volts_over_vmin: Supply voltage over Vmin, the lowest voltage without errors.
        bit_error_rate: The curve's own rate there, which counts what the curve counts.
        energy_per_access: Energy of an access over that at Vmin.
        extrapolated: Whether this lies beyond the points of the curve.
    """

    volts_over_vmin: float
    bit_error_rate: float
    energy_per_access: float
    extrapolated: bool = False

    @property
    def saving(self) -> float:
        """Share of the weight memory's energy that the voltage saves, without a generator."""
        return 1 - self.energy_per_access


class Saving(msgspec.Struct, frozen=True):
    """Share of the energy that a protected model saves against its base at Vmin, its generator paid for.

    Attributes:
        by_accesses: Of the weight memory, counted in accesses.
        by_macs: With operations in place of accesses.
    """

    by_accesses: float
    by_macs: float


class MemoryFacts(msgspec.Struct, frozen=True):
    """A weight memory in which not all cells follow the voltage.

    Attributes:
        robust_cells: Share of the data cells that are read and stay at the nominal voltage.
        check_cells: Check cells of an error correction that are read for each data cell.
        not_counted: What its energy leaves out, in words.
    """

    robust_cells: float
    check_cells: float
    not_counted: str

    def __str__(self) -> str:
        parts = []
        if self.robust_cells:
            parts.append(f"{100 * self.robust_cells:.3g} % of the cells that are read stay at the nominal voltage")
        if self.check_cells:
            parts.append(f"{100 * self.check_cells:.3g} % more are read as check bits")
        return f"energy/access: {', '.join(parts)}; {self.not_counted}"


class CurveFacts(msgspec.Struct, frozen=True):
    """Where voltages come from.

    Attributes:
        name: Name of the curve.
        source: Where its numbers come from.
        licence: On what terms.
        error: How exact they are.
        rate: What its bit error rate counts, in words.
    """

    name: str
    source: str = ""
    licence: str = ""
    error: str = ""
    rate: str = ""


class Counted(msgspec.Struct, frozen=True):
    """What an inference costs.

    Attributes:
        weights: Weights in memory, each once.
        parameters: Parameters of the graph.
        macs: Multiply-accumulate operations.
        weight_reads: Weights that are read, each as often as it is read.
        accesses: Words that are read from the weight memory.
        float_weight_bits: Bits of the floating weights, where some are counted as stored.
        uncounted: Operators that could not be counted, and why.
        choices: Ifs whose branches depend on data, which of them is counted, and what the other would cost.
    """

    weights: int
    parameters: int
    macs: int
    weight_reads: int
    accesses: float
    float_weight_bits: int | None = None
    uncounted: tuple[dict[str, Any], ...] = ()
    choices: tuple[dict[str, Any], ...] = ()


class EnergyFacts(msgspec.Struct, frozen=True):
    """What a protected model costs.

    Attributes:
        generator: Name of the generator.
        preset: Conventions of the counts.
        array: The accelerator.
        base: Cost of the base.
        added: Cost of the generator.
    """

    generator: str
    preset: str
    array: dict[str, Any]
    base: Counted
    added: Counted

    @property
    def overhead(self) -> float:
        """Accesses of the generator over those of the base."""
        return self.added.accesses / self.base.accesses
