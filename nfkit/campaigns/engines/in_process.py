"""Threads of this process, one a core: ONNX Runtime and NumPy leave the interpreter to others while they compute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice

from nfkit.campaigns.kit import Kit, Measurement, Task
from nfkit.campaigns.workbench import Workbench
from nfkit.parallel import cores


class InProcess:
    """Threads of this process.

    Args:
        workers: How many; one a core by default.
    """

    name = "threads"

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or cores()

    @contextmanager
    def open(self, kit: Kit) -> Iterator[_Threads]:
        """See `Engine.open`."""
        bench = Workbench(kit, threads=max(1, cores() // self.workers))
        pool = ThreadPoolExecutor(self.workers, "nfkit-campaign")
        try:
            yield _Threads(pool, bench, self.workers)
        finally:
            pool.shutdown(cancel_futures=True)


class _Threads:
    def __init__(self, pool: ThreadPoolExecutor, bench: Workbench, workers: int) -> None:
        self._pool, self._bench, self._workers = pool, bench, workers

    def measure(self, tasks: Iterable[Task]) -> Iterator[Measurement]:
        def submit(task: Task) -> Future[Measurement]:
            return self._pool.submit(self._bench.measure, task)

        return as_done(tasks, submit, 2 * self._workers)


def as_done(
    tasks: Iterable[Task], submit: Callable[[Task], Future[Measurement]], ahead: int
) -> Iterator[Measurement]:  # fmt: skip
    """Results of tasks as they come, with never more than some of them submitted: an end then waits for few.

    What is left at an end is for whoever shuts the pool down.
    """
    rest = iter(tasks)
    pending = {submit(task) for task in islice(rest, ahead)}
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            pending.update(submit(task) for task in islice(rest, 1))
            yield future.result()
