"""A cluster of dask: workers on this machine, or whatever stands behind a scheduler's address.

SLURM, PBS and Kubernetes are reached through their own dask packages, which start a scheduler; its address is all that
is needed here, and nfkit in the same version on all workers. The kit goes to each worker once, as a plugin, so that
workers that come later or start anew have it too. What a lost worker was doing is done by another.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from itertools import islice
from typing import Any

from nfkit.campaigns.kit import Kit, Measurement, Task
from nfkit.errors import AccessError, OptionError
from nfkit.parallel import cores

_CONNECT = 30.0  # seconds


class DaskCluster:
    """Workers of dask.

    Args:
        workers: How many to start on this machine; one a core by default.
        scheduler: Address of a scheduler that has workers, in place of that.

    Raises:
        OptionError: When dask is not installed, or workers are asked for at an address.
    """

    name = "dask"

    def __init__(self, workers: int | None = None, scheduler: str | None = None) -> None:
        if find_spec("distributed") is None:
            raise OptionError("the engine dask takes dask: pip install 'nfkit[dask]'")
        if scheduler is not None and workers is not None:
            raise OptionError("a scheduler has the workers that it has: leave --workers out beside --scheduler")
        self._scheduler = scheduler
        self.workers = workers or cores()

    @contextmanager
    def open(self, kit: Kit) -> Iterator[_Cluster]:
        """See `Engine.open`.

        Raises:
            AccessError: When no scheduler answers at the address, or it has no workers.
        """
        from distributed import Client, LocalCluster

        from nfkit.campaigns.engines.dask_worker import HoldKit

        with ExitStack() as stack:
            stack.enter_context(_quiet("distributed.client"))
            where: Any = self._scheduler
            if where is None:
                where = stack.enter_context(
                    LocalCluster(
                        n_workers=self.workers, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0",
                        memory_limit=0, silence_logs=logging.CRITICAL,
                    )
                )  # fmt: skip
            try:
                client = stack.enter_context(Client(where, timeout=_CONNECT))
            except (OSError, ValueError) as error:
                raise AccessError(
                    f"no dask scheduler answers at '{self._scheduler}' ({type(error).__name__}): give its address, "
                    "such as tcp://host:8786"
                ) from error
            self.workers = sum(client.nthreads().values())
            if not self.workers:
                raise AccessError(f"the dask scheduler at '{self._scheduler}' has no workers: start some first")
            name = f"nfkit-{uuid.uuid4().hex}"
            client.register_plugin(HoldKit(name, kit, ours=self._scheduler is None), name=name)
            try:
                yield _Cluster(client, name, self.workers)
            finally:
                if self._scheduler is not None and client.status == "running":
                    client.unregister_worker_plugin(name)


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Keeps what a library logs of lost connections to itself: what they come to is an `AccessError`, or nothing."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


class _Cluster:
    def __init__(self, client: Any, name: str, workers: int) -> None:
        self._client, self._name, self._workers = client, name, workers

    def measure(self, tasks: Iterable[Task]) -> Iterator[Measurement]:
        """See `Workers.measure`.

        Raises:
            AccessError: When the scheduler ends, or a measurement ends the workers that it is given to.
        """
        from distributed import KilledWorker, as_completed

        from nfkit.campaigns.engines.dask_worker import measure

        rest = iter(tasks)

        def submit(count: int) -> list[Any]:
            return [
                self._client.submit(measure, self._name, task, pure=False, key=f"{self._name}-{task.cell}-{task.chip}")
                for task in islice(rest, count)
            ]

        pending = submit(2 * self._workers)
        stream = as_completed(pending, with_results=True)
        try:
            for future, made in stream:
                if future.cancelled():  # all are where the scheduler is gone; what comes is the reason
                    raise AccessError(
                        "the dask scheduler ended with measurements on their way: start it again, and the same command "
                        "goes on from those that were made"
                    )
                stream.update(submit(1))
                future.release()
                yield made
        except KilledWorker as error:
            raise AccessError(
                f"one measurement ended several workers of dask ({error}): memory may be short; start fewer of them"
            ) from error
        finally:
            self._client.cancel(list(stream.futures))
