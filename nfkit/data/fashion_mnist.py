"""Fashion-MNIST: 60,000 + 10,000 grey images of clothes, 28 x 28, ten classes.

Xiao, Rasul, Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms
(2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nfkit.data.dataset import Dataset, Split
from nfkit.data.download import Remote, fetch
from nfkit.data.idx import read_idx

_BASE = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"

FILES: Mapping[Split, tuple[Remote, Remote]] = {
    "train": (
        Remote(f"{_BASE}/train-images-idx3-ubyte.gz", "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        Remote(f"{_BASE}/train-labels-idx1-ubyte.gz", "md5:25c81989df183df01b3e8a0aad5dffbe"),
    ),
    "test": (
        Remote(f"{_BASE}/t10k-images-idx3-ubyte.gz", "md5:bef4ecab320f06d8554ea6380940ec79"),
        Remote(f"{_BASE}/t10k-labels-idx1-ubyte.gz", "md5:bb300cfdad3c16e7a12a480ee83cd310"),
    ),
}
"""Images and labels of each split."""

SYSTEM = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist installs the four files."""


def load_fashion_mnist(
    split: Split,
    cache: Path,
    files: Mapping[Split, tuple[Remote, Remote]] = FILES,
    system: Path = SYSTEM,
) -> Dataset:
    """Reads the files that the system has, or else fetches them into `cache`."""
    images, labels = (_locate(remote, cache, system) for remote in files[split])
    x, y = read_idx(images), read_idx(labels)
    return Dataset(f"fashion-mnist/{split}", x[..., None], y.astype(np.int64), mirror=True)


def _locate(remote: Remote, cache: Path, system: Path) -> Path:
    # Debian packs the same content anew, so its checksums are not the published ones; dpkg keeps them.
    installed = system / remote.url.rpartition("/")[2]
    return installed if installed.is_file() else fetch(remote.url, remote.checksum, cache)
