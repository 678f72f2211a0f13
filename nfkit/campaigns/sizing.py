"""How large a store becomes: what a measurement takes on the disk."""

from __future__ import annotations

_EMPTY = 41_000  # bytes of a store without a measurement
_ROW = 80  # bytes of a row and its entry in the index, besides its samples
_UNFILLED = 1.1  # pages that rows do not fill


def store_size(measurements: int, samples: int) -> int:
    """Bytes of a store, about, to which all its log has gone.

    Args:
        measurements: How many it holds.
        samples: Bytes that stand for the samples of each.
    """
    return round(_EMPTY + measurements * (_ROW + samples * _UNFILLED))


def sample_bytes(images: int, values: int = 0) -> int:
    """Bytes that stand for the samples of a measurement: three bits each, or a metric's values."""
    return 8 * values if values else 3 * -(-images // 8)
