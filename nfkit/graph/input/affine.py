"""The way from images to a model's input and back, once: a list of steps that every tier carries out in its own terms.

    uint8 [N, H, W, C] -> levels [N, C, H, W] in [-1, 1] -> the model's input [N, *shape] in its own type

The steps are the only place that knows the affine rule (level * half width + centre) and the transposition. NumPy
carries them out here, torch in `nfkit.learn.objective`, and a fused file holds them as nodes, which
`nfkit.graph.fusion.interface` writes. All three give the same bits: each step is one float32 operation, in one order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from nfkit.graph.input.spec import InputSpec


@dataclass(frozen=True)
class Convert:
    """To the NumPy type of that name; what it cannot hold exactly goes to the nearest value it can."""

    dtype: str


@dataclass(frozen=True)
class Saturate:
    """To the integer type of that name: rounded half to even, then held within what it can store."""

    dtype: str


@dataclass(frozen=True)
class Arrange:
    """Samples of another shape, in the same order in memory; the name is for nodes in a file."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Permute:
    """Axes in another order, the batch's first."""

    axes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """One float32 operation with a constant [C, 1, 1] or [1, 1, 1], called by its ONNX name."""

    operation: Literal["Add", "Sub", "Mul", "Div"]
    name: str
    constant: npt.NDArray[np.float32]


Step = Convert | Saturate | Arrange | Permute | Arithmetic

_OPERATIONS = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}


def image_to_levels(spec: InputSpec) -> list[Step]:
    """uint8 images [N, H, W, C] -> float32 [N, C, H, W] in [-1, 1]: 0 becomes -1 and 255 becomes 1."""
    channels, height, width = spec.image_shape
    return [
        Convert("float32"),
        Arrange("image", (height, width, channels)),
        Permute((0, 3, 1, 2)),
        Arithmetic("Div", "half_code", np.full((1, 1, 1), 127.5, np.float32)),
        Arithmetic("Sub", "one_level", np.ones((1, 1, 1), np.float32)),
    ]


def input_to_levels(spec: InputSpec) -> list[Step]:
    """The model's input [N, *shape] -> float32 [N, C, H, W] in [-1, 1].

    Raises:
        OptionError: When the valid range of the input is not known.
    """
    centre, half_width = spec.bounds()
    steps: list[Step] = [] if spec.dtype == "float32" else [Convert("float32")]
    if spec.layout == "NHWC":
        steps.append(Permute((0, 3, 1, 2)))
    elif spec.layout != "NCHW":
        steps.append(Arrange("image_shape", spec.image_shape))
    if np.any(centre != 0):
        steps.append(Arithmetic("Sub", "centre", centre))
    if np.any(half_width != 1):
        steps.append(Arithmetic("Div", "half_width", half_width))
    return steps


def levels_to_input(spec: InputSpec) -> list[Step]:
    """float32 [N, C, H, W] in [-1, 1] -> the model's input [N, *shape].

    Raises:
        OptionError: When the valid range of the input is not known.
    """
    centre, half_width = spec.bounds()
    steps: list[Step] = []
    if np.any(half_width != 1):
        steps.append(Arithmetic("Mul", "half_width", half_width))
    if np.any(centre != 0):
        steps.append(Arithmetic("Add", "centre", centre))
    if spec.layout == "NHWC":
        steps.append(Permute((0, 2, 3, 1)))
    elif spec.layout != "NCHW":
        steps.append(Arrange("sample_shape", spec.shape))
    if np.issubdtype(np.dtype(spec.dtype), np.integer):
        steps.append(Saturate(spec.dtype))
    elif spec.dtype != "float32":
        steps.append(Convert(spec.dtype))
    return steps


def carry_out(steps: list[Step], v: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Carries out the steps on an array of samples [N, ...]; the result is contiguous and the caller's own."""
    given = v
    for step in steps:
        match step:
            case Convert(dtype):
                v = v.astype(dtype)
            case Saturate(dtype):
                info = np.iinfo(dtype)
                v = np.clip(np.rint(v), info.min, info.max).astype(dtype)
            case Arrange(_, shape):
                v = v.reshape(len(v), *shape)
            case Permute(axes):
                v = v.transpose(axes)
            case Arithmetic(operation, _, constant):
                v = _OPERATIONS[operation](v, constant)
    return np.array(v, order="C") if np.may_share_memory(v, given) else np.ascontiguousarray(v)
