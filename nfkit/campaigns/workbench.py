"""Measuring what a kit holds: any cell on any chip, in whatever process."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from nfkit.access.runtime import Level
from nfkit.access.swapping import Swapper
from nfkit.campaigns.kit import Kit, Measurement, Subject, Task
from nfkit.faults import Chip
from nfkit.graph.memory.sites import WeightSite, codes, fault_sites
from nfkit.measure.answers import Answers
from nfkit.measure.bench import Codes, read_codes
from nfkit.reports.figures import pack


class Workbench:
    """A kit, unpacked as far as its tasks need it. Threads may measure at the same time.

    Args:
        kit: What to measure.
        threads: Threads of one measurement.
    """

    def __init__(self, kit: Kit, *, threads: int = 1) -> None:
        self.kit, self.threads = kit, threads
        self._ready: dict[str, _Ready] = {}
        self._lock = threading.Lock()

    def measure(self, task: Task) -> Measurement:
        """Makes a measurement.

        Raises:
            NfkitError: When errors, layout and model do not go together, or ONNX Runtime fails.
        """
        begun = time.perf_counter()
        job = self.kit.jobs[task.cell]
        ready, subject = self._unpack(job.subject), self.kit.subjects[job.subject]
        read, cells, bits = read_codes(Chip(task.chip, job.layout), job.errors, ready.sites, ready.stored)
        answers = Answers.of(ready.swapper.open(read, threads=self.threads)(ready.x), subject.data.y)
        return Measurement(
            task.cell, task.chip, pack(answers.correct), pack(answers.changed(subject.clean)),
            None if answers.top is None else pack(answers.top), cells, bits, time.perf_counter() - begun,
        )  # fmt: skip

    def _unpack(self, name: str) -> _Ready:
        with self._lock:
            if name not in self._ready:
                self._ready[name] = _Ready.of(self.kit.subjects[name], self.kit.level)
            return self._ready[name]


@dataclass(frozen=True, eq=False)
class _Ready:
    """What is the same in all measurements of a subject."""

    sites: list[WeightSite]
    stored: Codes
    x: npt.NDArray[Any]
    swapper: Swapper

    @classmethod
    def of(cls, subject: Subject, level: Level) -> _Ready:
        sites = fault_sites(subject.model)
        stored = {site.name: codes(subject.model, site) for site in sites}
        swapper = Swapper(subject.model, list(stored), level=level)
        return cls(sites, stored, subject.spec.encode(subject.data.x), swapper)
