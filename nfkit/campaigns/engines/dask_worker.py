"""What runs on a worker of dask; imported where dask is installed."""

from __future__ import annotations

import signal
import threading
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
        ours: Whether the campaign started the worker, and ends it.
    """

    def __init__(self, name: str, kit: Kit, *, ours: bool) -> None:
        self._of, self._kit, self._ours = name, kit, ours

    def setup(self, worker: Any) -> None:
        """Called on each worker when it begins, and when it comes again."""
        pin(1)
        if self._ours and threading.current_thread() is threading.main_thread():
            # A terminal sends Ctrl-C to all processes of a command; this one ends when it is told to.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        _benches[self._of] = Workbench(self._kit, threads=1)

    def teardown(self, worker: Any) -> None:
        """Called at the end of the campaign."""
        _benches.pop(self._of, None)


def measure(name: str, task: Task) -> Measurement:
    """Makes a measurement on this worker."""
    return _benches[name].measure(task)
