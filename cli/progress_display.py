"""Progress on stderr: a bar in a terminal, elsewhere a line every few percent, and one a minute."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from nfkit.cli.streams import note

if TYPE_CHECKING:
    from nfkit.progress import Progress


class ProgressDisplay:
    """What `on_progress` calls; to be closed, as with `contextlib.closing`, before results are printed.

    Attributes:
        longest_silence: Seconds until a line is due, however far it is: one step of a plan may take minutes.
    """

    longest_silence = 60.0

    def __init__(self) -> None:
        self._live = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._stage, self._next, self._told = "", 0.0, 0.0
        self._bar: Any = None
        self._task: Any = None

    def close(self) -> None:
        """Takes the bar away, so that results stand alone."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, text: str) -> None:
        """A sentence between the steps."""
        if not self._live:
            note(text)
            return
        console = _console() if self._bar is None else self._bar.console
        console.print(text, markup=False, highlight=False, emoji=False)

    def __call__(self, progress: Progress) -> None:
        """Shows the state after a step."""
        if self._live:
            self._draw(progress)
        else:
            self._line(progress)

    def _draw(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = _bar()
            self._bar.start()
        if progress.stage != self._stage:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(progress.stage, total=progress.total or None, left="", detail="")
            self._stage = progress.stage
        left = "" if progress.seconds_left is None else f"{_duration(progress.seconds_left)} left"
        self._bar.update(self._task, completed=progress.done, left=left, detail=progress.detail)

    def _line(self, progress: Progress) -> None:
        share = progress.done / progress.total if progress.total else 0.0
        now = time.monotonic()
        if progress.stage != self._stage:
            self._stage, self._next, self._told = progress.stage, 0.0, now
        further = progress.done > 0 and (share >= self._next or progress.done == progress.total)
        if not further and now - self._told < self.longest_silence:
            return
        self._next, self._told = share + 0.05 if further else self._next, now
        left = "" if progress.seconds_left is None else f"  {_duration(progress.seconds_left)} left"
        note(f"{100 * share:3.0f} %  {progress.stage}{left}  {progress.detail}".rstrip())


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False)


def _bar() -> Any:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.fields[detail]}", markup=False),
        console=_console(),
        transient=True,
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
