"""Work in parts on all cores. NumPy releases the interpreter lock in its loops, so threads are enough."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


_pinned: int | None = None


def pin(threads: int) -> None:
    """Lets this process use so many cores: for workers that share a machine with others of their kind."""
    global _pinned
    _pinned = threads


def cores() -> int:
    """Cores this process may use."""
    if _pinned is not None:
        return _pinned
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def blocks(count: int, size: int) -> list[slice]:
    """The stretches of at most `size` that cover 0 to `count`."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def shares(count: int) -> list[slice]:
    """The stretches of 0 to `count`, as long as each other, one for each core."""
    return blocks(count, max(1, -(-count // cores())))


def lanes_for(batches: int, threads: int) -> int:
    """How many batches to run side by side: the most that divide some threads evenly, and have two batches each.

    Threads within a batch wait for each other after every step, and long where something else wants a core. Batches
    need nothing from each other, so side by side they take less time.

    Examples:
        >>> lanes_for(8, 2), lanes_for(3, 2), lanes_for(8, 16)
        (2, 1, 4)

    Args:
        batches: Batches of a run.
        threads: Threads that it may use.
    """
    return max(n for n in range(1, threads + 1) if n == 1 or (threads % n == 0 and batches >= 2 * n))


def each(work: Callable[[Part], Result], parts: Iterable[Part], at_once: int | None = None) -> list[Result]:
    """The results of `work` on every part, in order.

    Args:
        work: Must give the same whatever the order and however many run at a time: where it writes, no other part
            reads or writes.
        parts: Worth some hundred microseconds each, or starting threads costs more than it brings.
        at_once: Parts at a time; one a core by default.
    """
    parts = list(parts)
    threads = min(at_once or cores(), cores(), len(parts))
    if threads < 2:
        return [work(part) for part in parts]
    rest = iter(enumerate(parts))  # shared, so that a thread on a busy core takes fewer
    results: dict[int, Result] = {}

    def share() -> None:
        try:
            for index, part in rest:
                results[index] = work(part)
        except BaseException:
            for _ in rest:  # nobody goes on
                pass
            raise

    helpers = [_pool().submit(share) for _ in range(threads - 1)]
    share()
    for helper in helpers:
        # One that has not started by now would find nothing left to do: no thread ever waits for a busy pool.
        if not helper.cancel():
            helper.result()
    return [results[index] for index in range(len(parts))]


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, cores() - 1), "nfkit")  # the calling thread works, too


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)
