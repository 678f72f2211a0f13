"""How much of a model's weights faults reach, and what of it they do not.

Weights are what a convolution, a matrix product, a recurrent cell or a look-up reads as its weight operand. Faults hit
those that the file stores as integers. The rest (floats, floats of 8 bits, integers that the graph turns into floats
without saying how, whatever an unknown operator reads) keeps its values, so a chip measured on such a file errs in a
part of its memory only. That must be said wherever faults are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from nfkit.graph.memory.inventory import QUANTISED_INSIDE, WIDE, why_no_site
from nfkit.graph.memory.palettes import palette_of
from nfkit.graph.memory.paths import Calls
from nfkit.graph.memory.readings import Reading
from nfkit.graph.memory.sites import ADDED_ROLES, ROLE_KEY, sites_of
from nfkit.graph.memory.survey import LOOK_UPS, Survey, reads_weight
from nfkit.graph.operators.operands import OPERATORS, key_of, operand, packed_in, passed_on, standard_op
from nfkit.graph.operators.vendors import is_vendors

_MADE_OF_CODES = (
    "Cast", "Equal", "Greater", "Less", "Not", "Add", "Sub", "Mul", "Div", "Mod", "BitShift", "BitwiseAnd", "BitwiseOr",
)  # fmt: skip
"""What is done with codes, such as several that share a byte, before they choose weights."""


@dataclass(frozen=True)
class LeftOut:
    """Weights that faults do not reach.

    Attributes:
        name: Name of the stored tensor.
        count: How many weights it holds.
        reason: Why faults do not reach them.
    """

    name: str
    count: int
    reason: str


@dataclass(frozen=True)
class Coverage:
    """How much of a model's weights faults reach.

    Attributes:
        reached: Weights in the tensors that faults hit.
        left_out: The other tensors that look like weights, the largest first.
    """

    reached: int
    left_out: tuple[LeftOut, ...]

    @property
    def weights(self) -> int:
        """All that look like weights."""
        return self.reached + sum(entry.count for entry in self.left_out)

    @property
    def share(self) -> float:
        """Share of the weights that faults reach; 0 where there are none."""
        return self.reached / self.weights if self.weights else 0.0

    @property
    def complete(self) -> bool:
        """Whether nothing that looks like weights is left out."""
        return not self.left_out

    def sentence(self, most: int = 3) -> str:
        """One line: what is reached, and what is left out, by name and reason.

        Args:
            most: Tensors to name.
        """
        if not self.weights:
            return "the model holds nothing that looks like weights"
        if self.complete:
            return f"faults reach all of the {self.weights:,} weights"
        named = "; ".join(f"'{e.name}' ({e.count:,}, {e.reason})" for e in self.left_out[:most])
        rest = self.left_out[most:]
        more = f"; and {len(rest)} more ({sum(entry.count for entry in rest):,})" if rest else ""
        return (
            f"faults reach {self.reached:,} of {self.weights:,} weights ({100 * self.share:.1f} %), "
            f"left out: {named}{more}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The coverage for a record."""
        return {
            "sentence": self.sentence(),
            "reached": self.reached,
            "weights": self.weights,
            "share": self.share,
            "left_out": [dict(vars(entry)) for entry in self.left_out],
        }


def coverage(model: ir.Model | Survey, sites: Iterable[str] | None = None, *, generator: bool = False) -> Coverage:
    """Says how much of a model's weights faults reach.

    Args:
        model: The model, or what is known of it already.
        sites: Names of the sites that are faulted; all weight sites by default.
        generator: Whether the weights of a generator in front count too.

    Raises:
        ModelError: When the model records bits of its codes that they do not have.
    """
    survey = model if isinstance(model, Survey) else Survey(model)
    faulted = {site.name for site in sites_of(survey) if site.role == "weight"} if sites is None else set(sites)
    reached, left_out = 0, []
    for name, entry in survey.stored.items():
        readings = survey.readings(name)
        weights = [reading for reading in readings if reads_weight(entry.dtype, reading)]
        hidden = (not readings and _hidden(survey, name)) or any(_choosers(survey, name))
        if name not in faulted and (not (weights or hidden) or survey.is_filler(name)):
            continue
        if not generator and readings and all(_is_added(reading.node) for reading in readings):
            continue
        count = weights_in(entry.tensor.size, weights)
        if name in faulted:
            reached += count
        else:
            left_out.append(LeftOut(name, count, _why(survey, name)))
    return Coverage(reached, tuple(sorted(left_out, key=lambda entry: -entry.count)))


