"""Samples with targets of any form, for a metric of the user's own: values, boxes, masks, texts, or none at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.data.function import call, is_function
from nfkit.data.limits import shown
from nfkit.data.npz import is_npy, read_npy_pair, read_npz_pair
from nfkit.errors import DataError


@dataclass(frozen=True, eq=False)
class Targets:
    """N samples, and what a metric compares a model's outputs with.

    Attributes:
        name: What reports call them.
        x: Samples [N, ...].
        y: Targets [N, ...] of any type and shape; None where there are none.
    """

    name: str
    x: npt.NDArray[Any]
    y: npt.NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.x)

    @cached_property
    def sha256(self) -> str:
        """Hex digest over types, shapes and bytes."""
        digest = hashlib.sha256()
        for array in (self.x, self.y):
            if array is not None:
                digest.update(f"{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def take(self, count: int) -> Targets:
        """The first samples."""
        return Targets(self.name, self.x[:count], None if self.y is None else self.y[:count])


def load_targets(source: str | Path | tuple[Any, Any]) -> Targets:
    """Reads samples and targets.

    Args:
        source: An `.npz` file, `.npy` files, `FILE.py:FUNCTION` that returns (x, y) or x, or such a pair itself.

    Raises:
        DataError: When it is none of these, or samples and targets do not go together.
    """
    if isinstance(source, tuple):
        return _checked("arrays", *source)
    text, path = str(source), Path(source).expanduser()
    if path.suffix == ".npz":
        return _checked(shown(path.name), *read_npz_pair(path, "test"))
    if is_npy(path):
        return _checked(shown(path.name), *read_npy_pair(path, "test"))
    if is_function(text):
        result = call(text, "test")
        pair = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        return _checked(text, *pair)
    raise DataError(
        f"'{shown(text)}': a metric takes samples and targets from an .npz file, .npy files or FILE.py:FUNCTION that "
        "returns (x, y)"
    )


def _checked(name: str, x: Any, y: Any) -> Targets:
    samples, targets = np.asarray(x), None if y is None else np.asarray(y)
    for array in (samples, targets):
        if array is not None and array.dtype.hasobject:
            raise DataError(f"{name}: holds Python objects, or rows of several lengths: pad them to arrays of numbers")
    if samples.ndim < 1 or not len(samples):
        raise DataError(f"{name}: there are no samples in it")
    if targets is not None and (targets.ndim < 1 or len(targets) != len(samples)):
        raise DataError(f"{name}: {len(samples)} samples, and targets of shape {list(targets.shape)}: one a sample")
    return Targets(name, samples, targets)
