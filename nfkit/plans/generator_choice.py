"""Which generator to train for a base, decided before anything is trained: by counting untrained candidates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import numpy as np
import onnx_ir as ir

from nfkit.energy import Count, Curve, OperatingPoint, Saving, compare, count
from nfkit.energy.savings import GENERATOR_BITS
from nfkit.errors import ModelError, NfkitError, OptionError
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.input.discovery import find_input
from nfkit.models.generators import HINTS

_FALLBACK = "hint-64"
_CLASSES = 10


def classes_of(base: ir.Model) -> int:
    """Number of classes that a base tells apart: as its first output states, else found by running it once.

    Returns:
        10 where neither tells; the count of a generator depends little on it.
    """
    from nfkit.access.runtime import Runner

    scores = [extent for extent in tuple(base.graph.outputs[0].shape or ())[1:] if extent != 1]
    if len(scores) == 1 and isinstance(scores[0], int):
        return scores[0]
    try:
        spec = find_input(base)
        return Runner(base, level="basic").classes(np.zeros((1, *spec.shape), spec.dtype))
    except NfkitError:
        return _CLASSES


def candidate(name: str, image_shape: tuple[int, int, int], classes: int, *, looks_only: bool = False) -> ir.Model:
    """The graph of an untrained generator, for counting; batch normalisation is not folded.

    Args:
        name: Name of a generator.
        image_shape: (channels, height, width).
        classes: Number of classes, for generators that tell them apart.
        looks_only: Whether it leaves the base's input alone, so that its patterns are not part of the file.

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

    made = build(name, image_shape[0], image_shape[1:], classes)
    return export_as_designed(made, image_shape, residual=not looks_only)


@cache
def cost_of(name: str, image_shape: tuple[int, int, int], classes: int, *, looks_only: bool = False) -> Count:
    """What an untrained generator costs with weights of 8 bits; the arguments are those of `candidate`.

    Raises:
        OptionError: As `candidate` does.
    """
    graph = candidate(name, image_shape, classes, looks_only=looks_only)
    return count(graph, weight_bits=GENERATOR_BITS, part="generator")


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
    widest: int | None = None,
    looks_only: bool = False,
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
        widest: The widest hint that `auto` may choose; any by default.
        looks_only: Whether the generator will leave the base's input alone, which then costs less. What `auto` chooses
            does not depend on it.

    Raises:
        OptionError: When no generator fits the budget, or the named one does not.
        ModelError: When the model is protected already, or a budget is given and its accesses cannot be counted.
    """
    refuse_faults(base)
    if is_fused(base):
        raise ModelError("the model is protected already: give the base, or take it out with nfkit split")
    counted, classes = count(base), classes_of(base)
    if budget is not None and not counted.accesses:
        raise ModelError("the base's weight accesses cannot be counted, so no budget can be a share of them")
    if generator != "auto":
        cost = cost_of(generator, image_shape, classes, looks_only=looks_only)
        return _assess_named(generator, counted, cost, point, curve, budget)
    if not counted.accesses or (budget is None and point is None):
        lacking = "the base's accesses cannot be counted" if point else f"'{curve.name}' knows no voltage for this rate"
        return Choice(_FALLBACK, None, f"{_FALLBACK}: {lacking}, so it was not chosen by energy")
    share = budget if budget is not None else (1 - point.energy) / 2  # type: ignore[union-attr]
    widths = [int(name.removeprefix("hint-")) for name in reversed(HINTS)]
    widths = [width for width in widths if widest is None or width <= widest]
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
    most = "" if fitting[0] != widest else f" up to width {widest}"
    why = f"{name} is the widest{most} that reads at most {100 * share:.3g} % of the base's accesses"
    if point is None:
        return Choice(name, None, f"{why}; '{curve.name}' knows no voltage for this rate")
    cost = cost_of(name, image_shape, classes, looks_only=True) if looks_only else fitting[1]
    saving = compare(name, counted, cost, point, curve)
    return Choice(name, saving, f"{why}; {saving.verdict}")


def _assess_named(
    name: str,
    base: Count,
    cost: Count,
    point: OperatingPoint | None,
    curve: Curve,
    budget: float | None,
) -> Choice:
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