def _hidden(survey: Survey, name: str) -> bool:
    """Whether an operator that nfkit does not know may read weights from a tensor: numbers in two or more axes."""
    entry = survey.stored[name]
    small = entry.dtype.is_floating_point() or (entry.dtype.is_integer() and entry.dtype.bitwidth <= 16)
    if not small or len(entry.shape) < 2 or entry.tensor.size < 2:
        return False
    return any(
        is_vendors(node) or (node.domain and key_of(node) not in OPERATORS)
        for node, _, _ in survey.flow.paths.uses(entry.value)
    )


def _choosers(survey: Survey, name: str) -> Iterator[tuple[ir.Node, Calls]]:
    """Where a tensor that is no weight says for each of more weights which of a few stored numbers it is."""
    entry, paths = survey.stored[name], survey.flow.paths
    if entry.dtype.is_floating_point() or entry.dtype == ir.DataType.STRING or entry.tensor.size < 2:
        return
    wide = entry.dtype.bitwidth > 16  # positions, unless they choose single numbers
    pending = list(paths.uses(entry.value))
    seen: set[tuple[int, int, int]] = set()
    while pending:
        node, index, calls = pending.pop()
        key = (id(node), index, len(calls))
        if key in seen:
            continue
        seen.add(key)
        chosen = passed_on(node)
        follows = index in chosen if chosen else standard_op(node) in _MADE_OF_CODES
        if follows:
            pending += [use for output in node.outputs for use in paths.uses(output, calls)]
        elif standard_op(node) in (*LOOK_UPS, "Where"):
            given = [value for i in chosen if (value := operand(node, i)) is not None]
            numbers = [paths.number(value, calls) for value in given]
            few = all(number is not None and number.size < entry.tensor.size for number in numbers)
            few = few and (not wide or all(number is not None and number.ndim == 1 for number in numbers))
            if few and any(reading.role == "weight" for reading in survey.flow.readings(node.outputs[0])):
                yield node, calls


def weights_in(size: int, readings: list[Reading]) -> int:
    """Weights in a tensor of so many elements, each of which may pack several."""
    packed = [packed_in(end.node, end.index) for reading in readings for end in reading.ends]
    return size * max(packed, default=1)


def _why(survey: Survey, name: str) -> str:
    site = next((site for site in sites_of(survey) if site.name == name), None)
    if choosers := list(_choosers(survey, name)):
        dtype = survey.stored[name].dtype
        if dtype.bitwidth > 16:
            return f"{dtype.name.lower()} codes that choose weights out of a few stored numbers: store them in 8 bits"
        palettes = [palette_of(survey.flow.paths, node, calls) for node, calls in choosers]
        known = next((palette.obstacle for palette in palettes if palette and palette.obstacle), None)
        return known or "they choose weights out of a few stored numbers, a form that nfkit does not read"
    if site is None:
        dtype = survey.stored[name].dtype
        if not dtype.is_floating_point() and survey.readings(name):
            return f"{dtype.name.lower()}, {WIDE}"
        reason = why_no_site(survey, name)
        return "floats that the graph quantises: nfkit fold stores them" if reason == QUANTISED_INSIDE else reason
    if site.role != "weight":
        return f"codes of {site.bits} bits, which count as a bias"
    return "not among the faulted sites"


def _is_added(node: ir.Node) -> bool:
    return node.metadata_props.get(ROLE_KEY) in ADDED_ROLES
