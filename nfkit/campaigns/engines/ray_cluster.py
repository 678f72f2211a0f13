"""A cluster of Ray: workers on this machine, or whatever stands behind an address.

The kit is put into Ray's object store once, from where each worker process takes it at its first task. What a lost
worker was doing is done by another. nfkit is needed in the same version on all machines.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from typing import Any

from nfkit.campaigns.kit import Kit, Measurement, Task
from nfkit.campaigns.workbench import Workbench
from nfkit.errors import AccessError, NfkitError, OptionError
from nfkit.parallel import cores, pin

_RETRIES = 3
"""Workers that a measurement may end before it is given up."""
_STARTS = 3
"""Attempts to start Ray on this machine."""


class RayCluster:
    """Workers of Ray.

    Args:
        workers: How many to start on this machine; one a core by default.
        scheduler: Address of a cluster that runs, such as `ray://host:10001` or `host:6379`, in place of that.

    Raises:
        OptionError: When Ray is not installed, or workers are asked for at an address.
    """

    name = "ray"

    def __init__(self, workers: int | None = None, scheduler: str | None = None) -> None:
        if find_spec("ray") is None:
            raise OptionError("the engine ray takes Ray: pip install 'nfkit[ray]'")
        if scheduler is not None and workers is not None:
            raise OptionError("a cluster has the workers that it has: leave --workers out beside --scheduler")
        self._address = scheduler
        self.workers = workers or cores()

    @contextmanager
    def open(self, kit: Kit) -> Iterator[_Cluster]:
        """See `Engine.open`.

        Raises:
            AccessError: When no cluster answers at the address, it has no processors, or none starts here.
        """
        import ray

        try:
            self._connect()
            self.workers = int(ray.cluster_resources().get("CPU", 0))
            if not self.workers:
                raise AccessError(f"the Ray cluster at '{self._address}' has no processors: start some workers first")
            yield _Cluster(ray.put(kit), self.workers)
        finally:
            ray.shutdown()

    def _connect(self) -> None:
        import ray

        quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if self._address is not None:
            try:
                ray.init(self._address, **quiet)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise AccessError(
                    f"no Ray cluster answers at '{self._address}' ({_said(error)}): start one there with `ray start "
                    "--head`, or leave --scheduler out for workers on this machine"
                ) from error
            return
        for _ in range(_STARTS):
            failed = self._start(quiet)
            if failed is None:
                return
        raise AccessError(
            f"Ray did not start on this machine in {_STARTS} attempts ({_said(failed)}): the machine may be too busy; "
            "use --engine joblib, or name a cluster that runs with --scheduler"
        ) from failed

    def _start(self, quiet: dict[str, Any]) -> Exception | None:
        """Starts workers on this machine; gives back what went wrong, which on a busy machine another try may mend."""
        import ray

        try:
            ray.init(num_cpus=self.workers, include_dashboard=False, **quiet)
        except Exception as error:  # Ray waits 30 seconds for its own processes, and raises no narrower one then
            ray.shutdown()
            return error
        return None


def _said(error: Exception | None) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


class _Cluster:
    def __init__(self, kit: Any, workers: int) -> None:
        self._kit, self._workers, self._name = kit, workers, uuid.uuid4().hex

    def measure(self, tasks: Iterable[Task]) -> Iterator[Measurement]:
        """See `Team.measure`.

        Raises:
            AccessError: When the cluster ends, or a measurement ends the workers that it is given to.
        """
        import ray
        from ray.exceptions import RayError, RayTaskError

        rest, measure = iter(tasks), ray.remote(num_cpus=1, max_retries=_RETRIES)(_measure)

        def submit(count: int) -> list[Any]:
            # In a list, so that what arrives is the reference, and the kit is fetched once a process.
            return [measure.remote([self._kit], self._name, task) for task in islice(rest, count)]

        pending = submit(2 * self._workers)
        try:
            while pending:
                (done, *_), pending = ray.wait(pending, num_returns=1)
                pending += submit(1)
                yield ray.get(done)
        except RayTaskError as error:
            if isinstance(error.cause, NfkitError):
                raise error.cause from None
            raise
        except RayError as error:
            raise AccessError(
                f"the Ray cluster lost a measurement {_RETRIES + 1} times, or is gone ({type(error).__name__}): memory "
                "may be short; the same command goes on from those that were made"
            ) from error
        finally:
            for left in pending:
                ray.cancel(left, force=True)


_KITS: dict[str, Any] = {}


@lru_cache(maxsize=1)
def _bench(name: str) -> Workbench:
    import ray

    pin(1)
    return Workbench(ray.get(_KITS.pop(name)), threads=1)


def _measure(kit: list[Any], name: str, task: Task) -> Measurement:
    _KITS[name] = kit[0]
    return _bench(name).measure(task)
