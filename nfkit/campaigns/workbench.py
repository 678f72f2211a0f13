"""Measuring what a kit holds: any cell on any chip, in whatever process."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.access.runtime import Level
from nfkit.access.shortcut import Shortcut
from nfkit.access.swapping import Swapper
from nfkit.campaigns.kit import ClassMeasurement, Job, Kit, Measurement, MetricMeasurement, Subject, Task
from nfkit.data import Dataset
from nfkit.data.function import load_callable
from nfkit.data.targets import Targets
from nfkit.faults import Chip
from nfkit.graph.memory.sites import WeightSite, codes, fault_sites
from nfkit.measure.answers import Answers
from nfkit.measure.bench import Codes, read_codes
from nfkit.measure.judge import Judge
from nfkit.reports.figures import pack

WORTH = 4
"""Cells whose errors are in the same weights: from so many on, what lies before these is computed once."""

ROOM = 1 << 30
"""Bytes that values computed once may take, of all cells together."""


class Workbench:
    """A kit, unpacked as far as its tasks need it. Threads may measure at the same time.

    Args:
        kit: What to measure.
        threads: Threads of one measurement.
    """

    def __init__(self, kit: Kit, *, threads: int = 1) -> None:
        self.kit, self.threads = kit, threads
        self._ready: dict[str, _Ready] = {}
        self._shortcuts: dict[tuple[str, tuple[str, ...]], Shortcut | None] = {}
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
        if ready.judge is not None:
            runner = ready.swapper.open(read, threads=self.threads)
            values = ready.judge.values(ready.judge.outputs(runner), f"{job.subject} on chip {task.chip}")
            content = values.astype("<f8").tobytes()
            return MetricMeasurement(task.cell, task.chip, cells, bits, time.perf_counter() - begun, content)
        assert isinstance(subject.data, Dataset)
        shortcut = self._shortcut(job, ready, read)
        if shortcut is None:
            scores = ready.swapper.open(read, threads=self.threads)(ready.x)
        else:
            scores = shortcut.scores(read, threads=self.threads)
        answers = Answers.of(scores, subject.data.y)
        found = pack(answers.correct), pack(answers.changed(subject.clean))
        top = None if answers.top is None else pack(answers.top)
        return ClassMeasurement(task.cell, task.chip, cells, bits, time.perf_counter() - begun, *found, top)

    def _unpack(self, name: str) -> _Ready:
        with self._lock:
            if name not in self._ready:
                jobs = [job for job in self.kit.jobs.values() if job.subject == name]
                self._ready[name] = _Ready.of(self.kit.subjects[name], self.kit.level, jobs)
            return self._ready[name]

    def _shortcut(self, job: Job, ready: _Ready, read: Codes) -> Shortcut | None:
        """The rest of a model behind what errors of a cell do not reach, where enough cells share it."""
        erring = _erring(job, ready.sites)
        if ready.sharing[erring] < WORTH or len(erring) == len(ready.sites):
            return None
        # A storage code may hold another number for one that it cannot hold, errors or not.
        if any(not np.array_equal(ready.stored[n], read[n]) for n in ready.stored if n not in erring):
            return None
        with self._lock:
            if (job.subject, erring) not in self._shortcuts:
                room = ROOM // (len(ready.sharing) * len(self.kit.subjects))
                self._shortcuts[job.subject, erring] = Shortcut.find(
                    self.kit.subjects[job.subject].model, erring, ready.stored, ready.x, level=self.kit.level, room=room
                )
            return self._shortcuts[job.subject, erring]


def _erring(job: Job, sites: list[WeightSite]) -> tuple[str, ...]:
    """Names of the sites that errors may hit."""
    return tuple(site.name for site in sites if not job.errors.protects(site.name))


@dataclass(frozen=True, eq=False)
class _Ready:
    """What is the same in all measurements of a subject."""

    sites: list[WeightSite]
    stored: Codes
    x: npt.NDArray[Any]
    swapper: Swapper
    judge: Judge | None
    sharing: Counter[tuple[str, ...]]
    """How many cells have their errors in the same sites."""

    @classmethod
    def of(cls, subject: Subject, level: Level, jobs: Sequence[Job]) -> _Ready:
        sites = fault_sites(subject.model)
        stored = {site.name: codes(subject.model, site) for site in sites}
        swapper = Swapper(subject.model, list(stored), level=level)
        judge = judge_of(subject) if subject.metric is not None else None
        sharing = Counter(_erring(job, sites) for job in jobs)
        return cls(sites, stored, subject.spec.encode(subject.data.x), swapper, judge, sharing)


def judge_of(subject: Subject) -> Judge:
    """The metric of a subject, which a worker loads by itself: functions do not travel.

    Raises:
        DataError: When it cannot be loaded.
    """
    assert subject.metric is not None
    assert isinstance(subject.data, Targets)
    return Judge(subject.metric, load_callable(subject.metric), subject.data, subject.spec)
