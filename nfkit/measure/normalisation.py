"""How images become a model's input where its graph does not say: by the customary normalisation it answers best.

A float model says nothing of the normalisation that it was trained with, and its first quantiser, where it has one, was
calibrated to whatever range it saw. Labelled images tell: the clean base is right more often on images that are
normalised as in its training. Nothing is guessed in silence: the choice and the next best are stated, and a choice that
is no better than chance is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nfkit.access.runtime import Runner
from nfkit.data import Dataset
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.likely_causes import clearly_better

SAMPLES = 500
"""Images that every normalisation is tried on."""
_SIGNIFICANCE = 1e-6  # against the most frequent class: several normalisations are tried


@dataclass(frozen=True)
class Normalisation:
    """A customary way to bring images in [0, 1] into a model's input space: (v - mean) / std.

    Attributes:
        name: What it is, in words.
        mean: Mean, one number or one a channel.
        std: Standard deviation, of the same length.
        option: How it is given on the command line.
    """

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    option: str

    def apply(self, spec: InputSpec) -> InputSpec:
        """The input with this range."""
        m, s = np.array(self.mean), np.array(self.std)
        return replace(spec, low=tuple(-m / s), high=tuple((1 - m) / s), source=f"{self.name}, told by labelled images")


def _spread(low: float, high: float) -> Normalisation:
    width = high - low
    return Normalisation(f"{low:g} to {high:g}", (-low / width,), (1 / width,), f"--range {low:g} {high:g}")


def _standard(name: str, mean: tuple[float, ...], std: tuple[float, ...]) -> Normalisation:
    given = (",".join(f"{number:g}" for number in numbers) for numbers in (mean, std))
    return Normalisation(f"mean and deviation of {name}", mean, std, "--mean {} --std {}".format(*given))


_RANGES = tuple(_spread(low, high) for low, high in ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-128.0, 127.0)))
_COLOUR = (
    _standard("ImageNet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    _standard("CIFAR-10", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    _standard("CIFAR-10 images", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
)
_GREY = (_standard("MNIST", (0.1307,), (0.3081,)), _standard("Fashion-MNIST", (0.2860,), (0.3530,)))


def customary(spec: InputSpec) -> tuple[Normalisation, ...]:
    """The normalisations that are tried for an input, by how many channels it has."""
    channels = spec.image_shape[0]
    return _RANGES + (_COLOUR if channels == 3 else _GREY if channels == 1 else ())


def tell_range(runner: Runner, data: Dataset, spec: InputSpec) -> tuple[InputSpec, str] | None:
    """The valid range of a float input, told by data.

    Args:
        runner: The clean base.
        data: Samples. uint8 images tell it by their labels; floats are in the model's own input space already, and
            span the range themselves.
        spec: The input, whose range is unknown, or only as wide as its first quantiser was calibrated to.

    Returns:
        The input with its range, and a sentence; None where the data does not tell, or tells nothing better.
    """
    if spec.stated or np.issubdtype(np.dtype(spec.dtype), np.integer):
        return None
    if data.x.dtype != np.uint8:
        return None if spec.low is not None else _spanned(data, spec)
    if data.labels != "data" or not data.labelled or not len(data):
        return None
    tried = data.spread(SAMPLES)
    results: list[tuple[Normalisation, InputSpec, npt.NDArray[np.bool_]]] = []
    for way in customary(spec):
        form = way.apply(spec)
        results.append((way, form, runner.classify(form.encode(tried.x)) == tried.y))
    results.sort(key=lambda entry: -entry[2].mean())  # stable: of equals the simpler comes first
    (way, form, right), (other, _, behind) = results[0], results[1]
    if not _better_than_chance(right, tried.y):
        return None
    if spec.low is not None and not clearly_better(right, runner.classify(spec.encode(tried.x)) == tried.y):
        return None
    return form, (
        f"the graph does not say how images become its input: of {len(results)} customary ways the base is right most "
        f"often with {way.name} ({100 * right.mean():.1f} % of {len(tried)} samples; next {other.name}, "
        f"{100 * behind.mean():.1f} %); {way.option} says the same"
    )


def _spanned(data: Dataset, spec: InputSpec) -> tuple[InputSpec, str] | None:
    low, high = (float(end) for end in (data.x.min(), data.x.max())) if data.x.size else (0.0, 0.0)
    if data.x.dtype.kind != "f" or not (np.isfinite(low) and np.isfinite(high) and low < high):
        return None
    found = replace(spec, low=(low,), high=(high,), source=f"all values of {data.name}")
    return found, (
        f"the graph does not say which values its input may have: {low:.4g} to {high:.4g}, as in {data.name}; --range "
        "says another"
    )


def _better_than_chance(right: npt.NDArray[np.bool_], y: npt.NDArray[np.int64]) -> bool:
    from scipy.stats import binomtest

    frequent = float(np.bincount(y).max()) / len(y)
    if frequent >= 1:
        return False
    return bool(binomtest(int(right.sum()), len(right), frequent, alternative="greater").pvalue < _SIGNIFICANCE)
