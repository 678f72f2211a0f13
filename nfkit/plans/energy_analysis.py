"""What lower voltage saves on a model, with and without the generators that could protect it.

Joins the counting with the graphs that are counted: a frozen base with generators by name, or a fused file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
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
from nfkit.graph.fusion.fused import GENERATOR_KEY, is_fused
from nfkit.graph.fusion.metadata import read_recoveries
from nfkit.graph.fusion.modes.record import is_nominal
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.memory.coverage import Coverage, coverage
from nfkit.models.generators import GENERATORS
from nfkit.plans.generator_choice import candidate, classes_of
from nfkit.reports.energy import Counted, EnergyFacts
from nfkit.reports.energy import Saving as EnergySaving

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
        coverage: How much of the base's weights faults reach, whose energy it is that a lower voltage saves.
    """

    base: Count
    other: Count
    savings: tuple[Saving, ...]
    point: OperatingPoint
    curve: Curve
    recovery: float | None = None
    coverage: Coverage | None = None

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
            "coverage": None if self.coverage is None else self.coverage.to_dict(),
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
    rate: float | None = None,
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
        rate: Bit error rate that the point stands for, to find what a fused file states of it; that of the curve by
            default.

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
        name = model.metadata_props.get(GENERATOR_KEY, "the generator")
        if is_nominal(model):
            name, generator = f"{name}, idle in the nominal mode,", _idle(generator)
        saving = compare(name, base, generator, point, curve)
        their_base, _ = count_fused(model, array, preset=other, weight_bits=weight_bits)
        recovered = None if is_nominal(model) else _recovery(model, point.rate if rate is None else rate)
        return Economy(base, their_base, (saving,), point, curve, recovered, coverage(model))
    base = count(model, array, preset=preset, weight_bits=weight_bits)
    savings = []
    for name in names:
        assert image_shape is not None, "a generator is made for images of a shape"
        graph = candidate(name, image_shape, classes_of(model))
        counted = count(graph, array, preset=preset, weight_bits=weight_bits or GENERATOR_BITS, part="generator")
        savings.append(compare(name, base, counted, point, curve))
    theirs = count(model, array, preset=other, weight_bits=weight_bits)
    return Economy(base, theirs, tuple(savings), point, curve, coverage=coverage(model))


@dataclass(frozen=True)
class Costs:
    """What a fused file costs, counted once for any number of operating points.

    Attributes:
        name: Name of the generator.
        base: Count of the base.
        generator: Count of the generator.
        curve: The voltage curve.
        spared: Share of the images for which the base need not run, the generator's answer being sure.
    """

    name: str
    base: Count
    generator: Count
    curve: Curve
    spared: float = 0.0

    @classmethod
    def of(cls, fused: ir.Model, curve: Curve, spared: float = 0.0) -> Costs:
        """Counts a fused file; it is not changed.

        In the nominal mode the generator does not run: it reads nothing, and spares the base no image.

        Raises:
            ModelError: When the base reads no weights that can be counted.
        """
        base, generator = count_fused(fused)
        if is_nominal(fused):
            generator, spared = _idle(generator), 0.0
        costs = cls(fused.metadata_props.get(GENERATOR_KEY, "generator"), base, generator, curve, spared)
        compare(costs.name, base, generator, curve.at_rate(0.0), curve)  # says so where nothing can be compared
        return costs

    @property
    def facts(self) -> EnergyFacts:
        """The counts, for a record."""
        base, added = (_counted(count) for count in (self.base, self.generator))
        return EnergyFacts(self.name, self.base.preset, self.base.array.to_dict(), base, added)

    def saving(self, point: OperatingPoint | None) -> EnergySaving | None:
        """What the pair saves, as an expectation over images, where the base runs at a point; None where unknown."""
        if point is None:
            return None
        saving = compare(self.name, self.base, self.generator, point, self.curve)
        spared = self.spared * point.energy
        return EnergySaving(saving.by_accesses + spared, saving.by_macs + spared)


def _idle(generator: Count) -> Count:
    """The cost of a generator that does not run: it is stored, and reads and computes nothing."""
    return replace(generator, layers=(), uncounted=(), choices=())


def _counted(count: Count) -> Counted:
    counted = count.to_dict(layers=False)
    return Counted(**counted | {name: tuple(counted[name]) for name in ("uncounted", "choices")})


def _recovery(model: ir.Model, at: float) -> float | None:
    """Recovered points that the file states for the bit error rate."""
    stated = read_recoveries(model)
    return next((100 * mean for rate, mean in stated.items() if abs(rate - at) <= 1e-9), None)
