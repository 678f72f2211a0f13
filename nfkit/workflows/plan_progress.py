"""How far a search for the least energy is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from nfkit.progress import OnProgress, Progress
from nfkit.reports.operating_point import Row
from nfkit.workflows.evaluation import describe_row

MEASURED = 50
"""Measurements a remedy, about: a few chips steer a bisection, all of them decide and confirm. A remedy that takes more
stays just short of its end."""


@dataclass
class Display:
    """Tells how far a search is, whose number of measurements is not known before its end.

    Attributes:
        on_progress: Whom to tell.
        total: Remedies to try.
        done: Remedies that were.
        name: The one that is tried now.
        seen: Measurements of it.
        begun: When the search began.
    """

    on_progress: OnProgress
    total: int = 1
    done: int = 0
    name: str = ""
    seen: int = 0
    begun: float = field(default_factory=time.monotonic)

    def begin(self, name: str) -> None:
        """Goes on to another remedy."""
        self.name, self.seen = name, 0
        self._tell("")

    def end(self) -> None:
        """A remedy is done."""
        self.done, self.seen = min(self.done + 1, self.total), 0
        self._tell("")

    def close(self) -> None:
        """Nothing is left to be tried."""
        self.done, self.seen = self.total, 0
        self._tell("")

    def row(self, row: Row) -> None:
        """A chip was measured."""
        self.say(describe_row(row))

    def say(self, detail: str) -> None:
        """Something was measured."""
        self.seen += 1
        self._tell(detail)

    def _tell(self, detail: str) -> None:
        done, total = MEASURED * self.done + min(self.seen, MEASURED - 1), MEASURED * self.total
        done = min(done, total)
        left = (time.monotonic() - self.begun) / done * (total - done) if done else None
        told = f"{self.name}, {detail}" if detail else self.name
        self.on_progress(Progress("looking for the least energy", done, total, left, told))
