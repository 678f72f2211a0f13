"""Finds out what a model takes, from its graph and from what the user says.

The layout follows from the first operator that has one; the valid range from the first quantiser, carried back to the
input; both can be given instead. What can neither be found nor is given stays unknown, and is asked for when needed.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from nfkit.errors import OptionError, UnsupportedError
from nfkit.graph.input.spec import CODES_OF, LAYOUTS, InputSpec
from nfkit.graph.memory.storage import constant
from nfkit.model import check_loaded

_LARGEST = float(np.finfo(np.float32).max)
# Ranges that people normalise images to. A quantised input's range is one of these give or take a quantisation
# step, since 0 must be a code.
_CUSTOMARY = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-128.0, 127.0))


def find_input(
    model: ir.Model,
    *,
    layout: str | None = None,
    value_range: tuple[float, float] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> InputSpec:
    """Finds out what a model takes.

    Examples:
        >>> import nfkit
        >>> from nfkit.models import zoo
        >>> spec = nfkit.find_input(nfkit.load_model(zoo.path("resnet8-fashion-mnist")))
        >>> spec.layout, spec.shape, spec.low, spec.high
        ('NCHW', (1, 28, 28), (-1.0,), (1.0,))

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
    check_loaded(model)
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
    # Some exporters write -1 for a free axis, and ONNX Runtime takes it for one.
    batch, *others = (d if isinstance(d, int) and d >= 0 else None for d in value.shape)
    if None in others:
        raise UnsupportedError(
            f"input '{value.name}' has free axes besides the batch ({value.shape}): fix them first, for instance "
            "with python -m onnxruntime.tools.make_dynamic_shape_fixed"
        )
    if 0 in (batch, *others):
        raise UnsupportedError(f"input '{value.name}' of shape {value.shape} takes nothing: export the model again")
    name = value.shape[0].value if batch is None and isinstance(value.shape[0], ir.SymbolicDim) else None
    return tuple(d for d in others if d is not None), str(name or "N") if batch is None else batch


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
    raise OptionError(f"input '{value.name}' of shape {list(shape)} may be channels first or last: give --input-layout")


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
    for option, numbers in (("--mean", mean), ("--std", std), ("--range", value_range)):
        if numbers is not None and not all(abs(number) <= _LARGEST for number in numbers):
            listed = " ".join(f"{number:g}" for number in numbers)
            raise OptionError(f"{option} {listed}: give finite numbers that fit float32, such as --range -1 1")
    if (mean is None) != (std is None):
        raise OptionError("mean and std go together: give both, or --range LOW HIGH")
    if mean is not None and std is not None:
        if value_range is not None:
            raise OptionError("give either --range or --mean and --std, not both")
        channels = spec.image_shape[0]
        if len(mean) not in (1, channels) or len(std) not in (1, channels) or min(std) <= 0:
            many = "1 number" if channels == 1 else f"1 or {channels} numbers"
            raise OptionError(f"mean and std take {many} each, std above 0")
        m, s = np.broadcast_arrays(np.array(mean), np.array(std))
        if not np.abs([m / s, (1 - m) / s]).max() <= _LARGEST:
            raise OptionError("--mean and --std leave no range that float32 can hold: give those of the training")
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
    return replace(spec, low=(low,), high=(high,), source=f"{CODES_OF}'{node}'")


def _quantised_range(value: ir.Value) -> tuple[float, float, float, str] | None:
    """Range that the first QuantizeLinear can represent, carried back through a scalar affine map to the input."""
    scale, shift = 1.0, 0.0  # the chain so far computes scale * v + shift
    for node in _downstream(value):
        if node.op_type in ("Transpose", "Identity"):
            continue
        constants = [_scalar(v) for v in node.inputs if v is not None and _is_constant(v)]
        if not constants or constants[0] is None:
            return None
        c = constants[0]
        if node.op_type == "QuantizeLinear":
            zero = node.inputs[2] if len(node.inputs) > 2 else None
            dtype = np.dtype(zero.dtype.numpy()) if zero is not None and zero.dtype is not None else np.dtype("uint8")
            if not np.issubdtype(dtype, np.integer) or not (
                scale and math.isfinite(c / scale) and math.isfinite(shift)
            ):
                return None
            zero_point = (_scalar(zero) or 0.0) if zero is not None else 0.0
            ends = sorted(((q - zero_point) * c - shift) / scale for q in (np.iinfo(dtype).min, np.iinfo(dtype).max))
            return ends[0], ends[1], abs(c / scale), node.name or "QuantizeLinear"
        if node.op_type == "Mul":
            scale, shift = scale * c, shift * c
        elif node.op_type == "Add":
            shift += c
        elif node.op_type in ("Sub", "Div") and node.inputs[0] is not None and not _is_constant(node.inputs[0]):
            if node.op_type == "Div" and not c:
                return None
            scale, shift = (scale, shift - c) if node.op_type == "Sub" else (scale / c, shift / c)
        else:
            return None
    return None


def _is_constant(value: ir.Value) -> bool:
    return value.is_initializer() or constant(value) is not None


def _scalar(value: ir.Value) -> float | None:
    """The number that a constant holds, if all its elements are equal."""
    content = constant(value) if value.const_value is None else value.const_value.numpy()
    if content is None:
        return None
    numbers = np.unique(content)
    return float(numbers[0]) if len(numbers) == 1 else None
