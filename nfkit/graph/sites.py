"""Weight sites: the integer initializers that a device holds in its weight SRAM.

A site is an initializer, not a use of it: one initializer with two consumers is one memory, and its errors hit both.
Its role follows from what reads it, directly or through DequantizeLinear and operators that only move values:

1. a weight operand of a convolution, matrix product or table look-up: `weight`, the cells that faults hit;
2. a bias operand, or 32-bit codes that are added on: `bias`, listed, and faulted only on request;
3. a zero point: `zero_point`, a register rather than memory, never faulted;
4. anything else that is dequantised, such as the constants of a normalisation: `constant`, as biases;
5. integers that are never dequantised (shapes, axes, indices): no site at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import ModelError
from nfkit.graph.bits import recorded_bits

Role = Literal["weight", "bias", "zero_point", "constant"]

ROLE_KEY = "nfkit.role"
"""Metadata key on nodes that nfkit adds to a model; `generator` marks the prefix of a fused file."""

_MOVES = {
    "Transpose",
    "Reshape",
    "Identity",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Cast",
    "Slice",
    "Split",
    "Concat",
}

# Operand positions that hold weights and biases, by (domain, operator).
_OPERANDS: dict[tuple[str, str], dict[int, Role]] = {
    ("", "Conv"): {1: "weight", 2: "bias"},
    ("", "ConvTranspose"): {1: "weight", 2: "bias"},
    ("", "Gemm"): {0: "weight", 1: "weight", 2: "bias"},
    ("", "MatMul"): {0: "weight", 1: "weight"},
    ("", "Gather"): {0: "weight"},
    ("", "ConvInteger"): {1: "weight", 3: "zero_point"},
    ("", "MatMulInteger"): {0: "weight", 1: "weight", 2: "zero_point", 3: "zero_point"},
    ("", "QLinearConv"): {3: "weight", 5: "zero_point", 8: "bias"},
    ("", "QLinearMatMul"): {0: "weight", 3: "weight", 2: "zero_point", 5: "zero_point"},
    ("com.microsoft", "QGemm"): {3: "weight", 5: "zero_point", 6: "bias"},
    ("com.microsoft", "FusedConv"): {1: "weight", 2: "bias"},
    ("com.microsoft", "FusedGemm"): {0: "weight", 1: "weight", 2: "bias"},
    ("com.microsoft", "FusedMatMul"): {0: "weight", 1: "weight"},
}

# Where an operator that takes raw codes keeps the scale and zero point of an operand: operand -> (scale, zero point).
_QUANTISATION: dict[tuple[str, str], dict[int, tuple[int, int]]] = {
    ("", "QLinearConv"): {3: (4, 5)},
    ("", "QLinearMatMul"): {0: (1, 2), 3: (4, 5)},
    ("com.microsoft", "QGemm"): {3: (4, 5)},
}

_NARROW = {
    ir.DataType.INT8: 8,
    ir.DataType.UINT8: 8,
    ir.DataType.INT16: 16,
    ir.DataType.UINT16: 16,
    ir.DataType.INT32: 32,
}


@dataclass(frozen=True)
class WeightSite:
    """An integer initializer, seen as memory.

    Attributes:
        name: Name of the initializer.
        role: What it is read as; only `weight` is faulted by default.
        bits: Bits of one code.
        shape: Shape of the initializer.
        dtype: NumPy name of its integer type.
        scale: Quantisation scale, one number or one a channel; None where the graph does not say.
        zero_point: Zero point of the same length as the scale; None where the graph has none.
        axis: Axis along which the scales vary; None for one scale a tensor.
        consumers: Names (or operator types) of the nodes that use the values.
        part: `generator` for the prefix that nfkit put in front of a base, else `base`.
    """

    name: str
    role: Role
    bits: int
    shape: tuple[int, ...]
    dtype: str
    scale: tuple[float, ...] | None
    zero_point: tuple[int, ...] | None
    axis: int | None
    consumers: tuple[str, ...]
    part: Literal["base", "generator"]

    @property
    def count(self) -> int:
        """Number of codes."""
        return int(np.prod(self.shape))

    def to_dict(self) -> dict[str, Any]:
        """The site for a report."""
        return {
            "name": self.name,
            "role": self.role,
            "bits": self.bits,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "count": self.count,
            "per_axis": self.axis,
            "scale": None if self.scale is None else [min(self.scale), max(self.scale)],
            "consumers": list(self.consumers),
            "part": self.part,
        }


def find_sites(model: ir.Model) -> list[WeightSite]:
    """Lists the integer initializers that a device would hold in memory, in the order of the file.

    Raises:
        ModelError: When the model records bits of its codes that they do not have; see `nfkit.graph.bits`.
    """
    sites, narrow = [], recorded_bits(model)
    for value in model.graph.initializers.values():
        if value.dtype not in _NARROW or value.shape is None:
            continue
        bits = narrow.get(str(value.name), _NARROW[value.dtype])
        uses = list(_readings(value))
        if not uses:
            continue
        roles = {use.role for use in uses}
        # A memory read as a weight anywhere is weight memory.
        role: Role = next(r for r in ("weight", "bias", "constant", "zero_point") if r in roles)
        if bits == 32 and role != "zero_point":
            role = "bias"
        quantised = next((use for use in uses if use.scale is not None), uses[0])
        scale, zero_point = _numbers(quantised.scale, float), _numbers(quantised.zero_point, int)
        generated = all(use.node.metadata_props.get(ROLE_KEY) == "generator" for use in uses)
        sites.append(
            WeightSite(
                name=str(value.name),
                role=role,
                bits=bits,
                shape=tuple(int(d) for d in value.shape.numpy()),
                dtype=str(np.dtype(value.dtype.numpy())),
                scale=scale,
                zero_point=zero_point,
                axis=quantised.axis if scale is not None and len(scale) > 1 else None,
                consumers=tuple(dict.fromkeys(name for use in uses for name in use.consumers)),
                part="generator" if generated else "base",
            )
        )
    return sites


def fault_sites(model: ir.Model, *, generator: bool = False, roles: tuple[Role, ...] = ("weight",)) -> list[WeightSite]:
    """The sites that faults hit: the weights of the base, and on request the generator's or the biases too.

    Raises:
        ModelError: When the model stores no weights as integers.
    """
    parts = ("base", "generator") if generator else ("base",)
    sites = [s for s in find_sites(model) if s.role in roles and s.part in parts]
    if not sites:
        raise ModelError(
            f"graph '{model.graph.name}' stores no weights as integers, so there are no bits to fault: "
            "quantise it first (a QDQ model with int8 weights), or check that no optimiser folded them to float"
        )
    return sites


def codes(model: ir.Model, site: WeightSite) -> npt.NDArray[Any]:
    """The integer codes that a site stores."""
    value = model.graph.initializers[site.name]
    if value.const_value is None:
        raise ModelError(f"initializer '{site.name}' has no data: load the model with its external data beside it")
    return np.asarray(value.const_value.numpy())


@dataclass(frozen=True)
class _Reading:
    node: ir.Node  # the first node that reads the initializer
    role: Role
    consumers: tuple[str, ...]
    scale: ir.Value | None = None
    zero_point: ir.Value | None = None
    axis: int | None = None


def _readings(value: ir.Value) -> Iterator[_Reading]:
    """How the nodes that read an integer value read it, as far as that makes it memory."""
    for node, index in value.uses():
        key = (node.domain, node.op_type)
        if node.op_type in ("DequantizeLinear", "QuantizeLinear") and index == 2:
            yield _Reading(node, "zero_point", (_label(node),))
        elif node.op_type == "DequantizeLinear" and index == 0:
            ends = list(_ends(node.outputs[0]))
            roles = {role for role, _ in ends}
            role: Role = next((r for r in ("weight", "bias") if r in roles), "constant")
            operands = (*node.inputs, None, None)
            attribute = node.attributes.get("axis")
            axis = attribute.as_int() if attribute is not None else 1
            names = tuple(name for _, name in ends)
            yield _Reading(node, role, names, operands[1], operands[2], axis)
        elif key in _OPERANDS and index in _OPERANDS[key] and key != ("", "Gather"):
            at = _QUANTISATION.get(key, {}).get(index)
            operands = (*node.inputs, *[None] * 9)
            scale, zero_point = (operands[at[0]], operands[at[1]]) if at else (None, None)
            yield _Reading(node, _OPERANDS[key][index], (_label(node),), scale, zero_point, 0)
        elif _moves(node, index) or (key == ("", "Gather") and index == 0):
            for reading in (r for output in node.outputs for r in _readings(output)):
                # Rows that are looked up before they are dequantised are a table's, whatever is done with them.
                table = node.op_type == "Gather" and reading.role == "constant"
                yield replace(reading, node=node, role="weight" if table else reading.role)


def _moves(node: ir.Node, index: int) -> bool:
    """Whether a node passes the values of its operand on, unchanged but for their place, or faulted by nfkit."""
    if node.domain:
        return node.domain == "nfkit" and index == 0
    return node.op_type in _MOVES and (index == 0 or node.op_type == "Concat")


def _ends(value: ir.Value) -> Iterator[tuple[Role, str]]:
    """Roles and names of the nodes that finally use a dequantised value."""
    for node, index in value.uses():
        if _moves(node, index):
            for output in node.outputs:
                yield from _ends(output)
        else:
            role = _OPERANDS.get((node.domain, node.op_type), {}).get(index, "constant")
            yield role, _label(node)


def _label(node: ir.Node) -> str:
    return node.name or node.op_type


def _numbers(value: ir.Value | None, kind: Any) -> Any:
    if value is None or value.const_value is None:
        return None
    return tuple(kind(v) for v in value.const_value.numpy().ravel())
