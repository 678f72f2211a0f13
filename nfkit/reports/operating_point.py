"""One operating point of an evaluation: its rate, the voltage that the rate stands for, and what every chip did."""

from __future__ import annotations

import msgspec

from nfkit.reports.energy import Saving, Voltage
from nfkit.reports.figures import Spread


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One chip at one bit error rate; accuracies are shares of the samples.

    Attributes:
        ber: Bit error rate.
        chip: Seed of the chip.
        faulty_cells: Cells of the base's weight memory that err.
        flipped_bits: Stored bits that they change.
        base: Accuracy of the faulty base.
        protected: Accuracy of the protected model; None for a bare base.
        base_correct: Which samples the base gets right, packed; None where that was not kept.
        protected_correct: The same of the protected model.
    """

    ber: float
    chip: int
    faulty_cells: int
    flipped_bits: int
    base: float
    protected: float | None = None
    base_correct: bytes | None = None
    protected_correct: bytes | None = None


class Point(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operating point.

    Attributes:
        ber: Bit error rate, in errors per cell of the kind that was measured.
        base: Accuracy of the faulty base (PA).
        rows: What every chip did.
        protected: Accuracy of the protected model (PA (NF)); None for a bare base.
        recovery: Their paired difference (RP).
        flips: Share of the stored bits that such errors flip on average; None where the record does not say.
        voltage: Where the base runs; None where the curve states none for the rate.
        saving: What the protected model saves there; None where that is not known.
    """

    ber: float
    base: Spread
    rows: tuple[Row, ...]
    protected: Spread | None = None
    recovery: Spread | None = None
    flips: float | None = None
    voltage: Voltage | None = None
    saving: Saving | None = None

    @property
    def faulty_cells(self) -> float:
        """Mean number of faulty cells over chips."""
        return sum(row.faulty_cells for row in self.rows) / len(self.rows)

    @property
    def flipped_bits(self) -> float:
        """Mean number of flipped bits over chips."""
        return sum(row.flipped_bits for row in self.rows) / len(self.rows)
