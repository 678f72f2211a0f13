"""Measuring what a kit holds: any cell on any chip, in whatever process."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from nfkit.access.runtime import Level
from nfkit.access.swapping import Swapper
from nfkit.campaigns.kit import Answered, Kit, Measurement, Scored, Subject, Task
from nfkit.data import Dataset
from nfkit.data.function import load_callable
from nfkit.data.targets import Targets
from nfkit.faults import Chip
from nfkit.graph.memory.sites import WeightSite, codes, fault_sites
from nfkit.measure.answers import Answers
from nfkit.measure.bench import Codes, read_codes
from nfkit.measure.judge import Judge
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
        runner = ready.swapper.open(read, threads=self.threads)
        if ready.judge is not None:
            values = ready.judge.values(ready.judge.outputs(runner), f"{job.subject} on chip {task.chip}")
            content = values.astype("<f8").tobytes()
            return Scored(task.cell, task.chip, cells, bits, time.perf_counter() - begun, content)
        assert isinstance(subject.data, Dataset)
        answers = Answers.of(runner(ready.x), subject.data.y)
        found = pack(answers.correct), pack(answers.changed(subject.clean))
        top = None if answers.top is None else pack(answers.top)
        return Answered(task.cell, task.chip, cells, bits, time.perf_counter() - begun, *found, top)

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
    judge: Judge | None

    @classmethod
    def of(cls, subject: Subject, level: Level) -> _Ready:
        sites = fault_sites(subject.model)
        stored = {site.name: codes(subject.model, site) for site in sites}
        swapper = Swapper(subject.model, list(stored), level=level)
        judge = judge_of(subject) if subject.metric is not None else None
        return cls(sites, stored, subject.spec.encode(subject.data.x), swapper, judge)


def judge_of(subject: Subject) -> Judge:
    """The metric of a subject, which a worker loads by itself: functions do not travel.

    Raises:
        DataError: When it cannot be loaded.
    """
    assert subject.metric is not None
    assert isinstance(subject.data, Targets)
    return Judge(subject.metric, load_callable(subject.metric), subject.data, subject.spec)
