"""Quantisation scales that a graph spells out as multiplications."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def product(
    number: npt.NDArray[Any] | None, behind: npt.NDArray[Any] | None, *, inverse: bool
) -> npt.NDArray[Any] | None:
    """The scale of a multiplication and what is multiplied by behind it; None where it is not one number an axis."""
    if number is None:
        return behind
    with np.errstate(divide="ignore"):
        factor = np.asarray(1 / number.astype(np.float64)) if inverse else number
    if sum(extent > 1 for extent in factor.shape) > 1:  # a mask, or blocks
        return behind
    if behind is None:
        return factor
    return np.asarray(factor * behind) if 1 in (factor.size, behind.size) else None


def broadcast_axis(scale: npt.NDArray[Any] | None) -> int:
    """Where scales that a Mul broadcasts vary, counted from the last axis."""
    if scale is None:
        return 0
    return next((i - scale.ndim for i, extent in enumerate(scale.shape) if extent > 1), 0)
