"""Data sets that nfkit knows by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from nfkit.data.cifar10 import load_cifar10
from nfkit.data.dataset import Dataset, Split
from nfkit.data.download import cache_folder
from nfkit.data.fashion_mnist import load_fashion_mnist
from nfkit.data.gtsrb import load_gtsrb

NAMED: Mapping[str, Callable[[Split, Path], Dataset]] = {
    "cifar10": load_cifar10,
    "fashion-mnist": load_fashion_mnist,
    "gtsrb": load_gtsrb,
}


def load_named(name: str, split: Split, cache: Path | None = None) -> Dataset:
    """Loads a data set of `NAMED`, keeping its files in a folder of its own under `cache`."""
    return NAMED[name](split, (cache_folder() if cache is None else cache) / name)
