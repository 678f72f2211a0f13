"""The nodes of a canonical view, ready to run in torch: each a kernel with its attributes, and the names of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients import Entry, find
from nfkit.learn.gradients.reference import constant_nodes, reference_entry

Environment = dict[str, Tensor]
"""Values of a graph by name."""


@dataclass(frozen=True)
class Step:
    """One node, ready to run: kernel, attributes, and the names of what it reads and writes."""

    node: str
    op: str
    entry: Entry
    attributes: Mapping[str, Any]
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]

    def run(self, values: Environment) -> None:
        """Computes the node's outputs from its inputs, in place in `values`."""
        operands = [values[name] if name is not None else None for name in self.inputs]
        try:
            results = self.entry.kernel(*operands, **self.attributes)
        except UnsupportedError as error:
            raise UnsupportedError(f"node '{self.node}': {error}") from None
        except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
            given = ", ".join("none" if x is None else f"{x.dtype} {list(x.shape)}" for x in operands)
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise UnsupportedError(
                f"node '{self.node}' ({self.op}) cannot be computed of {given.replace('torch.', '')}: {reason}"
            ) from error
        if not isinstance(results, tuple):
            results = (results,)
        # Kernels may return optional outputs that the node does not name.
        values.update(zip(self.outputs, results, strict=False))


def as_tensor(array: npt.NDArray[Any] | Tensor) -> Tensor:
    """A tensor of its own memory, in the type that kernels hold an array's type in."""
    if isinstance(array, Tensor):
        return array
    kind = array.dtype.name
    if kind == "bfloat16":  # which NumPy hands over as bits only
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    if kind.startswith("float") and array.dtype.itemsize == 1:  # float8, float4: float32 has all their values
        array = array.astype(np.float32)
    if kind in ("int4", "uint4", "int2", "uint2"):  # torch does not know them: one code a byte
        array = array.astype(np.uint8 if kind.startswith("u") else np.int8)
    return torch.from_numpy(array if array.flags.writeable else array.copy())  # torch shares memory, and may write


def make_steps(view: ir.Model) -> list[Step]:
    """The nodes of a canonical view in order, ready to run; every operator of it must have a kernel."""
    fixed = constant_nodes(view.graph)
    return [_step(node, view, fixed) for node in view.graph]


def entry_of(node: ir.Node, model: ir.Model, fixed: set[ir.Node]) -> Entry | None:
    """The kernel of a node; what only constants have a part in needs none that knows gradients, or every attribute."""
    opset = model.opset_imports.get(node.domain, 1)
    entry = find(node.op_type, opset, node.domain)
    if node.op_type == "Div" and any(
        v is not None and v.dtype is not None and v.dtype.is_integer() for v in node.inputs
    ):
        entry = find("IntegerDiv", 1, "nfkit")  # codes are floats here, whose quotients would not be whole
    if node in fixed and (entry is None or set(node.attributes) - entry.attributes):
        return reference_entry(node, opset)
    return entry


def _step(node: ir.Node, model: ir.Model, fixed: set[ir.Node]) -> Step:
    entry = entry_of(node, model, fixed)
    assert entry is not None  # refuse_unsupported has looked
    attributes = {name: _attribute(a) for name, a in node.attributes.items() if name in entry.attributes}
    if "num_outputs" in entry.attributes:  # Split before opset 18 tells by its outputs alone
        attributes.setdefault("num_outputs", len(node.outputs))
    return Step(
        node=node.name or str(node.outputs[0].name),
        op=node.op_type,
        entry=entry,
        attributes=attributes,
        inputs=tuple(str(v.name) if v is not None else None for v in node.inputs),
        outputs=tuple(str(v.name) for v in node.outputs),
    )


def _attribute(attribute: ir.Attr) -> Any:
    value = attribute.value
    if isinstance(value, ir.TensorProtocol):
        return as_tensor(np.array(value.numpy()))
    return list(value) if isinstance(value, tuple) else value
