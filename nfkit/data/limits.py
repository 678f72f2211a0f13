"""How much data is taken in: sizes are looked at before anything is unpacked."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path

from nfkit.errors import DataError

SHARE = 0.5
"""Share of the machine's memory that one data set may fill; encoding and training need some, too."""

ImageShape = tuple[int, int, int]
"""(channels, height, width) of a sample as the model takes it; feature vectors are (1, 1, features)."""


def check_size(name: str, size: int) -> None:
    """Refuses data that would fill the memory.

    Args:
        name: What the message calls the data.
        size: Bytes of the decoded samples.

    Raises:
        DataError: They are more than `SHARE` of the machine's memory.
    """
    limit = int(SHARE * _memory())
    if size > limit:
        raise DataError(
            f"{name}: its samples take {size / 2**30:.1f} GiB, more than half of this machine's memory "
            f"({limit / 2**30:.1f} GiB); give fewer or smaller samples."
        )


def check_shape(name: str, shape: Sequence[int], wanted: ImageShape | None) -> None:
    """Refuses samples that have more or fewer values than the model's input, before they are read.

    Args:
        name: What the message calls the data.
        shape: Shape of the array of samples, [N, ...].
        wanted: What the model takes, where that is known.

    Raises:
        DataError: A sample cannot be one of the model's.
    """
    if wanted is None or len(shape) < 2 or math.prod(shape[1:]) == math.prod(wanted):
        return
    channels, height, width = wanted
    form = f"images {[height, width, channels]}" if height > 1 else f"{width} features"
    raise DataError(
        f"{name}: a sample has shape {list(shape[1:])}, but the model takes {form}: resize the data; give uint8 images "
        f"{[height, width, channels]} or arrays in the model's own input space."
    )


def shown(path: Path | str) -> str:
    """A path for messages and records: a file name need not be text, so what is none becomes question marks."""
    return os.fsencode(path).decode("utf-8", "replace")


def _memory() -> int:
    """Bytes of memory that this process may fill: the machine's, or the container's where that is less."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if hasattr(os, "sysconf") else [16 * 2**30]
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit ("max")
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(found)
