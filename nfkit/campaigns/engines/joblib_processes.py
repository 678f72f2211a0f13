"""Processes of joblib on this machine: for models whose graphs keep the interpreter busy, and for isolation.

The kit is written to a file, and read once by each process. A process that dies takes its pool with it; what was not
done yet is given to a new one.
"""

from __future__ import annotations

import pickle
import signal
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.util import find_spec
from multiprocessing import active_children
from pathlib import Path
from typing import Any

from nfkit.campaigns.engines.in_process import as_done
from nfkit.campaigns.kit import Kit, Measurement, Task
from nfkit.campaigns.workbench import Workbench
from nfkit.errors import AccessError, OptionError
from nfkit.parallel import cores, pin

_PATIENCE = 3
"""Pools that may break one after the other without a single measurement."""


class JoblibProcesses:
    """Processes of joblib's own backend.

    Args:
        workers: How many; one a core by default.

    Raises:
        OptionError: When joblib is not installed.
    """

    name = "joblib"

    def __init__(self, workers: int | None = None) -> None:
        if find_spec("joblib") is None:
            raise OptionError("the engine joblib takes joblib: pip install 'nfkit[joblib]'")
        self.workers = workers or cores()

    @contextmanager
    def open(self, kit: Kit) -> Iterator[_Processes]:
        """See `Engine.open`."""
        with tempfile.TemporaryDirectory(prefix="nfkit.") as folder:
            path = Path(folder, "kit")
            path.write_bytes(pickle.dumps(kit, protocol=5))
            yield _Processes(str(path), self.workers)


class _Processes:
    def __init__(self, kit: str, workers: int) -> None:
        self._kit, self._workers = kit, workers

    def measure(self, tasks: Iterable[Task]) -> Iterator[Measurement]:
        missing, broken = dict.fromkeys(tasks), 0
        while missing:
            before = len(missing)
            for made in self._until_broken(list(missing)):
                del missing[made.task]
                yield made
            broken = broken + 1 if len(missing) == before else 0
            if broken == _PATIENCE:
                raise AccessError(
                    f"{_PATIENCE} times a worker process died before it had measured anything: memory may be short; "
                    "give fewer --workers"
                )

    def _until_broken(self, tasks: list[Task]) -> Iterator[Measurement]:
        """Measurements up to the end, or to that of one of the processes."""
        # The pool itself: joblib.Parallel starts a second one when it is interrupted, which then wants to be ended.
        from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor

        pool, others = ProcessPoolExecutor(self._workers), set(active_children())

        def submit(task: Task) -> Future[Measurement]:
            with _out_of_earshot():
                future: Future[Measurement] = pool.submit(_measure, self._kit, task)
            return future

        try:
            with suppress(BrokenProcessPool):
                yield from as_done(tasks, submit, 2 * self._workers)
        finally:
            # The pool's own `kill_workers` fails where a task is new or cancelled; lost workers it is prepared for.
            for worker in set(active_children()) - others:
                worker.terminate()
            pool.shutdown()


@contextmanager
def _out_of_earshot() -> Iterator[None]:
    """Processes that start here never hear the Ctrl-C of the terminal: who started them ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@lru_cache(maxsize=1)
def _bench(kit: str) -> Workbench:
    pin(1)
    # Written by the process that gives the tasks, into a folder that it alone may write.
    held: Any = pickle.loads(Path(kit).read_bytes())
    return Workbench(held, threads=1)


def _measure(kit: str, task: Task) -> Measurement:
    return _bench(kit).measure(task)
