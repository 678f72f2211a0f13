"""Weight sites: the tensors of integers that a device holds in its weight SRAM.

A site is a stored tensor (see `nfkit.graph.memory.storage`), not a use of it: one tensor with two consumers is one
memory, and its errors hit both. Its role follows from what finally reads it (see `nfkit.graph.memory.flow`):

1. a weight operand of a convolution, matrix product, recurrent cell or table look-up: `weight`, the cells that faults
   hit;
2. a bias operand, or 32-bit codes that are added on: `bias`, listed, and faulted only on request;
3. a zero point: `zero_point`, a register rather than memory, never faulted;
4. anything else that is dequantised, such as the constants of a normalisation: `constant`, as biases;
5. integers that are never dequantised (shapes, axes, indices): no site at all.

Types of fewer than 8 bits are memories of that many bits a code. Blobs that pack several codes a byte, as those of
MatMulNBits, are memories of raw bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import ModelError
from nfkit.graph.memory.bits import recorded_bits
from nfkit.graph.memory.flow import Flow, Reading
from nfkit.graph.memory.foreign import refuse_hidden_weights
from nfkit.graph.memory.storage import Stored, find_stored, stored_tensors
from nfkit.graph.operators.operands import QUANTIZE, key_of
from nfkit.graph.operators.operands import Role as Role

ROLE_KEY = "nfkit.role"
"""Metadata key on nodes that nfkit adds to a model; `generator` marks the prefix of a fused file."""

_INTEGERS = (
    ir.DataType.INT2,
    ir.DataType.UINT2,
    ir.DataType.INT4,
    ir.DataType.UINT4,
    ir.DataType.INT8,
    ir.DataType.UINT8,
    ir.DataType.INT16,
    ir.DataType.UINT16,
    ir.DataType.INT32,
)


@dataclass(frozen=True)
class WeightSite:
    """A stored tensor of integers, seen as memory.

    Attributes:
        name: Name of the tensor, unique in the model.
        role: What it is read as; only `weight` is faulted by default.
        bits: Bits of one code.
        shape: Shape of the tensor.
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
    """Lists the tensors of integers that a device would hold in memory, in the order of the file.

    Raises:
        ModelError: When the model records bits of its codes that they do not have; see `nfkit.graph.memory.bits`.
    """
    flow, narrow = Flow(model), recorded_bits(model)
    sites = []
    for entry in stored_tensors(model).values():
        if (entry.node is None and entry.value.const_value is None) or entry.dtype not in _INTEGERS:
            continue
        readings = list(flow.readings(entry.value))
        if readings:
            sites.append(_site(entry, narrow.get(entry.name, entry.dtype.bitwidth), readings))
    return sites


def _site(entry: Stored, bits: int, readings: list[Reading]) -> WeightSite:
    roles = {reading.role for reading in readings}
    # A memory read as a weight anywhere is weight memory.
    role: Role = next(r for r in ("weight", "bias", "constant", "zero_point") if r in roles)
    if bits == 32 and role != "zero_point":
        role = "bias"
    quantised = next((reading for reading in readings if reading.scale is not None), readings[0])
    scale, zero_point = _numbers(quantised.scale, float), _numbers(quantised.zero_point, int)
    axis = quantised.axis if quantised.axis >= 0 else len(entry.shape) + quantised.axis
    generated = all(reading.node.metadata_props.get(ROLE_KEY) == "generator" for reading in readings)
    return WeightSite(
        name=entry.name,
        role=role,
        bits=bits,
        shape=entry.shape,
        dtype=str(np.dtype(entry.dtype.numpy())),
        scale=scale,
        zero_point=zero_point,
        axis=axis if scale is not None and len(scale) > 1 else None,
        consumers=tuple(dict.fromkeys(name for reading in readings for name in reading.consumers)),
        part="generator" if generated else "base",
    )


def fault_sites(model: ir.Model, *, generator: bool = False, roles: tuple[Role, ...] = ("weight",)) -> list[WeightSite]:
    """The sites that faults hit: the weights of the base, and on request the generator's or the biases too.

    Raises:
        ModelError: When the model stores no weights as integers, or some only become integers in the graph.
        UnsupportedError: When operators of other makers read weights.
    """
    refuse_hidden_weights(model)
    floats = weights_quantised_inside(model) if "weight" in roles else []
    if floats:
        more = f" and {len(floats) - 3} more" if len(floats) > 3 else ""
        raise ModelError(
            f"weights {', '.join(map(repr, floats[:3]))}{more} are stored as floats and quantised by the graph itself, "
            "so the file has no bits to fault: store what it makes of them first (nfkit fold), and ship that file"
        )
    parts = ("base", "generator") if generator else ("base",)
    sites = [s for s in find_sites(model) if s.role in roles and s.part in parts]
    if not sites:
        raise ModelError(
            f"graph '{model.graph.name}' stores no weights as integers, so there are no bits to fault: "
            "quantise it first (nfkit quantize), or check that no optimiser folded them to float"
        )
    return sites


def weights_quantised_inside(model: ir.Model) -> list[str]:
    """Names of floating weights that a QuantizeLinear turns into codes, as exports of fake quantisation hold them."""
    flow, found = Flow(model), []
    for entry in stored_tensors(model).values():
        if (entry.node is None and entry.value.const_value is None) or not entry.dtype.is_floating_point():
            continue
        for node, index, _ in flow.uses(entry.value):
            if key_of(node) in QUANTIZE and index == 0:
                roles = {reading.role for reading in flow.readings(node.outputs[0])}
                if "weight" in roles:
                    found.append(entry.name)
                    break
    return found


def codes(model: ir.Model, site: WeightSite) -> npt.NDArray[Any]:
    """The integer codes that a site stores.

    Raises:
        ModelError: When the model has no such tensor, or its content is missing.
    """
    return find_stored(model, [site.name])[0].array()


def _numbers(array: npt.NDArray[Any] | None, kind: Any) -> Any:
    return None if array is None else tuple(kind(v) for v in array.ravel())
