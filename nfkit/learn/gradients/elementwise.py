"""Element-wise arithmetic, comparison, logic and element types."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients.common import dtype_of, widened
from nfkit.learn.gradients.registry import op

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "BitwiseNot": torch.bitwise_not,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "IsNaN": torch.isnan,
    "Log": torch.log,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Round": torch.round,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Sqrt": torch.sqrt,
    "Tan": torch.tan,
}

_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "And": torch.logical_and,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Mul": torch.mul,
    "Or": torch.logical_or,
    "Sub": torch.sub,
    "Xor": torch.logical_xor,
}


def _add_all(xs: tuple[Tensor, ...]) -> Tensor:
    return functools.reduce(torch.add, xs)


_VARIADIC: dict[str, Callable[[tuple[Tensor, ...]], Tensor]] = {
    "Max": lambda xs: functools.reduce(torch.maximum, xs),
    "Mean": lambda xs: _add_all(xs) / len(xs),
    "Min": lambda xs: functools.reduce(torch.minimum, xs),
    "Sum": _add_all,
}


def _unary(function: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    return widened(lambda x: function(x))


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Any]:
    return widened(lambda a, b: function(a, b))


def _variadic(function: Callable[[tuple[Tensor, ...]], Tensor]) -> Callable[..., Any]:
    return widened(lambda *xs: function(xs))


for _name, _one in _UNARY.items():
    op(_name)(_unary(_one))
for _name, _two in _BINARY.items():
    op(_name)(_binary(_two))
for _name, _many in _VARIADIC.items():
    op(_name)(_variadic(_many))


@op("Div")
@widened
def div(a: Tensor, b: Tensor) -> Tensor:
    """Quotient; of integers, truncated towards zero."""
    if a.is_floating_point() or b.is_floating_point():
        return torch.div(a, b)
    return torch.div(a, b, rounding_mode="trunc")


@op("IntegerDiv", domain="nfkit")
@widened
def integer_div(a: Tensor, b: Tensor) -> Tensor:
    """Quotient of integers, truncated towards zero; that of floating codes passes its gradient straight."""
    whole = torch.div(a, b, rounding_mode="trunc")
    if not whole.is_floating_point():
        return whole
    quotient = torch.div(a, b)
    return quotient + (whole - quotient).detach()


@op("Mod")
@widened
def mod(a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    """Remainder with the sign of the divisor, or of the dividend where fmod is set."""
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


@op("Pow", since=7)
def power(x: Tensor, y: Tensor) -> Tensor:
    """Power x ** y, in the type of x."""
    exponent = y if y.is_floating_point() else y.to(torch.int64)
    return torch.pow(x, exponent).to(x.dtype)


@op("Where")
def where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Takes x where the condition holds, y elsewhere."""
    return torch.where(condition, x, y)


@op("Cast")
def cast(x: Tensor, *, to: int, saturate: int = 1, round_mode: str = "up") -> Tensor:
    """Conversion to another element type; to integers it truncates and has no gradient."""
    return x.to(dtype_of(to, "Cast"))


@op("CastLike")
def cast_like(x: Tensor, target: Tensor, *, saturate: int = 1, round_mode: str = "up") -> Tensor:
    """Conversion to the element type of another tensor."""
    if target.dtype.is_floating_point and target.element_size() == 1:
        raise UnsupportedError(f"CastLike: element type {target.dtype} is not supported")
    return x.to(target.dtype)
