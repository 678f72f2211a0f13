"""Names under which people keep samples and labels, and which of them belong to a split.

A name is words with or without separators: x_train, XTrain, train-images, labels. One word says what it holds, another
may say which split it is for. Case does not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from nfkit.data.dataset import Split
from nfkit.errors import DataError

SAMPLES = ("x", "images", "image", "img", "imgs", "data", "features", "inputs", "input", "samples", "arr_0")
"""Words for samples, the first to be taken where a file has several."""
LABELS = ("y", "labels", "label", "targets", "target", "classes", "class", "arr_1")
"""Words for class labels, in the same order."""
SPLITS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "test": ("test", "testing", "validation", "valid", "val"),
}
"""Words for splits. What is called validation is measured on where nothing is called test."""

_WORDS = re.compile(
    r"^(?:(?P<role>{roles})[ _.-]?(?P<split>{splits})?|(?P<split2>{splits})[ _.-]?(?P<role2>{roles}))$".format(
        roles="|".join(sorted((*SAMPLES, *LABELS), key=len, reverse=True)),
        splits="|".join(sorted((word for words in SPLITS.values() for word in words), key=len, reverse=True)),
    )
)


def find_pair(names: Iterable[str], split: Split) -> tuple[str, str | None, bool] | None:
    """Picks the samples and labels of a split.

    Args:
        names: All the names.
        split: Which split to look for. Names that say no split serve either, where none says this one.

    Returns:
        (name of the samples, name of the labels or None, whether they serve either split); None where there are no
        samples.

    Raises:
        DataError: Two names say the same, such as x and X.
    """
    found: dict[tuple[str, str | None], str] = {}
    for name in names:
        match = _WORDS.match(name.lower())
        if match is None:
            continue
        key = match["role"] or match["role2"], match["split"] or match["split2"]
        if key in found:
            raise DataError(f"'{found[key]}' and '{name}' may both be meant; keep one of them.")
        found[key] = name
    for word in (*SPLITS[split], None):
        samples = next((found[role, word] for role in SAMPLES if (role, word) in found), None)
        if samples is not None:
            labels = next((found[role, word] for role in LABELS if (role, word) in found), None)
            return samples, labels, word is None
    return None


def matches_split(name: str, split: Split) -> str | None:
    """The word for the split that a file's or folder's name begins with or holds between separators, if any."""
    words = re.split(r"[ _.\-]+", name.lower())
    return next((word for word in SPLITS[split] if word in words), None)
