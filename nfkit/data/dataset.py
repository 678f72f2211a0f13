"""Inputs and their labels, checked once, so that nothing downstream has to check them again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nfkit.errors import DataError, OptionError

Split = Literal["train", "test"]
"""Which part of a data set: what may be learnt from, or what is measured on."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """N inputs and N class labels.

    Attributes:
        name: What messages and reports call it.
        x: uint8 images [N, H, W, C], or any other array [N, ...] in the model's own dtype.
        y: Class labels, int64 [N]; other integer dtypes are converted.
        mirror: Whether an image mirrored left to right keeps its label. False for signs, digits and text.

    Raises:
        DataError: The arrays do not make a data set.
    """

    name: str
    x: npt.NDArray[Any]
    y: npt.NDArray[np.int64]
    mirror: bool = False

    def __post_init__(self) -> None:
        _check_labels(self.name, self.y)
        _check_inputs(self.name, self.x)
        if len(self.x) != len(self.y):
            raise DataError(
                f"{self.name}: x holds {len(self.x)} inputs, but y holds {len(self.y)} labels; "
                "give one label for each input."
            )
        if len(self.x) == 0:
            raise DataError(f"{self.name}: there are no inputs in it; give at least one input and its label.")
        # The dataclass is frozen for its users; here it is still being built.
        object.__setattr__(self, "y", self.y.astype(np.int64, copy=False))
        if self.y.min() < 0:
            first = int(np.argmax(self.y < 0))
            raise DataError(
                f"{self.name}: label {self.y[first]} at index {first} is negative; number the classes from 0."
            )

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        return (
            f"Dataset(name={self.name!r}, x={self.x.dtype}{list(self.x.shape)}, "
            f"labels={self.y.min()}..{self.y.max()}, mirror={self.mirror})"
        )

    @cached_property
    def sha256(self) -> str:
        """Hex digest over dtype, shape and bytes of x and y; the name does not count."""
        digest = hashlib.sha256()
        for array in (self.x, self.y):
            # Little-endian everywhere: equal data has one digest, whatever machine computes it.
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            digest.update(f"{little.dtype.str}{list(little.shape)};".encode())
            digest.update(little.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def select(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> Dataset:
        """The inputs at `indices`, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Dataset(self.name, self.x[chosen], self.y[chosen], self.mirror)

    def take(self, n: int) -> Dataset:
        """The first `n` inputs, or all of them where there are fewer."""
        if n < 1:
            raise OptionError(f"{self.name}: cannot take {n} inputs; take at least 1.")
        return Dataset(self.name, self.x[:n], self.y[:n], self.mirror)

    def hold_out(self, fraction: float, seed: int) -> tuple[Dataset, Dataset]:
        """Splits the inputs at random into two disjoint parts, each in the original order.

        Args:
            fraction: Share to hold out, between 0 and 1; at least one input goes to either part.
            seed: The same non-negative seed makes the same split on every machine.

        Returns:
            The rest, and the part held out.
        """
        if not 0 < fraction < 1:
            raise OptionError(f"Cannot hold out a fraction of {fraction}; give one between 0 and 1.")
        if seed < 0:
            raise OptionError(f"Cannot hold out with seed {seed}; give one that is not negative.")
        if len(self) < 2:
            raise DataError(f"{self.name}: cannot hold out part of a single input; give at least two.")
        # Sorting raw Philox words, and not Generator.permutation: NumPy keeps bit streams between its
        # versions, but not what its distributions make of them.
        words = np.random.Philox(key=seed).random_raw(len(self))
        order = np.argsort(words, kind="stable")
        count = min(max(round(fraction * len(self)), 1), len(self) - 1)
        return self.select(np.sort(order[count:])), self.select(np.sort(order[:count]))

    def check_labels(self, classes: int) -> None:
        """Checks that a model with `classes` outputs can be right about every label.

        Raises:
            DataError: A label is `classes` or more.
        """
        if self.y.max() >= classes:
            first = int(np.argmax(self.y >= classes))
            raise DataError(
                f"{self.name}: label {self.y[first]} at index {first} is beyond the model's {classes} "
                f"classes (0 to {classes - 1}); give data with the labels that the model was trained on."
            )


def from_arrays(name: str, x: npt.NDArray[Any], y: npt.NDArray[Any], mirror: bool = False) -> Dataset:
    """A data set from a user's arrays; grey uint8 images [N, H, W] get their channel axis."""
    if x.dtype == np.uint8 and x.ndim == 3:
        x = x[..., np.newaxis]
    return Dataset(name, x, y, mirror)


def _check_labels(name: str, y: npt.NDArray[Any]) -> None:
    if y.ndim != 1:
        raise DataError(
            f"{name}: y has shape {list(y.shape)}, but labels are one class number for each input, "
            "shape [N]; reduce one-hot labels with y.argmax(axis=1), and a column with y.reshape(-1)."
        )
    if y.dtype.kind not in "iu":
        raise DataError(f"{name}: y is {y.dtype}, but labels are integers; convert them with y.astype(numpy.int64).")


def _check_inputs(name: str, x: npt.NDArray[Any]) -> None:
    if x.dtype.kind not in "biuf":
        raise DataError(
            f"{name}: x is {x.dtype}, but inputs are numbers; give uint8 images or the model's own input dtype."
        )
    if x.ndim < 2:
        raise DataError(
            f"{name}: x has shape {list(x.shape)}, but needs an axis of inputs and at least one of features; "
            "give images [N, H, W, C] or features [N, F]."
        )
    if x.dtype.kind == "f":
        bad = ~np.isfinite(x)
        count = int(np.count_nonzero(bad))
        if count:
            where = np.unravel_index(int(np.argmax(bad)), x.shape)
            index = [int(i) for i in where]
            raise DataError(
                f"{name}: x holds {count} values that are NaN or infinite, the first at index {index}; "
                "remove or replace those inputs."
            )
