"""Matrix products, and the triangles of matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from nfkit.learn.gradients.common import same_float
from nfkit.learn.gradients.registry import op


@op("MatMul")
def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product as in numpy."""
    return torch.matmul(*same_float(a, b))


@op("Gemm")
def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    """Computes alpha * A B + beta * C, with A and B transposed on demand."""
    a, b = same_float(a, b)
    y = torch.matmul(a.T if transA else a, b.T if transB else b)
    if alpha != 1:
        y = y * alpha
    if c is None or beta == 0:
        return y
    c = c.to(y.dtype)
    return y + (c if beta == 1 else c * beta)


@op("Einsum")
def einsum(*operands: Tensor, equation: str) -> Tensor:
    """Einstein summation."""
    y: Tensor = torch.einsum(equation, *operands)
    return y


@op("Trilu")
def trilu(x: Tensor, k: Tensor | None = None, *, upper: int = 1) -> Tensor:
    """Upper or lower triangle, zero elsewhere."""
    diagonal = 0 if k is None else int(k)
    return torch.triu(x, diagonal) if upper else torch.tril(x, diagonal)
