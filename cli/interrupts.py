"""Ctrl-C: the first is acknowledged at once and says what will still be done, the second ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from nfkit.cli.streams import note


@dataclass
class Interrupts:
    """Whether the user has asked for an end.

    Attributes:
        seen: Whether Ctrl-C came.
    """

    seen: bool = False


@contextmanager
def watched() -> Iterator[Interrupts]:
    """Notes an interrupt within before it goes its way, since extension modules that are being imported may eat it.

    They then fail with an error of their own, which says nothing to the user who has ended the program.
    """
    found, taken = Interrupts(), signal.getsignal(signal.SIGINT) is not signal.default_int_handler  # or ignored
    if taken or threading.current_thread() is not threading.main_thread():
        yield found
        return

    def see(number: int, frame: FrameType | None) -> None:
        found.seen = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, see)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
