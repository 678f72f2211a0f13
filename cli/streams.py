"""Stdout and stderr as they are: terminals that know only ASCII, disks that are full, pipes that nobody reads.

Commands write their files before they print, and none of these costs a result.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nfkit.errors import OutputError


def note(text: str, end: str = "\n") -> None:
    """One line of progress; where it cannot be shown, the work goes on."""
    if sys.stderr is not None:
        with suppress(OSError, RuntimeError):  # RuntimeError: from a signal's handler, amid another line
            print(text, end=end, file=sys.stderr, flush=True)


def width() -> int:
    """Columns for a text: those of the terminal, at most 100, and 80 where there is none."""
    return min(100, shutil.get_terminal_size((80, 24)).columns)


@contextmanager
def printing() -> Iterator[None]:
    """Prints what any terminal can show, and says in a sentence where nothing can be printed.

    Raises:
        OutputError: When stdout takes no more, such as a disk that is full.
        SystemExit: When nobody reads it, as behind `head`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an ASCII terminal, a file name that is not UTF-8
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:
            raise
        _drop_stdout()
        if error.errno == errno.EPIPE:
            sys.exit(1)
        raise OutputError(
            f"the result cannot be printed ({error.strerror}); files that -o and --json name are written"
        ) from error


def _drop_stdout() -> None:
    """Sends what is still to be printed nowhere, so that the interpreter can end."""
    with open(os.devnull, "w") as nowhere, suppress(OSError, ValueError):
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
        sys.stdout.flush()
