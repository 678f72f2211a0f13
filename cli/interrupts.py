"""Ctrl-C: it waits for an import that it would break; the first is acknowledged at once, the second ends.

An interrupt that is raised within `import onnxruntime` or `import torch` comes out as whatever their C halves make of
it: an ImportError, printed tracebacks, a module that is half there. So it is raised when the import is over.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from nfkit.cli.streams import note

Deliver = Callable[[], None]

_TICK_S = 0.01
_LONGEST_WAIT_S = 10.0  # torch, from a cold disk; a data module of the user's that computes while it is imported
INTERRUPTED = 130  # 128 + SIGINT, as shells count it


@contextmanager
def interruptible() -> Iterator[Deliver]:
    """Within, Ctrl-C raises a KeyboardInterrupt outside imports only; an ignored one stays ignored (`nohup`).

    Yields:
        A function to call behind imports: it raises what waits, so that nothing is begun that nobody wants.
    """

    def deliver() -> None:
        raise KeyboardInterrupt

    waiting = _Waiting(deliver, lambda: None)
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield waiting.settle
        return
    signal.signal(signal.SIGINT, waiting.arrive)
    try:
        yield waiting.settle
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what is left is the interpreter's own end: no traceback of it


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

    def acknowledge() -> None:
        nonlocal asked
        if not asked:
            asked = True
            note(f"\nCtrl-C: {what}; once more ends at once")

    def deliver() -> None:
        acknowledge()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, _Waiting(deliver, acknowledge).arrive)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Waiting:
    """A handler of SIGINT that asks a clock to interrupt once more while an import is under way.

    Args:
        deliver: What an interrupt does.
        acknowledge: What is done at once where it has to wait.
    """

    def __init__(self, deliver: Deliver, acknowledge: Deliver) -> None:
        self._deliver = deliver
        self._acknowledge = acknowledge
        self._until: float | None = None  # waiting, and until when at most
        self._ticked = False

    def arrive(self, number: int, frame: FrameType | None) -> None:
        """Called by Python in the main thread, between two of its instructions."""
        ticked, self._ticked = self._ticked, False
        if not _importing(frame) or (ticked and self._until is not None and time.monotonic() > self._until):
            self._until = None
            self._deliver()
            return
        if not ticked:
            if self._until is not None:  # asked twice: no import is worth more
                note("nfkit: interrupted")
                os._exit(INTERRUPTED)
            self._until = time.monotonic() + _LONGEST_WAIT_S
            self._acknowledge()
        clock = threading.Timer(_TICK_S, self._tick)
        clock.daemon = True
        clock.start()

    def settle(self) -> None:
        """Delivers what waits."""
        if self._until is not None:
            self._until = None
            self._deliver()

    def _tick(self) -> None:
        if self._until is not None:
            self._ticked = True
            _thread.interrupt_main()


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
