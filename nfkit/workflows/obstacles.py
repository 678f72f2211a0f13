"""What stands against evaluating and protecting a model, as far as the file tells."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import onnx_ir as ir

from nfkit.energy.shapes import infer_shapes
from nfkit.errors import NfkitError
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.record import describe_faults
from nfkit.graph.input.positions import refuse_positions
from nfkit.graph.memory.foreign import vendor_operators
from nfkit.graph.memory.sites import fault_sites
from nfkit.graph.operators.vendors import explain
from nfkit.workflows.inputs import find_spec


@dataclass(frozen=True)
class Obstacles:
    """What stands against a model, one sentence each.

    Attributes:
        evaluating: Against measuring it under bit errors.
        protecting: Against training a generator for it, besides those.
    """

    evaluating: tuple[str, ...]
    protecting: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The obstacles for a record."""
        return {"evaluating": list(self.evaluating), "protecting": list(self.protecting)}


def find_obstacles(model: ir.Model, **about_input: Any) -> Obstacles:
    """Lists what stands against evaluating and protecting a model. Whether ONNX Runtime runs it is not tried.

    Args:
        model: The model; not changed.
        about_input: What the user says of the input; as for `nfkit.workflows.inputs.find_spec`.
    """
    evaluating: list[str] = []
    if faults := describe_faults(model):
        evaluating.append(f"it holds {faults}: nfkit inject --remove takes them out")
    try:
        find_spec(model, **about_input)
    except NfkitError as error:
        evaluating.append(str(error))
    if others := vendor_operators(model):
        evaluating.append(f"it holds {explain(others)}")
    else:
        try:
            fault_sites(split(model)[1] if is_fused(model) and not faults else model)
        except NfkitError as error:
            evaluating.append(str(error))
    if unfit := _unfit_output(model):
        evaluating.append(unfit)
    return Obstacles(tuple(evaluating), tuple(_against_protecting(model)))


def _against_protecting(model: ir.Model) -> list[str]:
    found = []
    if is_fused(model):
        found.append("it has a generator in front already: nfkit split takes it apart")
    try:
        refuse_positions(model)
    except NfkitError as error:
        found.append(str(error))
    return found


def _unfit_output(model: ir.Model) -> str | None:
    """Why the first output is no score a class, where its shape is known."""
    first = model.graph.outputs[0] if model.graph.outputs else None
    if first is None:
        return "the model has no output"
    shape = infer_shapes(model).get(str(first.name))
    if shape is None or (len(shape) > 1 and prod(shape[1:]) == max(shape[1:]) > 1):
        return None
    return (
        f"output '{first.name}' has shape {list(shape)}: accuracy needs one score a class as the first output, "
        "[N, classes]; nfkit evaluate --metric takes any other figure of the outputs"
    )
