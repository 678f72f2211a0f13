"""What stands between a model and a runtime: what must change, and what cannot be helped."""

from __future__ import annotations

import onnx_ir as ir

from nfkit.deploy.targets.target import Target
from nfkit.graph.fusion.padding import LOWEST_OPSET, windows_in_padding
from nfkit.graph.memory.foreign import vendor_operators
from nfkit.graph.memory.storage import every_node, stored_tensors
from nfkit.graph.operators.vendors import explain
from nfkit.reports.shipping import Finding

_LISTED = 3


def findings(model: ir.Model, target: Target, opset: int | None = None) -> tuple[Finding, ...]:
    """Compares a model with what a runtime takes.

    Args:
        model: The model.
        target: The runtime.
        opset: Version of the standard operators that the file shall have; by default the nearest that is taken.
    """
    return (*_refused(model, target), *_changed(model, target, opset), *_padded(model, target, opset))


def wanted_opset(model: ir.Model, target: Target, opset: int | None) -> int:
    """The version of the standard operators that a file for the runtime has."""
    lowest, highest = target.opsets
    return opset if opset is not None else min(max(model.opset_imports.get("", lowest), lowest), highest)


def _refused(model: ir.Model, target: Target) -> list[Finding]:
    found = []
    if others := vendor_operators(model):
        found.append(Finding("operator", others[0].nodes[0], explain(others), "see there", refused=True))
    seen = set()
    for node in every_node(model):
        limit = target.limit(node)
        if limit is not None and limit.why not in seen:  # the first node stands for all with the same trouble
            seen.add(limit.why)
            found.append(Finding("operator", f"node '{node.name}'", limit.why, limit.way_out, refused=True))
    typed: dict[str, list[str]] = {}
    for name, stored in stored_tensors(model).items():
        if stored.dtype.name in target.types:
            typed.setdefault(stored.dtype.name, []).append(name)
    for kind, names in typed.items():
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        where = f"tensor{'s' * (len(names) > 1)} {', '.join(map(repr, names[:_LISTED]))}{more}"
        way_out = "quantise the model to 8 bits, unpacked, or run it in ONNX Runtime"
        found.append(Finding("type", where, f"stored as {kind.lower()}", way_out, refused=True))
    return found


def _changed(model: ir.Model, target: Target, opset: int | None) -> list[Finding]:
    found = []
    written, wanted = model.opset_imports.get(""), wanted_opset(model, target, opset)
    if written is not None and written != wanted:
        verb = "lifted" if written < wanted else "lowered"
        found.append(Finding("opset", "the file", f"operators of version {written}", f"{verb} to {wanted}"))
    nodes = list(model.graph)
    if not target.branches and (inner := next((n for n in every_node(model) if n.op_type == "If"), None)) is not None:
        found.append(Finding("branch", f"node '{inner.name}'", "If", "written as two files, a front and a back"))
    softmax = next((n for n in nodes if n.op_type == "Softmax" and not n.domain), None)
    if target.spelt_softmax and softmax is not None:
        what = "Softmax, which this runtime computes wrongly between codes, without an error"
        found.append(Finding("softmax", f"node '{softmax.name}'", what, "spelt out in five operators"))
    free = [v for v in model.graph.inputs if v.shape is not None and len(v.shape) and not isinstance(v.shape[0], int)]
    if target.one_sample and free:
        found.append(Finding("batch", f"input '{free[0].name}'", "a batch of any size", "fixed to one sample"))
    return found


def _padded(model: ir.Model, target: Target, opset: int | None) -> list[Finding]:
    covered = windows_in_padding(model) if target.spelt_padding else []
    if not covered:
        return []
    more = f" and {len(covered) - 1} more" if len(covered) > 1 else ""
    where = f"node '{covered[0].name}'{more}"
    what = "a window that lies wholly in the padding, which this runtime computes from memory that holds anything"
    if wanted_opset(model, target, opset) < LOWEST_OPSET:
        way_out = f"ask for operators of version {LOWEST_OPSET} or later, by --opset"
        return [Finding("padding", where, what, way_out, refused=True)]
    return [Finding("padding", where, what, "padded by an operator of its own")]
