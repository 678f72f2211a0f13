"""How far a long call has come, told to whoever asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """The state of a stage.

    Attributes:
        stage: What is done, as a few words.
        done: How much of it is done.
        total: How much there is, in the same unit.
        seconds_left: Estimate for this stage; None before there is one.
        detail: What was done last, or figures that are worth watching; may be empty.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None = None
    detail: str = ""


OnProgress = Callable[[Progress], None]
"""What long calls accept as `on_progress`: called at the start of each stage and after each step of it."""


def silent(progress: Progress) -> None:
    """Takes no notice."""


def track(
    stage: str, items: Iterable[T], total: int, on_progress: OnProgress, detail: Callable[[T], str] = lambda item: ""
) -> Iterator[T]:
    """Passes items on, and tells of each.

    Args:
        stage: What is done.
        items: The steps of it.
        total: How many there are.
        on_progress: Whom to tell.
        detail: What to say of an item.
    """
    counter = Counter(stage, total, on_progress)
    for item in items:
        counter(detail(item))
        yield item


class Counter:
    """Tells of steps that are finished one by one by someone else.

    Args:
        stage: What is done.
        total: How many steps there are.
        on_progress: Whom to tell.
    """

    def __init__(self, stage: str, total: int, on_progress: OnProgress) -> None:
        self._stage, self._total, self._on_progress = stage, total, on_progress
        self._done, self._begun = 0, time.monotonic()
        on_progress(Progress(stage, 0, total))

    def __call__(self, detail: str = "") -> None:
        """Counts a step.

        Args:
            detail: What to say of it.
        """
        self._done += 1
        left = (time.monotonic() - self._begun) / self._done * (self._total - self._done)
        self._on_progress(Progress(self._stage, self._done, self._total, left, detail))


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days, whichever is readable."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
