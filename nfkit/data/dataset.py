"""Inputs and their labels, checked once, so that nothing downstream has to check them again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nfkit.errors import DataError, OptionError

Split = Literal["train", "test"]
"""Which part of a data set: what may be learnt from, or what is measured on."""

Labels = Literal["data", "base", "none"]
"""Whose labels they are: the data's own, the clean base's answers, or nobody's."""


class Dataset:
    """N inputs, and N class labels where somebody gave them. Not to be changed.

    Examples:
        >>> import numpy as np
        >>> import nfkit
        >>> images = np.zeros((10, 28, 28, 1), np.uint8)
        >>> data = nfkit.Dataset("blank", images, np.arange(10))
        >>> train, held_out = data.hold_out(0.2, seed=0)
        >>> len(train), len(held_out)
        (8, 2)

    Args:
        name: What messages and reports call it.
        x: uint8 images [N, H, W, C], or any other array [N, ...] in the model's own dtype.
        y: Class labels, int64 [N]; other integer dtypes are converted. None where there are none.
        mirror: Whether an image mirrored left to right keeps its label: not so for signs, digits and text. None where
            nobody says.
        classes: Names of the classes in the order of their numbers, where the data has any.
        labels: Whose answers y holds.
        notes: Sentences on what reading the data did to it.
        source: What to give to `load` for this data; None where it came from elsewhere.
        whole: Whether the source has one part only, which serves for training and for measuring.

    Raises:
        DataError: The arrays do not make a data set.
    """

    def __init__(
        self,
        name: str,
        x: npt.NDArray[Any],
        y: npt.NDArray[Any] | None,
        mirror: bool | None = None,
        *,
        classes: Sequence[str] | None = None,
        labels: Labels = "data",
        notes: Sequence[str] = (),
        source: str | None = None,
        whole: bool = False,
    ) -> None:
        if y is not None:
            _check_labels(name, y)
        _check_inputs(name, x)
        if y is not None and len(x) != len(y):
            raise DataError(
                f"{name}: x holds {len(x)} inputs, but y holds {len(y)} labels; give one label for each input."
            )
        if len(x) == 0:
            raise DataError(f"{name}: there are no inputs in it; give at least one input and its label.")
        if y is not None:
            y = _as_int64(name, y)
        self.name, self.x, self._y, self.mirror = name, x, y, mirror
        self.classes = None if classes is None else tuple(classes)
        self.labels: Labels = "none" if y is None else labels
        self.notes, self.source, self.whole = tuple(notes), source, whole

    @property
    def y(self) -> npt.NDArray[np.int64]:
        """Class labels [N].

        Raises:
            DataError: The data has none.
        """
        if self._y is None:
            raise DataError(
                f"{self.name}: has no labels; give some beside the inputs, or take the clean base's own answers for "
                "labels with --labels base (accuracy then means agreement with the base)."
            )
        return self._y

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return self._y is not None

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        labels = "none" if self._y is None else f"{self._y.min()}..{self._y.max()}"
        return (
            f"Dataset(name={self.name!r}, x={self.x.dtype}{list(self.x.shape)}, labels={labels}, mirror={self.mirror})"
        )

    @cached_property
    def sha256(self) -> str:
        """Hex digest over dtype, shape and bytes of x and y; the name does not count."""
        digest = hashlib.sha256()
        for array in (self.x, self._y):
            if array is None:
                digest.update(b"none;")
                continue
            # Little-endian everywhere: equal data has one digest, whatever machine computes it.
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            digest.update(f"{little.dtype.str}{list(little.shape)};".encode())
            digest.update(little.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def changed(self, **changes: Any) -> Dataset:
        """The same data with some of its attributes changed, named as the constructor's arguments."""
        kept = {
            "name": self.name, "x": self.x, "y": self._y, "mirror": self.mirror, "classes": self.classes,
            "labels": self.labels, "notes": self.notes, "source": self.source, "whole": self.whole,
        }  # fmt: skip
        return Dataset(**{**kept, **changes})

    def select(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> Dataset:
        """The inputs at `indices`, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return self.changed(x=self.x[chosen], y=None if self._y is None else self._y[chosen])

    def take(self, n: int) -> Dataset:
        """The first `n` inputs, or all of them where there are fewer."""
        if n < 1:
            raise OptionError(f"{self.name}: cannot take {n} inputs; take at least 1.")
        return self.changed(x=self.x[:n], y=None if self._y is None else self._y[:n])

    def spread(self, n: int) -> Dataset:
        """About `n` inputs evenly spaced over all, so that data sorted by class keeps its classes."""
        return self if len(self) <= n else self.select(np.linspace(0, len(self) - 1, n).astype(np.int64))

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


def from_arrays(
    name: str, x: npt.NDArray[Any], y: npt.NDArray[Any] | None, mirror: bool | None = None, **more: Any
) -> Dataset:
    """A data set from a user's arrays, which may be in other customary forms.

    Grey uint8 images [N, H, W] get their channel axis; labels as a column [N, 1] or as rows of one 1 among 0s become
    numbers.
    """
    if x.dtype == np.uint8 and x.ndim == 3:
        x = x[..., np.newaxis]
    if y is not None and y.ndim == 2 and y.dtype.kind in "biuf":
        if y.shape[1] == 1 and y.dtype.kind in "iu":
            y = y[:, 0]
        elif y.shape[1] > 1 and len(y) and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
            y = y.argmax(axis=1)
    return Dataset(name, x, y, mirror, **more)


def _as_int64(name: str, y: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if int(y.min()) < 0:
        first = int(np.argmax(y < 0))
        raise DataError(f"{name}: label {y[first]} at index {first} is negative; number the classes from 0.")
    if int(y.max()) > np.iinfo(np.int64).max:
        raise DataError(f"{name}: label {y.max()} is beyond 64 bits; number the classes from 0.")
    return y.astype(np.int64, copy=False)


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
