"""What a base is to everything that only asks it: something that answers a batch with scores.

A base may be a file, a Python callable or an address. `Base` is what the three have in common. Where a base can be
opened, `graph` is what is inside: gradients and weight sites come from there, and from nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.errors import AccessError, NfkitError, UnsupportedError
from nfkit.model import sha256

Scores = npt.NDArray[np.float32]
"""Answers [N, classes]; where a base names its best class only, 1 there and 0 elsewhere."""

Answers = Literal["scores", "top-1"]


@dataclass(frozen=True)
class Tensor:
    """An input or output, as a base describes it.

    Attributes:
        name: Its name.
        dtype: NumPy name of its type.
        shape: Extents of all axes, the batch first; -1 where one is free.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def sample(self) -> tuple[int, ...]:
        """Extents of one sample."""
        return self.shape[1:]

    def __str__(self) -> str:
        return f"'{self.name}' of {self.dtype} {list(self.shape)}"


@dataclass(frozen=True)
class Description:
    """What is known of a base before it is asked anything.

    Attributes:
        name: What messages and records call it.
        identity: Digest of whatever its answers depend on: equal digests, equal answers.
        input: What it takes.
        classes: Number of classes.
        answers: Whether it scores every class, or names the best one only.
    """

    name: str
    identity: str
    input: Tensor
    classes: int
    answers: Answers = "scores"


class Base(Protocol):
    """A model as something that answers."""

    @property
    def about(self) -> Description:
        """What is known of it."""
        ...

    @property
    def graph(self) -> ir.Model | None:
        """The graph behind it; None where it cannot be opened."""
        ...

    def __call__(self, x: npt.NDArray[Any]) -> Scores:
        """Answers samples [N, ...] of the base's own input.

        Raises:
            AccessError: When it does not answer, or not as it should.
        """
        ...


class GraphBase:
    """A graph in ONNX Runtime.

    Args:
        model: The model; not changed.
        level: Optimisation level.
        threads: Threads of one run; all cores by default.

    Raises:
        ModelError: When ONNX Runtime refuses the model.
        UnsupportedError: When its first output is no score a class.
    """

    def __init__(self, model: ir.Model, *, level: Level = "all", threads: int | None = None) -> None:
        self.graph: ir.Model | None = model
        self._run = Runner(model, level=level, threads=threads)
        value = next(v for v in model.graph.inputs if v.name not in model.graph.initializers)
        shape = tuple(d if isinstance(d, int) else -1 for d in value.shape or ())
        dtype = str(np.dtype(value.dtype.numpy())) if value.dtype is not None else "float32"
        if not shape or -1 in shape[1:]:
            raise UnsupportedError(
                f"input '{value.name}' has free axes besides the batch ({value.shape}): fix them first, for instance "
                "with python -m onnxruntime.tools.make_dynamic_shape_fixed"
            )
        source = Tensor(str(value.name), dtype, shape)
        classes = self._run.classes(np.zeros((1, *source.sample), dtype))
        self.about = Description(str(model.graph.name or "model"), sha256(model), source, classes)

    def __call__(self, x: npt.NDArray[Any]) -> Scores:
        """Answers samples [N, ...]."""
        return self._run(x).reshape(len(x), -1).astype(np.float32, copy=False)


class FunctionBase:
    """A Python callable: a runtime of one's own, a board behind a serial line.

    Args:
        function: Takes samples [N, ...], gives scores [N, classes], or labels [N] where `answers` says so.
        about: What it takes and gives. Its identity is yours to state: change it whenever the answers may.
    """

    graph: ir.Model | None = None

    def __init__(self, function: Callable[[npt.NDArray[Any]], npt.ArrayLike], about: Description) -> None:
        self.about, self._function = about, function

    def __call__(self, x: npt.NDArray[Any]) -> Scores:
        """Answers samples [N, ...]."""
        try:
            given = np.asarray(self._function(x))
        except NfkitError:
            raise
        except Exception as error:
            raise AccessError(
                f"{self.about.name} fails on {len(x)} samples: {type(error).__name__}: {error}"
            ) from error
        return check_answers(given, len(x), self.about.classes, self.about.answers, self.about.name)


def best_only(base: Base) -> Base:
    """The same base, where it names its best class and keeps the scores to itself."""
    about = replace(base.about, answers="top-1")
    return FunctionBase(lambda x: base(x).argmax(axis=1), about)


def check_answers(given: npt.NDArray[Any], count: int, classes: int, answers: Answers, name: str) -> Scores:
    """Turns what a base gave for `count` samples into scores, or says what is wrong with it.

    Raises:
        AccessError: When it is of another count, another number of classes, or no number.
    """
    if given.dtype.kind not in "biuf":
        raise AccessError(f"{name} answers with {given.dtype}, which are no numbers")
    if len(given.shape) < 1 or given.shape[0] != count:
        raise AccessError(f"{name} was asked for {count} samples and answers with shape {list(given.shape)}")
    flat = given.reshape(count, -1)
    if answers == "top-1":
        if flat.shape[1] != 1 or given.dtype.kind not in "iu":
            raise AccessError(
                f"{name} answers with {given.dtype} {list(given.shape)}, expected was one whole number a sample, its "
                "class"
            )
        labels = flat[:, 0]
        if count and not (labels.min() >= 0 and labels.max() < classes):
            wrong = labels[(labels < 0) | (labels >= classes)][0]
            raise AccessError(f"{name} answers with class {wrong}, the classes are 0 to {classes - 1}")
        return np.eye(classes, dtype=np.float32)[labels.astype(np.int64)]
    if flat.shape[1] != classes or max(given.shape[1:]) != classes:
        raise AccessError(
            f"{name} answers with {list(given.shape[1:])} a sample, expected were scores of {classes} classes"
        )
    with np.errstate(over="ignore"):  # a float64 beyond float32 is found below
        scores = flat.astype(np.float32)
    if not np.isfinite(scores).all():
        sample = int(np.argmin(np.isfinite(scores).all(axis=1)))
        raise AccessError(f"{name} answers sample {sample} of {count} with a score that is not a finite number")
    return scores
