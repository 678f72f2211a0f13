"""Which generators a search tries, decided by counting alone."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from nfkit.energy import Curve, Saving, compare, count
from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.injection.record import refuse_faults
from nfkit.plans.generator_choice import choose, classes_of, cost_of
from nfkit.plans.operating_points import Strength

_SIZES = 4
"""Widths that are tried where none are given."""


def find_candidates(
    base: ir.Model,
    image_shape: tuple[int, int, int],
    strength: Strength,
    curve: Curve,
    *,
    budget: float | None = None,
    widths: Sequence[int] = (),
    generators: Sequence[str] = (),
) -> tuple[list[Saving], list[str]]:
    """The generators to train, decided by counting alone.

    Args:
        base: The frozen model; not changed.
        image_shape: (channels, height, width) of its images.
        strength: The bit error rate to train for, with its voltage.
        curve: The voltage curve.
        budget: Largest weight accesses of a generator over those of the base; by default half of what the voltage
            saves.
        widths: Widths of hint generators; by default the widest within the budget, and halves of it.
        generators: Names of generators besides.

    Returns:
        What each candidate saves, by rising accesses, so that the search begins with the one that saves most; and the
        names of those that read more than the budget.

    Raises:
        OptionError: When the curve knows no voltage for the rate, or no generator fits the budget.
        ModelError: When the model is protected already, or its accesses cannot be counted.
    """
    refuse_faults(base)
    if is_fused(base):
        raise ModelError("the model is protected already: give the base, or take it out with nfkit split")
    point = strength.point
    if point is None:
        raise OptionError(
            f"'{curve.name}' knows no voltage for a bit error rate of {100 * strength.rate:.3g} %, so "
            "nothing can be weighed against energy: choose another --curve, or give --extrapolate"
        )
    sizes = list(widths)
    if not sizes:
        widest = choose(base, image_shape, "auto", point, curve, budget=budget)
        sizes = _halves(int(widest.name.removeprefix("hint-")))
    share = budget if budget is not None else (1 - point.energy) / 2
    counted, classes = count(base), classes_of(base)
    names = dict.fromkeys([*(f"hint-{width}" for width in sizes), *generators])
    savings = [compare(name, counted, cost_of(name, image_shape, classes), point, curve) for name in names]
    savings.sort(key=lambda saving: saving.overhead)
    fitting = [saving for saving in savings if saving.overhead <= share]
    if not fitting:
        least = savings[0]
        raise OptionError(
            f"no candidate reads at most {100 * share:.3g} % of the base's accesses; {least.name} reads "
            f"{100 * least.overhead:.3g} %: raise --energy-budget, or give smaller --widths"
        )
    return fitting, [saving.name for saving in savings if saving.overhead > share]


def _halves(width: int) -> list[int]:
    """A width, a half, a quarter, ... of it, as multiples of 8: at most `_SIZES` of them."""
    sizes = (max(8, width // 2**step // 8 * 8) for step in range(_SIZES))
    return list(dict.fromkeys(sizes))
