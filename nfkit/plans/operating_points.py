"""Bit error rates with the voltages that they stand for, and what a record says of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from nfkit.energy import Curve, OperatingPoint
from nfkit.errors import ModelError
from nfkit.graph.fusion.fused import is_fused
from nfkit.plans.energy_analysis import saving_record, voltage_record


@dataclass(frozen=True)
class Strengths:
    """Bit error rates to work at, each with what the voltage curve says of it.

    Attributes:
        rates: Bit error rates per cell.
        points: Operating points; None where the curve states none for a rate that was given as such.
        curve: The voltage curve.
        extrapolate: Whether points beyond the curve are taken.
    """

    rates: list[float]
    points: list[OperatingPoint | None]
    curve: Curve
    extrapolate: bool = False

    def describe(self) -> str:
        """The first rate, and the voltage that it stands for."""
        rate, point = self.rates[0], self.points[0]
        return f"{100 * rate:.3g} %" + (f" ({point.volts:.3f} Vmin by {self.curve.name})" if point else "")

    def at(self, rates: Iterable[float]) -> Strengths:
        """The same curve at other rates; a rate that is known already keeps its point."""
        known = dict(zip(self.rates, self.points, strict=True))
        wanted = list(rates)
        points = [
            known[rate] if rate in known else self.curve.find_rate(rate, extrapolate=self.extrapolate)
            for rate in wanted
        ]
        return Strengths(wanted, points, self.curve, self.extrapolate)

    def to_record(self, model: ir.Model | None = None) -> dict[str, Any]:
        """What a record says of voltage and, for a fused model, of energy.

        Args:
            model: The model that was measured.
        """
        record = {"voltage": voltage_record(self.rates, self.curve, self.points)}
        if model is not None and is_fused(model):
            try:
                record["energy"] = saving_record(model, self.curve, self.points)
            except ModelError as error:  # the measurement stands without it
                record["energy"] = {"error": str(error)}
        return record
