"""Which branch of an If is counted: the dearest, as a bound that no input goes beyond.

A data-dependent If runs one branch an inference, and the graph does not say which. Sums hold the branch of most
accesses (of most operations where these are equal); what the others cost is said beside them. The layers of other
branches stay in the list, since their weights are stored, and are run no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nfkit.energy.layers import Branch, Layer, Part
from nfkit.energy.systolic import SystolicArray

_BRANCHES = ("then_branch", "else_branch")


@dataclass(frozen=True)
class Choice:
    """An If, and what its branches cost.

    Attributes:
        name: Name of the node, or of its output.
        counted: The branch that is counted.
        accesses: Its accesses to the weight memory in an inference.
        other: The branch that is not.
        other_accesses: What that would take.
        part: Whether it belongs to the frozen base or to a generator.
    """

    name: str
    counted: str
    accesses: float
    other: str
    other_accesses: float
    part: Part = "base"

    def __str__(self) -> str:
        return (
            f"If '{self.name}' is counted by its dearer branch, {self.counted}: {self.accesses:,.6g} accesses, "
            f"where {self.other} takes {self.other_accesses:,.6g}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The choice for a record."""
        return dict(vars(self))


def dearest(layers: Sequence[Layer], array: SystolicArray) -> tuple[list[Layer], list[Choice]]:
    """Leaves the layers of the dearest branches as they are, and has those of others run no time.

    Args:
        layers: Layers, in their order.
        array: What reads their weights.

    Returns:
        All layers, and the choices that were made, outer ones first.
    """
    chosen = list(layers)
    choices: list[Choice] = []
    deepest = max((len(layer.branches) for layer in layers), default=0)
    for depth in range(deepest, 0, -1):  # from the inside out: a branch costs what its own branches cost at most
        forks: dict[tuple[tuple[Branch, ...], str], dict[str, list[int]]] = {}
        for index, layer in enumerate(layers):
            if len(layer.branches) >= depth:
                outside, (name, branch) = layer.branches[: depth - 1], layer.branches[depth - 1]
                forks.setdefault((outside, name), {b: [] for b in _BRANCHES})[branch].append(index)
        for (_, name), both in forks.items():
            cost = {branch: _cost([chosen[i] for i in indices], array) for branch, indices in both.items()}
            counted, other = sorted(_BRANCHES, key=lambda branch: cost[branch], reverse=True)
            part = chosen[(both[counted] or both[other])[0]].part
            choices.append(Choice(name, counted, cost[counted][0], other, cost[other][0], part))
            for index in both[other]:
                chosen[index] = replace(chosen[index], repeats=0, operations=None)
    return chosen, choices[::-1]


def _cost(layers: list[Layer], array: SystolicArray) -> tuple[float, int]:
    return sum(array.accesses(layer) for layer in layers), sum(layer.macs for layer in layers)
