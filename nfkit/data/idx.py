"""The IDX format, in which MNIST and its successors are published."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nfkit.errors import DataError

_UBYTE = 0x08


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a gzipped IDX file of unsigned bytes.

    Raises:
        DataError: The file is damaged, or holds another type.
    """
    try:
        with gzip.open(path) as file:
            raw = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}); delete it and fetch it again.") from error
    # Two zero bytes, the type, the number of axes; then the length of each axis, big-endian.
    if len(raw) < 4 or raw[:3] != bytes([0, 0, _UBYTE]) or len(raw) < 4 + 4 * raw[3]:
        raise DataError(f"{path}: is not an IDX file of unsigned bytes; delete it and fetch it again.")
    axes = raw[3]
    shape = struct.unpack_from(f">{axes}I", raw, 4)
    values = np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * axes)
    if values.size != math.prod(shape):
        raise DataError(
            f"{path}: holds {values.size} values where its header announces {list(shape)}; "
            "delete it and fetch it again."
        )
    # A copy, because an array over bytes is read-only, and torch warns about those.
    return values.reshape(shape).copy()
