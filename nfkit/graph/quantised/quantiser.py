"""What QONNX's Quant node computes.

    Quant(x, scale, zero point, bits) = (round(clamp(x / scale + zero point)) - zero point) * scale

in float32 (github.com/fastmachinelearning/qonnx, IntQuant).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import UnsupportedError
from nfkit.graph.quantised.known import known

Floats = npt.NDArray[np.float32]

_HALF = np.float32(0.5)
_ROUNDINGS: dict[str, Callable[[Floats], Floats]] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda y: np.copysign(np.ceil(np.abs(y)), y),
    "DOWN": np.trunc,
    "ROUND_TO_ZERO": np.trunc,
    # A fraction is exact in float32, where y + 0.5 may round up to the next integer.
    "HALF_UP": lambda y: np.trunc(y) + np.copysign(np.abs(y - np.trunc(y)) >= _HALF, y),
    "HALF_DOWN": lambda y: np.trunc(y) + np.copysign(np.abs(y - np.trunc(y)) > _HALF, y),
}
WIDEST = 32
"""Bits of the widest codes that are understood."""


@dataclass(frozen=True)
class Quantiser:
    """What a Quant node asks for.

    Attributes:
        scale: Broadcasts against the values.
        zero_point: Broadcasts against the values; any number.
        bits: Bits of a code.
        signed: Whether codes are signed.
        narrow: Whether the range is one code shorter: the lowest of signed codes, the highest of others.
        rounding: One of the names of QONNX.
    """

    scale: Floats
    zero_point: Floats
    bits: int
    signed: bool
    narrow: bool
    rounding: str

    @property
    def low(self) -> int:
        """The least code."""
        return -(1 << (self.bits - 1)) + self.narrow if self.signed else 0

    @property
    def high(self) -> int:
        """The greatest code."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1 - self.narrow

    def codes(self, x: Floats) -> Floats:
        """Codes of some values, as floats."""
        with np.errstate(all="ignore"):  # what is not finite is refused by the caller
            y = x / self.scale + self.zero_point
            clamped = np.minimum(np.maximum(y, np.float32(self.low)), np.float32(self.high))
            return np.asarray(_ROUNDINGS[self.rounding](clamped), np.float32)

    @property
    def axes(self) -> list[int]:
        """Axes along which scale or zero point vary, counted from the end."""
        shape = np.broadcast_shapes(self.scale.shape, self.zero_point.shape)
        return [index - len(shape) for index, extent in enumerate(shape) if extent > 1]

    def flat(self) -> tuple[Floats, Floats]:
        """Scale and zero point as DequantizeLinear takes them: one number each, or one along the only axis."""
        shape = np.broadcast_shapes(self.scale.shape, self.zero_point.shape)
        to: tuple[int, ...] = (-1,) if self.axes else ()
        scale, zero = (np.broadcast_to(p, shape).reshape(to) for p in (self.scale, self.zero_point))
        return np.array(scale, np.float32), np.array(zero, np.float32)

    @property
    def has_whole_zero_points(self) -> bool:
        """Whether the zero points are codes of the type that holds the codes."""
        low, high = (-(2**7), 2**7 - 1) if self.signed else (0, 2**8 - 1)
        z = self.zero_point
        return bool(np.all((np.rint(z) == z) & (z >= low) & (z <= high)))


def read(node: ir.Node) -> Quantiser:
    """What a Quant node asks for.

    Raises:
        UnsupportedError: When the graph computes it, or it is no integer quantiser of 1 to 32 bits.
    """
    names = ("scale", "zero point", "bit width")
    numbers = [known(node.inputs[index]) if index < len(node.inputs) else None for index in (1, 2, 3)]
    for name, number in zip(names, numbers, strict=True):
        if number is None:
            raise UnsupportedError(f"its {name} is computed by the graph: store it as a constant (qonnx-cleanup)")
    scale, zero_point, width = (np.asarray(number) for number in numbers)
    if np.unique(width).size != 1 or float(width.ravel()[0]) % 1 or not 1 <= float(width.ravel()[0]) <= WIDEST:
        raise UnsupportedError(
            f"its bit width is {', '.join(f'{w:g}' for w in np.unique(width)[:4])}: give one whole number from 2 to 8"
        )
    mode = node.attributes["rounding_mode"].as_string().upper() if "rounding_mode" in node.attributes else "ROUND"
    if mode not in _ROUNDINGS:
        raise UnsupportedError(f"its rounding mode {mode} is unknown: use one of {', '.join(_ROUNDINGS)}")
    if not (np.isfinite(scale).all() and np.isfinite(zero_point).all() and np.all(scale != 0)):
        raise UnsupportedError("its scale or zero point is 0 or no number: train or export the model again")
    signed, narrow = (
        bool(node.attributes[name].as_int()) if name in node.attributes else default
        for name, default in (("signed", True), ("narrow", False))
    )
    bits = int(width.ravel()[0])
    return Quantiser(scale.astype(np.float32), zero_point.astype(np.float32), bits, signed, narrow, mode)
