"""Whether a base knows images mirrored left to right, where nobody says whether they keep their labels.

Training sees each image twice where they do, and learns what is false where they do not: signs, digits, text. The base
has learned which it is. It is asked about a few mirrored samples, and their labels are taken to hold where it is about
as often right as on the samples as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.data import Dataset
from nfkit.graph.input.spec import InputSpec

SAMPLES = 500
"""Samples that the base is asked about."""
GAP = 0.05
"""What it may be less often right on mirrored ones."""
_NARROW = 8  # columns below which an input is no picture


@dataclass(frozen=True)
class Symmetry:
    """How a base does on samples, and on the same ones mirrored.

    Attributes:
        plain: Share that it gets right as they are.
        mirrored: Share that it gets right mirrored.
        n: How many samples.
    """

    plain: float
    mirrored: float
    n: int

    @property
    def keeps_labels(self) -> bool:
        """Whether mirrored images are taken to keep their labels."""
        return self.mirrored >= self.plain - GAP

    def __str__(self) -> str:
        done = "half of the images are mirrored in training" if self.keeps_labels else "images are not mirrored"
        return (
            f"{done}: of {self.n} samples the base knows {100 * self.plain:.1f} %, and {100 * self.mirrored:.1f} % of "
            "them mirrored (--mirror and --no-mirror decide)"
        )


def look_in_mirror(
    classify: Callable[[npt.NDArray[Any]], npt.NDArray[np.int64]], data: Dataset, spec: InputSpec
) -> Symmetry | None:
    """Asks a base about samples and their mirror images.

    Args:
        classify: Model input [N, ...] -> class numbers [N].
        data: Labelled samples, of which at most `SAMPLES` are taken.
        spec: The model's input.

    Returns:
        What it got right; None where the input is no picture.
    """
    if spec.image_shape[-1] < _NARROW or spec.image_shape[-2] < _NARROW:
        return None
    tried = data.spread(SAMPLES)
    x = spec.encode(tried.x)
    mirrored = spec.denormalise(np.ascontiguousarray(spec.normalise(x)[..., ::-1]))
    plain, turned = (float((classify(inputs) == tried.y).mean()) for inputs in (x, mirrored))
    return Symmetry(plain, turned, len(tried))
