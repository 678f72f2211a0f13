"""What goes into a model: type, layout, shape and valid range of its input, found from the graph or given.

The generator works on images [N, C, H, W] in [-1, 1]; a model may want int8 codes, channels last, or normalised
floats. `InputSpec` is the bijection between the two: encoding brings data into the model's own input space, and
`centre` and `half_width` say which affine map leads from there to [-1, 1].

The clip range of the generator is the range that valid inputs have *in the model's input space*: (0 - mean) / std to
(1 - mean) / std for a network that takes normalised images, not [-1, 1].
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import DataError, OptionError, UnsupportedError

LAYOUTS = ("NCHW", "NHWC", "NHW", "NC")
"""Known layouts: images with channels first or last, one-channel images, and flat features."""

# Ranges that people normalise images to. A quantised input's range is one of these give or take a quantisation
# step, since 0 must be a code.
_CUSTOMARY = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-128.0, 127.0))


@dataclass(frozen=True)
class InputSpec:
    """The input of a model.

    Attributes:
        name: Name of the graph input.
        dtype: NumPy name of its type.
        layout: One of `LAYOUTS`.
        shape: Extents of all axes but the batch.
        batch: Fixed batch size, or the name of the symbolic one.
        low: Smallest valid value, one number or one a channel; None where neither graph nor user says.
        high: Largest valid value, of the same length.
        source: Where the range comes from, for reports.
    """

    name: str
    dtype: str
    layout: str
    shape: tuple[int, ...]
    batch: int | str
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None
    source: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) as the generator sees the input."""
        if self.layout == "NCHW":
            return self.shape  # type: ignore[return-value]
        if self.layout == "NHWC":
            return self.shape[2], self.shape[0], self.shape[1]
        return (1, *self.shape) if self.layout == "NHW" else (1, 1, self.shape[0])  # type: ignore[return-value]

    def bounds(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Centre and half width of the valid range, each [C, 1, 1] or [1, 1, 1]: x = (v - centre) / half_width.

        Raises:
            OptionError: When the range is not known.
        """
        if self.low is None or self.high is None:
            raise OptionError(
                f"the valid range of input '{self.name}' cannot be told from the graph: "
                "give --range LOW HIGH, or --mean and --std of the normalisation it was trained with"
            )
        low, high = np.array(self.low, np.float64), np.array(self.high, np.float64)
        centre, half_width = (high + low) / 2, (high - low) / 2
        return centre.astype(np.float32).reshape(-1, 1, 1), half_width.astype(np.float32).reshape(-1, 1, 1)

    def encode(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Brings data into the model's input space.

        Args:
            x: uint8 images [N, H, W, C], whose 0 to 255 become the valid range; or an array that already has the
                model's type (any float counts as float32) and its shape, channels first or last.

        Returns:
            An array [N, *shape] of the model's type.

        Raises:
            DataError: When type, shape or values do not fit.
        """
        C, H, W = self.image_shape
        last = (H, W, C) if self.layout != "NC" else self.shape
        if x.dtype == np.uint8 and x.shape[1:] in (last, (H, W, C)):
            levels = x.astype(np.float32).reshape(-1, H, W, C).transpose(0, 3, 1, 2) / np.float32(127.5) - 1
            return self.denormalise(levels)
        wanted, given = np.dtype(self.dtype), x.dtype
        both_float = np.issubdtype(wanted, np.floating) and np.issubdtype(given, np.floating)
        if wanted != given and not both_float:
            raise DataError(
                f"the data is {given} {list(x.shape[1:])}, input '{self.name}' takes {wanted} {list(self.shape)}: "
                f"give uint8 images {[H, W, C]} or {wanted} arrays in the model's own input space"
            )
        if x.shape[1:] == self.shape:
            encoded = x
        elif self.layout == "NCHW" and x.shape[1:] == last:
            encoded = x.transpose(0, 3, 1, 2)
        elif self.layout == "NHWC" and x.shape[1:] == (C, H, W):
            encoded = x.transpose(0, 2, 3, 1)
        else:
            raise DataError(
                f"the data has shape {list(x.shape[1:])} a sample, input '{self.name}' takes {list(self.shape)} "
                f"({self.layout}): resize or transpose the data"
            )
        encoded = np.ascontiguousarray(encoded.astype(wanted, copy=False))
        self._check_range(encoded)
        return encoded

    def normalise(self, v: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Model input [N, *shape] -> float32 [N, C, H, W] in [-1, 1]."""
        centre, half_width = self.bounds()
        v = np.asarray(v, np.float32).reshape(len(v), *self.shape)
        images = v.transpose(0, 3, 1, 2) if self.layout == "NHWC" else v.reshape(len(v), *self.image_shape)
        return np.ascontiguousarray((images - centre) / half_width, dtype=np.float32)

    def denormalise(self, x: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """float32 [N, C, H, W] in [-1, 1] -> model input [N, *shape], rounded half to even for integer types."""
        centre, half_width = self.bounds()
        v = x * half_width + centre
        v = v.transpose(0, 2, 3, 1) if self.layout == "NHWC" else v.reshape(len(x), *self.shape)
        dtype = np.dtype(self.dtype)
        if np.issubdtype(dtype, np.integer):
            v = np.clip(np.rint(v), np.iinfo(dtype).min, np.iinfo(dtype).max)
        return np.ascontiguousarray(v, dtype=dtype)

    def to_dict(self) -> dict[str, Any]:
        """The input for a report."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> InputSpec:
        """The inverse of `to_dict`, for what was stored in a file."""
        tupled: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
        return cls(**tupled)

    def _check_range(self, v: npt.NDArray[Any]) -> None:
        if self.low is None or self.high is None or np.issubdtype(v.dtype, np.integer):
            return
        slack = 0.02 * (max(self.high) - min(self.low))
        if not (v.min() >= min(self.low) - slack and v.max() <= max(self.high) + slack):
            raise DataError(
                f"the data spans {v.min():.4g} to {v.max():.4g}, input '{self.name}' takes {min(self.low):.4g} to "
                f"{max(self.high):.4g} ({self.source}): preprocess the data as for the model, or give --range"
            )


def find_input(
    model: ir.Model,
    *,
    layout: str | None = None,
    value_range: tuple[float, float] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> InputSpec:
    """Finds out what a model takes.

    Args:
        model: The model; not changed.
        layout: One of `LAYOUTS`, where the shape is ambiguous or misleading.
        value_range: Smallest and largest valid input value.
        mean: Mean that images in [0, 1] were normalised with, one number or one a channel.
        std: Standard deviation to go with the mean.

    Raises:
        UnsupportedError: When the model has several inputs, or one that is no image and no feature vector.
        OptionError: When the given values contradict each other or the model.
    """
    real = [v for v in model.graph.inputs if v.name not in model.graph.initializers]
    if len(real) != 1:
        names = ", ".join(f"'{v.name}'" for v in real) or "none"
        raise UnsupportedError(f"the model has {len(real)} inputs ({names}): nfkit treats models with one")
    value = real[0]
    shape, batch = _extents(value)
    spec = InputSpec(
        name=str(value.name),
        dtype=str(np.dtype(value.dtype.numpy())) if value.dtype is not None else "float32",
        layout=_check_layout(layout, shape) if layout else _find_layout(value, shape),
        shape=shape,
        batch=batch,
        low=None,
        high=None,
        source="unknown",
    )
    return _with_range(spec, value, value_range, mean, std)


def _extents(value: ir.Value) -> tuple[tuple[int, ...], int | str]:
    if value.shape is None or len(value.shape) < 2:
        raise UnsupportedError(f"input '{value.name}' has no batch axis and shape: export the model with one")
    batch = value.shape[0]
    if any(not isinstance(d, int) for d in value.shape[1:]):
        raise UnsupportedError(
            f"input '{value.name}' has free axes besides the batch ({value.shape}): fix them first, for instance "
            "with python -m onnxruntime.tools.make_dynamic_shape_fixed"
        )
    return tuple(int(str(d)) for d in value.shape[1:]), batch if isinstance(batch, int) else str(batch.value or "N")


def _check_layout(layout: str, shape: tuple[int, ...]) -> str:
    layout = layout.upper()
    if layout not in LAYOUTS or len(layout) != len(shape) + 1:
        fitting = [known for known in LAYOUTS if len(known) == len(shape) + 1]
        raise OptionError(
            f"layout {layout} does not fit an input of shape {list(shape)}: choose {' or '.join(fitting)}"
        )
    return layout


def _find_layout(value: ir.Value, shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return "NC"
    if len(shape) == 2:
        return "NHW"
    if len(shape) != 3:
        raise UnsupportedError(f"input '{value.name}' of shape {list(shape)} is no image and no feature vector")
    for node in _downstream(value):
        if node.op_type in ("Conv", "FusedConv", "QLinearConv", "ConvInteger"):
            return "NCHW"  # ONNX convolutions know no other layout
        if node.op_type == "Transpose":
            permutation = node.attributes["perm"].as_ints() if "perm" in node.attributes else ()
            if tuple(permutation) in ((0, 3, 1, 2), (0, 2, 3, 1)):
                return "NHWC" if tuple(permutation) == (0, 3, 1, 2) else "NCHW"
        if node.op_type == "Reshape":
            break
    few = (1, 3, 4)
    if (shape[0] in few) != (shape[2] in few):
        return "NCHW" if shape[0] in few else "NHWC"
    raise OptionError(f"input '{value.name}' of shape {list(shape)} may be channels first or last: give --layout")


def _downstream(value: ir.Value) -> list[ir.Node]:
    """The chain of nodes from a value on, up to the first that is neither elementwise nor a plain move."""
    chain: list[ir.Node] = []
    while True:
        consumers = [node for node, _ in value.uses() if node.op_type not in ("Shape", "Size")]
        if not consumers:
            return chain
        # Where the value forks, any branch tells the layout; the quantised one tells the range as well.
        node = next((n for n in consumers if n.op_type == "QuantizeLinear"), consumers[0])
        chain.append(node)
        if node.op_type not in (
            "QuantizeLinear", "DequantizeLinear", "Mul", "Add", "Sub", "Div", "Cast", "Identity", "Transpose", "Clip",
        ):  # fmt: skip
            return chain
        value = node.outputs[0]


def _with_range(
    spec: InputSpec,
    value: ir.Value,
    value_range: tuple[float, float] | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> InputSpec:
    if (mean is None) != (std is None):
        raise OptionError("mean and std go together: give both, or --range LOW HIGH")
    if mean is not None and std is not None:
        if value_range is not None:
            raise OptionError("give either --range or --mean and --std, not both")
        channels = spec.image_shape[0]
        if len(mean) not in (1, channels) or len(std) not in (1, channels) or min(std) <= 0:
            raise OptionError(f"mean and std take 1 or {channels} numbers, std above 0")
        m, s = np.broadcast_arrays(np.array(mean), np.array(std))
        return replace(spec, low=tuple(-m / s), high=tuple((1 - m) / s), source="given by mean and std")
    if value_range is not None:
        if not value_range[0] < value_range[1]:
            raise OptionError(f"range {value_range[0]} to {value_range[1]} is empty: give the smaller number first")
        return replace(spec, low=(value_range[0],), high=(value_range[1],), source="given")
    dtype = np.dtype(spec.dtype)
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        return replace(spec, low=(float(info.min),), high=(float(info.max),), source=f"all {spec.dtype} codes")
    found = _quantised_range(value)
    if found is None:
        return spec
    low, high, step, node = found
    for a, b in _CUSTOMARY:
        if abs(low - a) <= 1.01 * step and abs(high - b) <= 1.01 * step:
            return replace(spec, low=(a,), high=(b,), source=f"'{node}' quantises {low:.4g} to {high:.4g}")
    return replace(spec, low=(low,), high=(high,), source=f"codes of '{node}'")


def _quantised_range(value: ir.Value) -> tuple[float, float, float, str] | None:
    """Range that the first QuantizeLinear can represent, carried back through a scalar affine map to the input."""
    scale, shift = 1.0, 0.0  # the chain so far computes scale * v + shift
    for node in _downstream(value):
        if node.op_type in ("Transpose", "Identity"):
            continue
        constants = [_scalar(v) for v in node.inputs if v is not None and v.is_initializer()]
        if not constants or constants[0] is None:
            return None
        c = constants[0]
        if node.op_type == "QuantizeLinear":
            zero = node.inputs[2] if len(node.inputs) > 2 else None
            dtype = np.dtype(zero.dtype.numpy()) if zero is not None and zero.dtype is not None else np.dtype("uint8")
            zero_point = (_scalar(zero) or 0.0) if zero is not None else 0.0
            ends = sorted(((q - zero_point) * c - shift) / scale for q in (np.iinfo(dtype).min, np.iinfo(dtype).max))
            return ends[0], ends[1], abs(c / scale), node.name or "QuantizeLinear"
        if node.op_type == "Mul":
            scale, shift = scale * c, shift * c
        elif node.op_type == "Add":
            shift += c
        elif node.op_type in ("Sub", "Div") and node.inputs[0] is not None and not node.inputs[0].is_initializer():
            scale, shift = (scale, shift - c) if node.op_type == "Sub" else (scale / c, shift / c)
        else:
            return None
    return None


def _scalar(value: ir.Value) -> float | None:
    """The number that a constant holds, if all its elements are equal."""
    if value.const_value is None:
        return None
    numbers = np.unique(value.const_value.numpy())
    return float(numbers[0]) if len(numbers) == 1 else None
