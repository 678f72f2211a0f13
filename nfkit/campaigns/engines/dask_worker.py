"""What runs on a worker of dask; imported where dask is installed."""

from __future__ import annotations

from typing import Any

from distributed import WorkerPlugin

from nfkit.campaigns.kit import Kit, Measurement, Task
from nfkit.campaigns.workbench import Workbench
from nfkit.parallel import pin

_benches: dict[str, Workbench] = {}


class HoldKit(WorkerPlugin):  # type: ignore[misc]
    """Gives a worker its kit.

    Args:
        name: Name of the campaign's run.
        kit: The kit.
    """

    def __init__(self, name: str, kit: Kit) -> None:
        self._of, self._kit = name, kit

    def setup(self, worker: Any) -> None:
        """Called on each worker when it begins, and when it comes again."""
        pin(1)
        _benches[self._of] = Workbench(self._kit, threads=1)

    def teardown(self, worker: Any) -> None:
        """Called at the end of the campaign."""
        _benches.pop(self._of, None)


def measure(name: str, task: Task) -> Measurement:
    """Makes a measurement on this worker."""
    return _benches[name].measure(task)
