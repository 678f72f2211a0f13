"""How far a search for the least energy is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from nfkit.progress import OnProgress, Progress
from nfkit.reports.operating_point import Row
from nfkit.workflows.evaluation import describe_row


@dataclass
class Display:
    """Tells how far a search is, whose number of steps is not known before its end: in remedies."""

    on_progress: OnProgress
    total: int = 1
    done: int = 0
    name: str = ""
    begun: float = field(default_factory=time.monotonic)

    def begin(self, name: str) -> None:
        """Goes on to another remedy."""
        self.name = name
        self.say("")

    def end(self) -> None:
        """A remedy is done."""
        self.done = min(self.done + 1, self.total)
        self.say("")

    def row(self, row: Row) -> None:
        """A chip was measured."""
        self.say(describe_row(row))

    def say(self, detail: str) -> None:
        """Something was measured."""
        left = (time.monotonic() - self.begun) / self.done * (self.total - self.done) if self.done else None
        told = f"{self.name}, {detail}" if detail else self.name
        self.on_progress(Progress("looking for the least energy", self.done, self.total, left, told))
