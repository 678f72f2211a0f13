"""What can be wrong with data that loads: doubts, each with a sentence, from the data alone.

Numbers are stated where they decide: below a floor there is nothing to learn or to measure, below a customary size the
result is coarse. What needs the model is in `nfkit.measure.plausibility`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nfkit.data.dataset import Dataset
from nfkit.errors import DataError

Kind = Literal[
    "few samples", "few classes", "missing classes", "class names", "value range", "channel order", "class order",
    "near chance", "near perfect", "below record", "trained on", "changed by reading",
]  # fmt: skip
Purpose = Literal["train", "measure"]

TRAINING_FLOOR = 32
"""Samples below which nothing is trained."""
MEASURING_FLOOR = 10
"""Samples below which nothing is measured: one of them would be ten points."""
FEW_TO_TRAIN = 500
FEW_TO_MEASURE = 100
"""Samples below which a doubt is noted."""
_PER_CLASS = 10  # samples a class, on average, from which a class that never occurs is conspicuous


@dataclass(frozen=True)
class Doubt:
    """Something about data or model that makes a number less than it seems.

    Attributes:
        kind: What is doubted.
        sentence: What was seen, its likely cause, and what to do.
        stops: Whether to refuse rather than to warn.
    """

    kind: Kind
    sentence: str
    stops: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The doubt for a record."""
        return {"kind": self.kind, "sentence": self.sentence}


def refuse(doubts: Iterable[Doubt]) -> None:
    """Refuses where a doubt is serious.

    Raises:
        DataError: One of the doubts stops.
    """
    serious = [doubt.sentence for doubt in doubts if doubt.stops]
    if serious:
        raise DataError("; ".join(serious))


def check_counts(data: Dataset, classes: int, purpose: Purpose) -> list[Doubt]:
    """Whether there are enough samples and classes.

    Args:
        data: The data.
        classes: Number of the model's classes.
        purpose: What the data is for.
    """
    n, found = len(data), []
    floor, few = (TRAINING_FLOOR, FEW_TO_TRAIN) if purpose == "train" else (MEASURING_FLOOR, FEW_TO_MEASURE)
    act = "train on" if purpose == "train" else "measure on"
    if n < floor:
        found.append(
            Doubt("few samples", f"{data.name}: holds {n} samples, too few to {act}: give at least {floor}", True)
        )
    elif n < few:
        why = "a generator learns them by heart" if purpose == "train" else f"one of them is {100 / n:.2g} points"
        found.append(Doubt("few samples", f"{data.name}: holds only {n} samples, so {why}; give {few} or more"))
    if not data.labelled:
        return found
    seen = np.unique(data.y)
    if len(seen) == 1:
        what = "a generator that always answers it would be right" if purpose == "train" else "accuracy says nothing"
        sentence = f"{data.name}: all samples are of class {seen[0]}, so {what}: give samples of several classes"
        found.append(Doubt("few classes", sentence, purpose == "train"))
    elif len(seen) == 2 < classes:
        sentence = f"{data.name}: holds two of the model's {classes} classes ({seen[0]} and {seen[1]}), an easier task"
        found.append(Doubt("few classes", f"{sentence} than all of them"))
    return found + _check_missing(data, seen, classes)


def _check_missing(data: Dataset, seen: npt.NDArray[np.int64], classes: int) -> list[Doubt]:
    """Whether classes are absent in a way that may have shifted the numbers of others."""
    if data.classes is not None and len(data.classes) != classes:
        sentence = (
            f"{data.name}: names {len(data.classes)} classes, the model has {classes}: if one is missing, those behind "
            "it in sorted order are numbered too low; add an empty folder for it, or number the classes in a labels.csv"
        )
        return [Doubt("missing classes", sentence)]
    absent = [label for label in range(classes) if label not in set(seen.tolist())]
    if len(seen) > 2 and absent and len(data) >= _PER_CLASS * classes and len(absent) <= classes // 2:
        listed = ", ".join(map(str, absent[:5])) + (", ..." if len(absent) > 5 else "")
        sentence = f"{data.name}: no sample is of class {listed}, though the model has {classes}"
        return [
            Doubt("missing classes", f"{sentence}; if a class was left out, check that the others keep their numbers")
        ]
    return []


def match_classes(data: Dataset, names: Sequence[str]) -> tuple[Dataset, list[Doubt]]:
    """Numbers the classes as the model does, where both name them.

    Args:
        data: The data; case, spaces, dashes and underscores in its names do not count.
        names: The model's names, in the order of its outputs.

    Returns:
        (the data with the model's numbers, doubts). Where a name of the data is none of the model's, nothing changes.
    """
    if data.classes is None or not data.labelled:
        return data, []
    numbers = {_plain(name): number for number, name in enumerate(names)}
    if len(numbers) < len(names):
        return data, []  # names that are not distinct order nothing
    strange = [name for name in data.classes if _plain(name) not in numbers]
    if strange:
        listed = ", ".join(f"'{name}'" for name in strange[:3]) + (", ..." if len(strange) > 3 else "")
        sentence = (
            f"{data.name}: {len(strange)} of its {len(data.classes)} class names are none of the model's ({listed}; "
            f"the model has '{names[0]}' to '{names[-1]}'): check that class 0 of the data is the model's, and so on"
        )
        return data, [Doubt("class names", sentence)]
    table = np.array([numbers[_plain(name)] for name in data.classes], dtype=np.int64)
    if np.array_equal(table, np.arange(len(names))):
        return data, []
    note = "classes are numbered by their names in the model's metadata, not in sorted order"
    notes = data.notes if np.array_equal(table, np.arange(len(table))) else (*data.notes, note)
    return data.changed(y=table[data.y], classes=names, notes=notes), []


def check_values(name: str, x: npt.NDArray[Any], low: float | None, high: float | None) -> list[Doubt]:
    """Whether the values fill the range that the model takes.

    Args:
        name: What messages call the data.
        x: The samples, as the user gave them.
        low: Smallest value that the model takes, None where nobody knows.
        high: Largest one.
    """
    least, most = float(x.min()), float(x.max())
    if x.dtype == np.uint8:
        if most <= 1:
            sentence = f"{name}: its uint8 images hold nothing above {most:.0f}, so the model sees all but black ones"
            return [Doubt("value range", f"{sentence}: were they scaled to [0, 1] before? Give 0 to 255")]
        return []
    if x.dtype.kind != "f" or low is None or high is None:
        return []
    seen, taken = f"{name}: its values span {least:.3g} to {most:.3g}", f"the model takes {low:.3g} to {high:.3g}"
    if low < 0 <= least and most > 0.5 and most <= 1.0 + 1e-6:
        return [Doubt("value range", f"{seen}, {taken}: they look like images in [0, 1] that were not normalised")]
    if most - least < 0.25 * (high - low):
        return [Doubt("value range", f"{seen}, {taken}: check how the samples were normalised")]
    return []


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " _-")
