"""Ctrl-C: the first is acknowledged at once and says what will still be done, the second ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from nfkit.cli.streams import note


@contextmanager
def acknowledged(what: str) -> Iterator[None]:
    """Acknowledges an interrupt within, which then goes its way as a KeyboardInterrupt.

    Args:
        what: What will still be done, or is kept: a sentence without its end.
    """
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    asked = False

    def acknowledge(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            note(f"\nCtrl-C: {what}; once more ends at once")
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, acknowledge)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
