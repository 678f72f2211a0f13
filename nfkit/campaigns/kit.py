"""What a worker is given, once: graphs, samples, and what errors each cell has. A task is then a cell and a chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy.typing as npt
import onnx
import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.data import Dataset
from nfkit.data.targets import Targets
from nfkit.faults import BitErrors, Layout
from nfkit.graph.input.spec import InputSpec
from nfkit.model import load, to_bytes


class Task(NamedTuple):
    """One measurement to make.

    Attributes:
        cell: Key of the cell.
        chip: Seed of the chip.
    """

    cell: str
    chip: int


@dataclass(frozen=True)
class Measurement:
    """One chip in one cell.

    Attributes:
        cell: Key of the cell.
        chip: Seed of the chip.
        faulty_cells: Cells of the weight memory that err.
        flipped_bits: Stored bits that come back wrong.
        seconds: How long it took, from drawing the chip to what came out.
    """

    cell: str
    chip: int
    faulty_cells: int
    flipped_bits: int
    seconds: float

    @property
    def task(self) -> Task:
        """The task that it fulfils."""
        return Task(self.cell, self.chip)


@dataclass(frozen=True)
class ClassMeasurement(Measurement):
    """The classes that a model gave.

    Attributes:
        correct: Which samples were right, packed as `nfkit.reports.figures.pack` does.
        changed: Which answers are others than those of the same file without errors, packed.
        top: Where the label was among the five highest scores, packed; None where there are at most five classes.
    """

    correct: bytes
    changed: bytes
    top: bytes | None


@dataclass(frozen=True)
class MetricMeasurement(Measurement):
    """What a metric made of a model's outputs.

    Attributes:
        values: A float64, little-endian, for each sample, or one for all of them.
    """

    values: bytes


@dataclass(frozen=True, eq=False)
class Subject:
    """A graph that runs, and the samples that it runs on.

    Attributes:
        model: The graph: a base, or a fused file.
        data: Labelled samples; with a metric, samples and targets.
        spec: Its input.
        clean: The class that it gives each sample without errors, [N]; with a metric, its values, [N] or [1].
        metric: The function that judges its outputs, as `load_callable` reads it; None for the classes that it gives.
    """

    model: ir.Model
    data: Dataset | Targets
    spec: InputSpec
    clean: npt.NDArray[Any]
    metric: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        # A model in memory holds maps of files, which do not travel.
        return {**self.__dict__, "model": to_bytes(self.model)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, "model": load(onnx.load_from_string(state["model"]))})


@dataclass(frozen=True)
class Job:
    """How a cell is measured.

    Attributes:
        subject: Name of what runs.
        errors: The errors that its remedy leaves.
        layout: Which cell holds what.
    """

    subject: str
    errors: BitErrors
    layout: Layout


@dataclass(frozen=True, eq=False)
class Kit:
    """Everything that a worker needs.

    Attributes:
        subjects: What runs, by name.
        jobs: How each cell is measured, by key.
        level: Optimisation level of ONNX Runtime.
    """

    subjects: dict[str, Subject]
    jobs: dict[str, Job]
    level: Level
