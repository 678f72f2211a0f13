"""Weight sites: the tensors of integers that a device holds in its weight SRAM.

A site is a stored tensor (see `nfkit.graph.memory.storage`), not a use of it: one tensor with two consumers is one
memory, and its errors hit both. Its role follows from what finally reads it (see `nfkit.graph.memory.flow`):

1. a weight operand of a convolution, matrix product, recurrent cell or table look-up: `weight`, the cells that faults
   hit;
2. a bias operand, or 32-bit codes that are added on: `bias`, listed, and faulted only on request;
3. a zero point: `zero_point`, a register rather than memory, never faulted;
4. anything else that is dequantised, such as the constants of a normalisation: `constant`, as biases;
5. integers that are never dequantised (shapes, axes, indices), and tensors without elements: no site at all.

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
from nfkit.graph.memory.foreign import refuse_hidden_weights
from nfkit.graph.memory.ranks import CODES
from nfkit.graph.memory.readings import Reading
from nfkit.graph.memory.scales import refuse_scales
from nfkit.graph.memory.storage import Stored, find_stored
from nfkit.graph.memory.survey import Survey, reads_weight
from nfkit.graph.operators.operands import Role as Role

ROLE_KEY = "nfkit.role"
"""Metadata key on nodes that nfkit adds to a model: `generator` marks the prefix of a fused file, `answer` its end."""
_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)
ADDED_ROLES = ("generator", "answer")
"""Values of that key."""


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
        part: `generator` for what nfkit put around a base, else `base`.
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

    Examples:
        >>> import nfkit
        >>> from nfkit.models import zoo
        >>> sites = nfkit.find_sites(nfkit.load_model(zoo.path("resnet8-fashion-mnist")))
        >>> weights = [site for site in sites if site.role == "weight"]
        >>> len(weights), sum(site.count for site in weights)
        (10, 77072)

    Raises:
        ModelError: When the model records bits of its codes that they do not have; see `nfkit.graph.memory.bits`.
    """
    return sites_of(Survey(model))


def sites_of(survey: Survey) -> list[WeightSite]:
    """As `find_sites`, of a model that was looked through before."""
    return [
        _site(entry, survey.bits(name), readings)
        for name, entry in survey.stored.items()
        if entry.dtype in CODES and entry.tensor.size and (readings := survey.readings(name))
    ]


def _site(entry: Stored, bits: int, readings: list[Reading]) -> WeightSite:
    roles = {reading.role for reading in readings}
    # A memory read as a weight anywhere is weight memory.
    role: Role = next((r for r in ("weight", "bias", "constant", "zero_point") if r in roles), "constant")
    if bits == 32 and role != "zero_point":
        role = "bias"
    quantised = next((reading for reading in readings if reading.scale is not None), readings[0])
    scale, zero_point = _numbers(quantised.scale, float), _numbers(quantised.zero_point, int)
    axis = quantised.axis if quantised.axis >= 0 else len(entry.shape) + quantised.axis
    generated = all(reading.node.metadata_props.get(ROLE_KEY) in ADDED_ROLES for reading in readings)
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
        ModelError: When the model stores no weights as integers, some only become integers in the graph, or their
            scales are no numbers.
        UnsupportedError: When operators of other makers read weights.
    """
    refuse_hidden_weights(model)
    survey = Survey(model)
    refuse_scales(survey)
    floats = survey.quantised_inside() if "weight" in roles else []
    if floats:
        more = f" and {len(floats) - 3} more" if len(floats) > 3 else ""
        raise ModelError(
            f"weights {', '.join(map(repr, floats[:3]))}{more} are stored as floats and quantised by the graph itself, "
            "so the file has no bits to fault: store what it makes of them first (nfkit fold), and ship that file"
        )
    parts = ("base", "generator") if generator else ("base",)
    sites = [s for s in sites_of(survey) if s.role in roles and s.part in parts]
    if not sites:
        raise ModelError(_without_integers(model, survey))
    return sites


def _without_integers(model: ir.Model, survey: Survey) -> str:
    """Why there is nothing to fault, and what to do, by the types that the weights have instead."""
    what = f"graph '{model.graph.name}' stores no weights as integers"
    others = [
        (name, entry.dtype)
        for name, entry in survey.stored.items()
        if entry.dtype not in _FLOATS and any(reads_weight(entry.dtype, reading) for reading in survey.readings(name))
    ]
    if not others:
        return (
            f"{what}, so there are no bits to fault: quantise it first (nfkit quantize), or check that no optimiser "
            "folded them to float"
        )
    name, dtype = others[0]
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    if dtype.is_floating_point():
        way = "export the model in int8 or uint8, or give its float original to nfkit quantize"
    else:
        way = "store its codes in 8 or 16 bits (nfkit fold does so where the graph casts them to these)"
    held = f"'{name}'{more} of {dtype.name.lower()}"
    return f"{what} of up to 16 bits, so there are no bits to fault, but {held}: {way}"


def codes(model: ir.Model, site: WeightSite) -> npt.NDArray[Any]:
    """The integer codes that a site stores.

    Raises:
        ModelError: When the model has no such tensor, or its content is missing.
    """
    return find_stored(model, [site.name])[0].array()


def _numbers(array: npt.NDArray[Any] | None, kind: Any) -> Any:
    return None if array is None else tuple(kind(v) for v in array.ravel())
