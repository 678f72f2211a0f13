"""Who does the work of a campaign: threads here, processes of joblib, or a cluster of dask.

Each engine takes tasks one after the other and gives measurements as they come, in whatever order. The kit goes to each
worker once; a worker that is lost costs the tasks it was on, which others do again. An engine keeps nothing: that is
the store's work. A new one is a module here with a class that fits `Engine`, and a line in `ENGINES`.
"""

from __future__ import annotations

from collections.abc import Callable

from nfkit.campaigns.engines.base import Engine
from nfkit.campaigns.engines.in_process import InProcess
from nfkit.errors import OptionError

__all__ = ["ENGINES", "Engine", "InProcess", "find_engine"]


def _joblib(workers: int | None, scheduler: str | None) -> Engine:
    from nfkit.campaigns.engines.joblib_processes import JoblibProcesses

    return JoblibProcesses(workers)


def _dask(workers: int | None, scheduler: str | None) -> Engine:
    from nfkit.campaigns.engines.dask_cluster import DaskCluster

    return DaskCluster(workers, scheduler)


def _ray(workers: int | None, scheduler: str | None) -> Engine:
    from nfkit.campaigns.engines.ray_cluster import RayCluster

    return RayCluster(workers, scheduler)


ENGINES: dict[str, Callable[[int | None, str | None], Engine]] = {
    "threads": lambda workers, scheduler: InProcess(workers),
    "joblib": _joblib,
    "dask": _dask,
    "ray": _ray,
}
"""What makes each engine of a number of workers and an address; the first is the default."""


def find_engine(name: str, workers: int | None = None, scheduler: str | None = None) -> Engine:
    """The engine of a name.

    Args:
        name: A name of `ENGINES`.
        workers: How many workers; one a core by default.
        scheduler: Address of a cluster of dask or Ray; workers of this machine by default.

    Raises:
        OptionError: When there is none of that name, it takes no address, or its library is not installed.
    """
    if name not in ENGINES:
        raise OptionError(f"unknown engine {name!r}: choose one of {', '.join(ENGINES)}")
    if scheduler is not None and name not in ("dask", "ray"):
        raise OptionError(f"a scheduler's address belongs to the engines dask and ray, not to {name}")
    if workers is not None and workers < 1:
        raise OptionError(f"{workers} workers measure nothing: give at least 1")
    return ENGINES[name](workers, scheduler)
