"""Operators without a standard form: ONNX Runtime's transposing product, and what the canonical view asks for."""

from __future__ import annotations

import torch
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients.activation import softmax_flat
from nfkit.learn.gradients.common import same_float
from nfkit.learn.gradients.registry import op

op("FlatSoftmax", domain="nfkit")(softmax_flat)


@op("FusedMatMul", domain="com.microsoft")
def fused_matmul(
    a: Tensor,
    b: Tensor,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    transBatchA: int = 0,
    transBatchB: int = 0,
) -> Tensor:
    """Matrix product of the last two axes, transposed on demand, times alpha."""
    if transBatchA or transBatchB:
        raise UnsupportedError("FusedMatMul: transposed batch axes are not supported")
    a, b = same_float(a, b)
    y: Tensor = torch.matmul(a.mT if transA else a, b.mT if transB else b)
    return y * alpha


@op("DequantizeNBits", domain="nfkit")
def dequantize_nbits(
    packed: Tensor,
    scales: Tensor,
    zero_points: Tensor | None = None,
    *,
    K: int,
    N: int,
    bits: int,
    block_size: int,
) -> Tensor:
    """Weights [K, N] of a MatMulNBits.

    Args:
        packed: Codes, uint8 [N, blocks, block_size * bits / 8], the first in the lowest bits.
        scales: One a block, [N * blocks].
        zero_points: One a block, packed like the codes row by row, or in the scales' own type;
            2^(bits - 1) by default.
        K: Rows.
        N: Columns.
        bits: Bits of a code; divides 8.
        block_size: Codes that share a scale.
    """
    blocks = -(-K // block_size)
    codes = _unpacked(packed.reshape(N, -1), bits)[:, : blocks * block_size].reshape(N, blocks, block_size)
    zeros: Tensor | float = float(2 ** (bits - 1))
    if zero_points is not None:
        if not zero_points.is_floating_point():
            zero_points = _unpacked(zero_points.reshape(N, -1), bits)[:, :blocks]
        zeros = zero_points.reshape(N, blocks, 1).to(scales.dtype)
    values: Tensor = (codes.to(scales.dtype) - zeros) * scales.reshape(N, blocks, 1)
    return values.reshape(N, blocks * block_size)[:, :K].T


def _unpacked(rows: Tensor, bits: int) -> Tensor:
    """Codes of each row of bytes, the first in the lowest bits."""
    if 8 % bits:
        raise UnsupportedError(f"MatMulNBits: codes of {bits} bits are not supported")
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8, device=rows.device)
    codes: Tensor = (rows.unsqueeze(-1) >> shifts) & (2**bits - 1)
    return codes.reshape(len(rows), -1)
