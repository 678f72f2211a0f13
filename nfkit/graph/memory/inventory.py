"""Every constant tensor of a model: whether faults hit it, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from nfkit.graph.memory.readings import label
from nfkit.graph.memory.sites import WeightSite, sites_of
from nfkit.graph.memory.survey import Survey, reads_weight
from nfkit.graph.operators.operands import standard_op
from nfkit.graph.operators.vendors import is_vendors

_SITE_REASONS = {
    "bias": "biases: hit on request (--biases)",
    "constant": "quantised constants of other operators: hit on request (--biases)",
    "zero_point": "zero points: registers, not memory",
}
QUANTISED_INSIDE = "floats that the graph quantises: no integers are stored, make them so with nfkit fold"

ONE_BIT = "floats that the graph makes one bit each of, which no weight memory here holds"
WIDE = "a type that no weight memory has: nfkit fold stores them in 8 or 16 bits, where the graph casts them to these"


@dataclass(frozen=True)
class Entry:
    """One constant tensor of more than one element.

    Attributes:
        name: Name of the memory.
        dtype: ONNX element type, in lower case.
        shape: Extents.
        role: Its role as a site; None for what is none.
        reason: Why faults do not hit it by default; None where they do.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    role: str | None
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """The entry for a report."""
        return {**vars(self), "shape": list(self.shape)}


def inventory(model: ir.Model | Survey) -> list[Entry]:
    """Lists all constant tensors but scalars of a model, or of a survey of it, in the order of `stored_tensors`."""
    survey = model if isinstance(model, Survey) else Survey(model)
    sites = {site.name: site for site in sites_of(survey)}
    entries = []
    for stored in survey.stored.values():
        site = sites.get(stored.name)
        if stored.tensor.size <= 1 and (site is None or site.role != "weight"):
            continue
        entries.append(
            Entry(
                name=stored.name,
                dtype=stored.dtype.name.lower(),
                shape=stored.shape,
                role=site.role if site else None,
                reason=_site_reason(site) if site else why_no_site(survey, stored.name),
            )
        )
    return entries


def _site_reason(site: WeightSite) -> str | None:
    if site.role == "weight":
        return None if site.part == "base" else "the generator's weights: hit on request (--fault-generator)"
    return _SITE_REASONS[site.role]


def why_no_site(survey: Survey, name: str) -> str:
    """Why a stored tensor is no site."""
    stored = survey.stored[name]
    uses = [node for node, _, _ in survey.flow.paths.uses(stored.value)]
    if not uses:
        return "nothing reads them"
    dtype, readings = stored.dtype, survey.readings(name)
    if dtype.is_floating_point():
        if quantised := [reading.quantised for reading in readings if reading.quantised]:
            return QUANTISED_INSIDE if max(quantised) > 1 else ONE_BIT
        if readings and all(reading.role == "zero_point" for reading in readings):
            return _SITE_REASONS["zero_point"]
        if readings and all(reading.role == "scale" for reading in readings):
            return "quantisation scales: registers, not memory"
        ends = [end for reading in readings for end in reading.ends if reading.role == "constant"]
        if any(standard_op(end.node) == "Gather" and end.index == 0 for end in ends):
            return "a palette: registers, not memory"
        if dtype.bitwidth <= 8:
            return f"codes of {dtype.name.lower()}, a floating type: faults hit integers"
        return "floats: not stored as integers"
    if not dtype.is_floating_point() and dtype.bitwidth > 16 and any(reads_weight(dtype, r) for r in readings):
        return f"weights of {dtype.name.lower()}, {WIDE}"
    if dtype in (ir.DataType.INT64, ir.DataType.BOOL, ir.DataType.INT32, ir.DataType.STRING):
        return "shapes, axes, indices and other data of the graph itself"
    hidden = [f"{node.domain}::{node.op_type}" for node in uses if is_vendors(node)]
    if hidden:
        return f"integers behind operators of another maker ({', '.join(dict.fromkeys(hidden))})"
    readers = ", ".join(dict.fromkeys(f"{label(node)} ({node.op_type})" for node in uses))
    return f"integers that are never dequantised: read by {readers}"
