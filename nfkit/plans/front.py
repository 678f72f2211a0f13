"""Those of several ways that no other one beats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from nfkit.reports.search import Found

T = TypeVar("T")


def mark_front(points: Iterable[Found]) -> tuple[Found, ...]:
    """The candidates of a search, each saying whether it is on the front of accuracy and saving; see `unbeaten`."""
    every = tuple(points)
    front = unbeaten(every, lambda point: (point.protected.mean, point.saving))
    return tuple(msgspec.structs.replace(point, on_front=any(point is other for other in front)) for point in every)


def unbeaten(entries: Iterable[T], value: Callable[[T], tuple[float, float]]) -> tuple[T, ...]:
    """The entries whose two values no other entry equals or exceeds in both, and exceeds in one; equals all stay."""
    every = [(entry, value(entry)) for entry in entries]
    values = {mine for _, mine in every}
    return tuple(
        entry
        for entry, mine in every
        if not any(other != mine and other[0] >= mine[0] and other[1] >= mine[1] for other in values)
    )
