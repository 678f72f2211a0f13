"""A command that torchrun starts several times is carried out once; the other processes help it train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def divided() -> Iterator[bool]:
    """Says within whether this process is the one that does what was asked; the others have helped it by then.

    Raises:
        AccessError: When the one that others help ended before it told them.
    """
    from nfkit.learn.distributed import join
    from nfkit.learn.eopm_step import take_part

    group = join()
    try:
        if group is not None and not group.leads:
            take_part(group)
            yield False
        else:
            yield True
    finally:
        if group is not None:
            group.end()
