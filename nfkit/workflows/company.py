"""A command that torchrun starts several times is carried out once; the other processes help it train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def company() -> Iterator[bool]:
    """Says within whether this process is the one that does what was asked; the others have helped it by then.

    Raises:
        AccessError: When the one that others help ended before it told them.
    """
    from nfkit.learn.crew import join
    from nfkit.learn.driving import take_part

    crew = join()
    try:
        if crew is not None and not crew.leads:
            take_part(crew)
            yield False
        else:
            yield True
    finally:
        if crew is not None:
            crew.end()
