"""What several kernel modules share: element types, axes, and integer operands."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from onnx import TensorProto
from torch import Tensor

from nfkit.errors import UnsupportedError

DTYPES: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.UINT8: torch.uint8,
    TensorProto.INT8: torch.int8,
    TensorProto.UINT16: torch.uint16,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.BOOL: torch.bool,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.UINT32: torch.uint32,
    TensorProto.UINT64: torch.uint64,
    TensorProto.BFLOAT16: torch.bfloat16,
}
"""Torch types of the ONNX element types that the kernels handle."""

# torch stores these types but computes with almost none of them.
_STORED_ONLY = (torch.uint16, torch.uint32, torch.uint64)


def dtype_of(code: int, where: str) -> torch.dtype:
    """Returns the torch type of an ONNX element type; `where` names the operator in the error."""
    if code not in DTYPES:
        raise UnsupportedError(f"{where}: element type {TensorProto.DataType.Name(code)} is not supported")
    return DTYPES[code]


def integers(operand: Tensor | Sequence[int]) -> list[int]:
    """Returns a shape-like operand, an integer tensor or an attribute, as a list."""
    if isinstance(operand, Tensor):
        return [int(value) for value in operand.reshape(-1).tolist()]
    return [int(value) for value in operand]


def along(vector: Tensor, axis: int, rank: int) -> Tensor:
    """Reshapes a vector so that it broadcasts along one axis of a tensor of the given rank."""
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape)


def widened(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Lets an integer kernel take uint16 and uint32 operands by computing in int64.

    A result in int64 returns to the operands' type; a bool result stays as it is.
    """

    @functools.wraps(kernel)
    def wide(*operands: Tensor, **attributes: object) -> Tensor:
        dtype = next((x.dtype for x in operands if x.dtype in _STORED_ONLY), None)
        if dtype is None:
            return kernel(*operands, **attributes)
        if dtype is torch.uint64:
            raise UnsupportedError("arithmetic in uint64 is not supported")
        result = kernel(*(x.to(torch.int64) if x.dtype is dtype else x for x in operands), **attributes)
        return result.to(dtype) if result.dtype is torch.int64 else result

    return wide


def same_float(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Gives two floating operands one type, the one of fewer bits; other operands stay as they are."""
    if a.dtype is b.dtype or not (a.is_floating_point() and b.is_floating_point()):
        return a, b
    dtype = a.dtype if a.element_size() <= b.element_size() else b.dtype
    return a.to(dtype), b.to(dtype)
