"""What lower voltage saves on a model, with and without the generators that could protect it.

Joins the counting with the graphs that are counted: a frozen base with generators by name, or a fused file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
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
from nfkit.errors import ModelError, NfkitError, OptionError
from nfkit.graph.discovery import find_input
from nfkit.graph.fuse import is_fused
from nfkit.models.generators import GENERATORS, HINTS

_FALLBACK = "hint-64"
_CLASSES = 10

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


def classes_of(base: ir.Model) -> int:
    """Number of classes that a base tells apart: as its first output states, else found by running it once.

    Returns:
        10 where neither tells; the count of a generator depends little on it.
    """
    from nfkit.measure.session import Runner

    scores = [extent for extent in tuple(base.graph.outputs[0].shape or ())[1:] if extent != 1]
    if len(scores) == 1 and isinstance(scores[0], int):
        return scores[0]
    try:
        spec = find_input(base)
        return Runner(base, level="basic").classes(np.zeros((1, *spec.shape), spec.dtype))
    except NfkitError:
        return _CLASSES


def candidate(name: str, image_shape: tuple[int, int, int], classes: int) -> ir.Model:
    """The graph of an untrained generator, for counting; batch normalisation is not folded.

    Args:
        name: Name of a generator.
        image_shape: (channels, height, width).
        classes: Number of classes, for generators that tell them apart.

    Raises:
        OptionError: When there is no such generator, or torch is missing to build it.
    """
    if find_spec("torch") is None:
        raise OptionError(
            "counting a generator by name builds it, which needs torch: pip install 'nfkit[train]', or give a "
            "protected model"
        )
    from nfkit.learn.export import export_as_designed
    from nfkit.models.generators import build

    return export_as_designed(build(name, image_shape[0], image_shape[1:], classes), image_shape)


@cache
def cost_of(name: str, image_shape: tuple[int, int, int], classes: int) -> Count:
    """What an untrained generator costs with weights of 8 bits; the arguments are those of `candidate`.

    Raises:
        OptionError: As `candidate` does.
    """
    return count(candidate(name, image_shape, classes), weight_bits=GENERATOR_BITS, part="generator")


@dataclass(frozen=True)
class Choice:
    """The generator to train, decided before anything is trained.

    Attributes:
        name: Name of the generator.
        saving: What it saves; None where the curve knows no voltage for the bit error rate, or the base cannot be
            counted.
        reason: Why this one, and what it saves or why that is not known: one sentence.
    """

    name: str
    saving: Saving | None
    reason: str


def choose(
    base: ir.Model,
    image_shape: tuple[int, int, int],
    generator: str,
    point: OperatingPoint | None,
    curve: Curve,
    *,
    budget: float | None = None,
) -> Choice:
    """Decides on a generator, and says what it saves.

    Args:
        base: The frozen model; not changed.
        image_shape: (channels, height, width) of its images.
        generator: Name of a generator, or `auto` for the widest hint generator within the budget.
        point: Where the base shall run; None where the curve does not know.
        curve: The voltage curve.
        budget: Largest weight accesses of the generator over those of the base; by default half of what the voltage
            saves.

    Raises:
        OptionError: When no generator fits the budget, or the named one does not.
        ModelError: When the model is protected already, or a budget is given and its accesses cannot be counted.
    """
    if is_fused(base):
        raise ModelError("the model is protected already: give the base, or take it out with nfkit split")
    counted, classes = count(base), classes_of(base)
    if budget is not None and not counted.accesses:
        raise ModelError("the base's weight accesses cannot be counted, so no budget can be a share of them")
    if generator != "auto":
        return _assess_named(generator, counted, image_shape, classes, point, curve, budget)
    if not counted.accesses or (budget is None and point is None):
        lacking = "the base's accesses cannot be counted" if point else f"'{curve.name}' knows no voltage for this rate"
        return Choice(_FALLBACK, None, f"{_FALLBACK}: {lacking}, so it was not chosen by energy")
    share = budget if budget is not None else (1 - point.energy) / 2  # type: ignore[union-attr]
    widths = [int(name.removeprefix("hint-")) for name in reversed(HINTS)]
    fitting: tuple[int, Count] | None = None
    low, high = 0, len(widths)
    while low < high:  # accesses rise with the width
        middle = (low + high) // 2
        cost = cost_of(f"hint-{widths[middle]}", image_shape, classes)
        if cost.accesses <= share * counted.accesses:
            fitting, low = (widths[middle], cost), middle + 1
        else:
            high = middle
    if fitting is None:
        raise OptionError(
            f"no generator reads as little as {100 * share:.3g} % of the base's {counted.accesses:,.0f} accesses: "
            "raise --energy-budget, or name a --generator and add --allow-loss"
        )
    name = f"hint-{fitting[0]}"
    why = f"{name} is the widest that reads at most {100 * share:.3g} % of the base's accesses"
    if point is None:
        return Choice(name, None, f"{why}; '{curve.name}' knows no voltage for this rate")
    saving = compare(name, counted, fitting[1], point, curve)
    return Choice(name, saving, f"{why}; {saving.verdict}")


def _assess_named(
    name: str,
    base: Count,
    image_shape: tuple[int, int, int],
    classes: int,
    point: OperatingPoint | None,
    curve: Curve,
    budget: float | None,
) -> Choice:
    cost = cost_of(name, image_shape, classes)
    if budget is not None and cost.accesses > budget * base.accesses:
        raise OptionError(
            f"{name} reads {100 * cost.accesses / base.accesses:.3g} % of the base's accesses, more than the "
            f"--energy-budget of {100 * budget:.3g} %: choose --generator auto, or raise the budget"
        )
    if point is None:
        return Choice(name, None, f"'{curve.name}' knows no voltage for this rate, so what {name} saves is unknown")
    if not base.accesses:
        return Choice(name, None, f"the base's accesses cannot be counted, so what {name} saves is unknown")
    saving = compare(name, base, cost, point, curve)
    return Choice(name, saving, saving.verdict)


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
    stated = json.loads(model.metadata_props.get("nfkit.results", "[]"))
    for entry in stated:
        if "recovery" in entry and abs(entry["ber"] - point.rate) <= 1e-9:
            return float(100 * entry["recovery"]["mean"])
    return None
