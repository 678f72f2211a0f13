"""A layer as an accelerator sees it: a matrix product of inputs with weights, some number of times.

A convolution reads one window an output position: [positions, depth] x [depth, outputs] for each group, where the
depth is the kernel's extent times the input channels of the group. Every other operator that holds weights is brought
into the same form, so that one set of formulas counts them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Part = Literal["base", "generator"]
Branch = tuple[str, str]
"""Name of an If, and which of its branches."""


@dataclass(frozen=True)
class Layer:
    """One matrix product [positions, depth] x [depth, outputs] of an inference at batch 1.

    Attributes:
        name: Name of the node, or of its output.
        op: Its operator.
        positions: Output positions that meet the same weights; rows of the left matrix.
        depth: Products that are summed for one output.
        outputs: Outputs a position, in each group.
        groups: Independent products, one after another.
        repeats: How often the whole is done in sequence, re-reading the weights: the steps of a recurrence, the trips
            of a loop; 0 in a branch that is not counted (see `nfkit.energy.branches`).
        storage: Name of the initializer that holds the weights; None for a product of two activations.
        bits: Bits of one stored weight; 0 where there are none.
        part: Whether the layer belongs to the frozen base or to a generator in front of it.
        held: Weights that the memory holds, which layers may share or read in part; 0 where that is not known.
        is_float: Whether the weights are stored as floats.
        branches: The branches of Ifs that it stands in, outermost first, each as (name of the If, branch).
        operations: Multiply-accumulate operations by the preset's rule, where that is not the product of the above.
    """

    name: str
    op: str
    positions: int
    depth: int
    outputs: int
    groups: int = 1
    repeats: int = 1
    storage: str | None = None
    bits: int = 8
    part: Part = "base"
    operations: int | None = None
    held: int = 0
    is_float: bool = False
    branches: tuple[Branch, ...] = ()

    @property
    def weights(self) -> int:
        """Weights that the layer reads; 0 for a product of two activations."""
        return self.depth * self.outputs * self.groups if self.storage is not None else 0

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of one inference."""
        if self.operations is not None:
            return self.operations
        return self.repeats * self.positions * self.depth * self.outputs * self.groups


@dataclass(frozen=True)
class Uncounted:
    """A node that would cost something, and why it is in no sum."""

    name: str
    op: str
    reason: str
    part: Part = "base"

    def __str__(self) -> str:
        return f"{self.op} '{self.name}': {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """The node for a record."""
        return dict(vars(self))
