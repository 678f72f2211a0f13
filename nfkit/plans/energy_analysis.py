"""What lower voltage saves on a model, with and without the generators that could protect it.

Joins the counting with the graphs that are counted: a frozen base with generators by name, or a fused file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from nfkit.energy import (
    Count,
    Curve,
    OperatingPoint,
    Preset,
    Saving,
    SystolicArray,
    compare,
    count,
    count_fused,
    efficiency_ratio,
)
from nfkit.energy.savings import GENERATOR_BITS
from nfkit.errors import OptionError
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.metadata import read_recoveries
from nfkit.graph.injection.record import refuse_faults
from nfkit.models.generators import GENERATORS
from nfkit.plans.generator_choice import candidate, classes_of

NETWORKS: tuple[str, ...] = tuple(name for name in GENERATORS if name != "pattern")
"""Generators that hold weights."""


@dataclass(frozen=True)
class Economy:
    """What a model costs, and what generators save on it.

    Attributes:
        base: Count of the base by the chosen preset.
        other: The same by the other preset.
        savings: One entry a generator.
        point: Where the base runs.
        curve: The voltage curve.
        recovery: Accuracy that a fused file's generator recovers, in points, as `protect` measured it; None unknown.
    """

    base: Count
    other: Count
    savings: tuple[Saving, ...]
    point: OperatingPoint
    curve: Curve
    recovery: float | None = None

    @property
    def efficiency(self) -> float | None:
        """Recovered points for each million parameters of a fused file's generator; None where unknown."""
        if self.recovery is None or not self.savings or not self.savings[0].generator.parameters:
            return None
        return efficiency_ratio(self.recovery, self.savings[0].generator.parameters)

    def differences(self) -> list[dict[str, Any]]:
        """Layers of the base whose accesses the two presets count differently."""
        others = {layer.name: self.other.array.accesses(layer) for layer in self.other.layers}
        pairs = [(layer.name, self.base.array.accesses(layer), others.get(layer.name)) for layer in self.base.layers]
        return [
            {"name": name, self.base.preset: mine, self.other.preset: theirs}
            for name, mine, theirs in pairs
            if theirs is not None and theirs != mine
        ]

    def to_dict(self) -> dict[str, Any]:
        """The record `nfkit.energy/1`."""
        return {
            "schema": "nfkit.energy/1",
            "preset": self.base.preset,
            "array": self.base.array.to_dict(),
            "curve": self.curve.to_dict(),
            "point": self.point.to_dict(),
            "base": self.base.to_dict(),
            "other_preset": {
                "preset": self.other.preset,
                "macs": self.other.macs,
                "accesses": self.other.accesses,
                "differences": self.differences(),
            },
            "generators": [saving.to_dict() for saving in self.savings],
            "recovery": self.recovery,
            "efficiency_ratio": self.efficiency,
        }


def analyse(
    model: ir.Model,
    point: OperatingPoint,
    curve: Curve,
    *,
    generators: Iterable[str] = (),
    image_shape: tuple[int, int, int] | None = None,
    array: SystolicArray | None = None,
    preset: Preset = "true",
    weight_bits: int | None = None,
) -> Economy:
    """Counts a model, and what generators save on it.

    Args:
        model: A frozen base, or a fused file, which brings its own generator; not changed.
        point: Where the base shall run, from the curve.
        curve: The voltage curve.
        generators: Names of generators to put in front of a base.
        image_shape: (channels, height, width) of the base's images; needed for generators.
        array: The accelerator; the default of `count` if not given.
        preset: Conventions of the counts.
        weight_bits: Bits of every weight; by default as stored, and 8 for a generator that is yet to be made.

    Raises:
        NfkitError: When there is no such generator, torch is missing, or nothing can be compared.
    """
    refuse_faults(model)
    names = list(generators)
    other: Preset = "true" if preset == "paper" else "paper"
    if is_fused(model):
        if names:
            raise OptionError("the model has a generator already: leave --generator out, or give the base")
        base, generator = count_fused(model, array, preset=preset, weight_bits=weight_bits)
        name = model.metadata_props.get("nfkit.generator", "the generator")
        saving = compare(name, base, generator, point, curve)
        their_base, _ = count_fused(model, array, preset=other, weight_bits=weight_bits)
        return Economy(base, their_base, (saving,), point, curve, _recovery(model, point))
    base = count(model, array, preset=preset, weight_bits=weight_bits)
    savings = []
    for name in names:
        assert image_shape is not None, "a generator is made for images of a shape"
        graph = candidate(name, image_shape, classes_of(model))
        counted = count(graph, array, preset=preset, weight_bits=weight_bits or GENERATOR_BITS, part="generator")
        savings.append(compare(name, base, counted, point, curve))
    return Economy(base, count(model, array, preset=other, weight_bits=weight_bits), tuple(savings), point, curve)


def voltage_record(rates: Sequence[float], curve: Curve, points: Sequence[OperatingPoint | None]) -> dict[str, Any]:
    """Voltages beside bit error rates, for the record of a measurement.

    Args:
        rates: Bit error rates.
        curve: The voltage curve.
        points: The operating point of each rate; None where the curve states none.
    """
    entries = [{"ber": r, **(p.to_dict() if p else {})} for r, p in zip(rates, points, strict=True)]
    return {"curve": curve.to_dict(), "points": entries}


def saving_record(model: ir.Model, curve: Curve, points: Sequence[OperatingPoint | None]) -> dict[str, Any]:
    """What a fused file saves at several points, for the record of a measurement.

    Args:
        model: A fused file; not changed.
        curve: The voltage curve.
        points: Where the base runs; None where that is unknown.

    Raises:
        ModelError: When the base reads no weights that can be counted.
    """
    base, generator = count_fused(model)
    name = model.metadata_props.get("nfkit.generator", "generator")
    savings = [compare(name, base, generator, point, curve) for point in points if point is not None]
    return {
        "generator": name,
        "preset": base.preset,
        "array": base.array.to_dict(),
        "base": base.to_dict(layers=False),
        "added": generator.to_dict(layers=False),
        "points": [
            {
                "ber": saving.point.rate,
                "saving_by_accesses": saving.by_accesses,
                "saving_by_macs": saving.by_macs,
            }
            for saving in savings
        ],
    }


def _recovery(model: ir.Model, point: OperatingPoint) -> float | None:
    """Recovered points that the file states for the bit error rate."""
    stated = read_recoveries(model)
    return next((100 * mean for rate, mean in stated.items() if abs(rate - point.rate) <= 1e-9), None)
