"""Quantisation and dequantisation, and the product of codes.

QuantizeLinear returns its codes as an integer-valued *floating* tensor: rounding passes the gradient straight
through, and saturated elements pass none. Codes of up to 8 bits are exact even in bfloat16.
"""

from __future__ import annotations

from typing import Any

import torch
from onnx import TensorProto
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients.common import along, dtype_of
from nfkit.learn.gradients.registry import op

_CODES = (torch.int8, torch.uint8, torch.int16, torch.uint16, torch.int32)


class _Round(torch.autograd.Function):
    """Rounds half to even; the gradient passes as if nothing had happened."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def _round(x: Tensor) -> Tensor:
    rounded: Tensor = _Round.apply(x)  # type: ignore[no-untyped-call]
    return rounded


def _spread(parameter: Tensor, x: Tensor, axis: int, block_size: int, where: str) -> Tensor:
    """Shapes a scale or zero point to broadcast against x: per tensor, per axis or per block."""
    if parameter.ndim == 0 or (parameter.numel() == 1 and not block_size):
        return parameter.reshape(())
    if block_size:
        if parameter.ndim != x.ndim:
            raise UnsupportedError(f"{where}: blocked scales must have the rank of the input")
        return parameter.repeat_interleave(block_size, dim=axis).narrow(axis, 0, x.shape[axis])
    if parameter.ndim == 1:
        return along(parameter, axis, x.ndim)
    raise UnsupportedError(f"{where}: scales of shape {list(parameter.shape)} need a block_size")


@op("QuantizeLinear")
def quantize_linear(
    x: Tensor,
    y_scale: Tensor,
    y_zero_point: Tensor | None = None,
    *,
    axis: int = 1,
    saturate: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
) -> Tensor:
    """Codes round(x / scale) + zero point, half to even, clamped to the code range; kept floating."""
    if precision and dtype_of(precision, "QuantizeLinear") is not y_scale.dtype:
        raise UnsupportedError("QuantizeLinear: a precision other than the scale's type is not supported")
    if y_zero_point is not None:
        codes = y_zero_point.dtype
    else:
        codes = dtype_of(output_dtype or TensorProto.UINT8, "QuantizeLinear")
    if codes not in _CODES:
        raise UnsupportedError(f"QuantizeLinear: code type {codes} is not supported")
    if not x.is_floating_point():
        x = x.to(y_scale.dtype)
    scale = _spread(y_scale.to(x.dtype), x, axis, block_size, "QuantizeLinear")
    y = _round(x / scale)
    if y_zero_point is not None:
        y = y + _spread(y_zero_point.to(x.dtype), x, axis, block_size, "QuantizeLinear")
    limits = torch.iinfo(codes)
    return y.clamp(limits.min, limits.max)


@op("DequantizeLinear")
def dequantize_linear(
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Tensor:
    """Values (x - zero point) * scale, for integer x or floating codes.

    The result has the scale's type, except that floating codes in bfloat16 or float64 keep theirs.
    """
    if x.dtype in (torch.bfloat16, torch.float64):
        dtype = x.dtype
    elif output_dtype:
        dtype = dtype_of(output_dtype, "DequantizeLinear")
    else:
        dtype = x_scale.dtype
    scale = _spread(x_scale, x, axis, block_size, "DequantizeLinear")
    values = x if x.is_floating_point() else x.to(torch.int32)
    if x_zero_point is not None:
        values = values - _spread(x_zero_point.to(values.dtype), x, axis, block_size, "DequantizeLinear")
    compute = dtype if x.dtype is dtype else scale.dtype
    return (values.to(compute) * scale.to(compute)).to(dtype)


@op("DynamicQuantizeLinear")
def dynamic_quantize_linear(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Quantises to uint8 over the range of x; the gradient takes scale and zero point as constants."""
    values = x.detach()
    low, high = values.min().clamp(max=0), values.max().clamp(min=0)
    scale = (high - low) / 255
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero_point = torch.round((-low / scale).clamp(0, 255))
    codes = (_round(x / scale) + zero_point).clamp(0, 255)
    return codes, scale, zero_point.to(torch.uint8)


@op("MatMulInteger")
def matmul_integer(
    a: Tensor, b: Tensor, a_zero_point: Tensor | None = None, b_zero_point: Tensor | None = None
) -> Tensor:
    """Product of codes: int32 for integer operands (exact, in float64), floating where one is floating."""
    floating = next((operand.dtype for operand in (a, b) if operand.is_floating_point()), None)
    dtype = floating or torch.float64
    left, right = a.to(dtype), b.to(dtype)
    if a_zero_point is not None:
        rows = a_zero_point.to(dtype)
        left = left - (rows.unsqueeze(-1) if rows.ndim == 1 and rows.numel() > 1 else rows)
    if b_zero_point is not None:
        right = right - b_zero_point.to(dtype)
    product = torch.matmul(left, right)
    return product if floating else product.to(torch.int32)
