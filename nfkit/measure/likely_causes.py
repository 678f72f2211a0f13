"""Plausible mistakes that would explain a base's answers better than the data as it is.

Each is tried on samples that the clean base has answered, and named only where it does clearly better: by the exact
McNemar test, or for the numbering of classes, of which there are many, by a tenth of all samples.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.access.runtime import Runner
from nfkit.data import Dataset
from nfkit.data.plausibility import Doubt
from nfkit.graph.input.spec import InputSpec

_SIGNIFICANCE = 1e-4
"""Several mistakes are tried, and none may be found by luck."""
_REORDERED = 0.1
_MOST_CLASSES = 1000
_CHANNEL_SAMPLES = 200
"""Samples on which channels in reverse are tried: always, whatever the accuracy, so it must cost little."""
_RANGES = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-128.0, 127.0))


def other_order(data: Dataset, answers: npt.NDArray[np.int64], y: npt.NDArray[np.int64], classes: int) -> list[Doubt]:
    """Whether another numbering of the classes would explain the answers much better.

    The best one-to-one assignment of labels to answers (Kuhn 1955) against the labels as they are.
    """
    from scipy.optimize import linear_sum_assignment

    if len(y) < 5 * classes or classes > _MOST_CLASSES:
        return []
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (y[answers >= 0], answers[answers >= 0]), 1)
    labels, assigned = linear_sum_assignment(table, maximize=True)
    before, after = table.trace() / len(y), table[labels, assigned].sum() / len(y)
    moved = [(int(a), int(b)) for a, b in zip(labels, assigned, strict=True) if a != b and table[a, b] >= 5]
    if after < 0.5 or after - before < _REORDERED or not moved:
        return []
    names = data.classes or ()
    listed = ", ".join(f"{_called(a, names)} is the model's {b}" for a, b in moved[:4]) + (", ..." if moved[4:] else "")
    shift = {b - a for a, b in moved}
    cause = (
        f"a class before {moved[0][0]} seems to be missing" if len(shift) == 1 else "the classes are in another order"
    )
    sentence = (
        f"{data.name}: {cause}: label {listed}; numbered like that, the base without errors would be right on "
        f"{100 * after:.1f} % instead of {100 * before:.1f} %"
    )
    return [Doubt("class order", sentence)]


def _called(label: int, names: tuple[str, ...]) -> str:
    return f"{label} ('{names[label]}')" if label < len(names) else str(label)


def other_channels(
    runner: Runner, x: npt.NDArray[Any], y: npt.NDArray[np.int64], right: npt.NDArray[np.bool_], spec: InputSpec
) -> list[Doubt]:
    """Whether the base does better on channels in reverse."""
    if spec.layout not in ("NCHW", "NHWC") or spec.image_shape[0] != 3:
        return []
    few = np.linspace(0, len(x) - 1, min(len(x), _CHANNEL_SAMPLES)).astype(np.int64)
    x, y, right = x[few], y[few], right[few]
    reversed_ = x[:, ::-1] if spec.layout == "NCHW" else x[..., ::-1]
    better = runner.classify(np.ascontiguousarray(reversed_)) == y
    if not clearly_better(better, right):
        return []
    sentence = (
        f"the base without errors is right on {100 * better.mean():.1f} % with the channels in reverse, against "
        f"{100 * right.mean():.1f} %: the data is RGB and the model takes BGR, or the other way round"
    )
    return [Doubt("channel order", sentence)]


def other_range(
    runner: Runner, data: Dataset, y: npt.NDArray[np.int64], right: npt.NDArray[np.bool_], spec: InputSpec
) -> list[Doubt]:
    """Whether the base does better on values spread over another range."""
    if np.issubdtype(np.dtype(spec.dtype), np.integer) or data.x.dtype.kind not in "uf":
        return []
    best: tuple[float, float, float] | None = None
    given = (float(data.x.min()), float(data.x.max()))
    for low, high in _RANGES:
        other = replace(spec, low=(low,), high=(high,))
        if data.x.dtype == np.uint8:
            encoded = other.encode(data.x)
        else:  # what the user gave as 0 to 1, say, carried to the range that is tried
            whole = next(
                (r for r in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)) if r[0] <= given[0] and given[1] <= r[1]), given
            )
            if whole[1] <= whole[0]:
                return []
            shifted = (data.x.astype(np.float32) - whole[0]) / (whole[1] - whole[0]) * (high - low) + low
            encoded = other.encode(shifted.astype(np.float32))
        better = runner.classify(encoded) == y
        if clearly_better(better, right) and (best is None or better.mean() > best[0]):
            best = float(better.mean()), low, high
    if best is None:
        return []
    sentence = (
        f"{data.name}: with values from {best[1]:g} to {best[2]:g} the base without errors would be right on "
        f"{100 * best[0]:.1f} %, against {100 * right.mean():.1f} %: "
    )
    way = f"give --range {best[1]:g} {best[2]:g}" if data.x.dtype == np.uint8 else "normalise the samples to them"
    return [Doubt("value range", sentence + way)]


def clearly_better(better: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> bool:
    """Whether one is right more often on the same samples: by 3 points, and by the exact McNemar test."""
    from scipy.stats import binomtest

    gained, lost = int((better & ~right).sum()), int((right & ~better).sum())
    if gained <= lost or better.mean() - right.mean() < 0.03:
        return False
    return bool(binomtest(gained, gained + lost, 0.5, alternative="greater").pvalue < _SIGNIFICANCE)
