"""The tables of a store: what a row of each kind of measurement is, and what two of them must agree in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.campaigns.kit import ClassMeasurement, Measurement, MetricMeasurement
from nfkit.reports.figures import pack, unpack

SCHEMA = 2
"""The version of the tables, `PRAGMA user_version` in the file; 1 has no scores, and is given them."""

_SHARED = ("faulty_cells", "flipped_bits", "seconds", "run")

TABLES = """
CREATE TABLE IF NOT EXISTS fingerprint (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subjects (
    subject TEXT PRIMARY KEY, images INTEGER NOT NULL, clean_right INTEGER NOT NULL, clean_correct BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cells (
    cell TEXT PRIMARY KEY, subject TEXT NOT NULL, model TEXT, data TEXT, remedy TEXT, kind TEXT, set_share REAL,
    layout TEXT, storage TEXT, rate REAL, volts REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (run INTEGER PRIMARY KEY, begun TEXT, machine TEXT, engine TEXT, versions TEXT);
CREATE TABLE IF NOT EXISTS measurements (
    cell TEXT NOT NULL, chip INTEGER NOT NULL, right INTEGER NOT NULL, top5 INTEGER, changed INTEGER NOT NULL,
    right_to_wrong INTEGER NOT NULL, wrong_to_right INTEGER NOT NULL, faulty_cells INTEGER NOT NULL,
    flipped_bits INTEGER NOT NULL, seconds REAL NOT NULL, run INTEGER NOT NULL, correct_bits BLOB NOT NULL,
    changed_bits BLOB NOT NULL, top5_bits BLOB, PRIMARY KEY (cell, chip)
);
CREATE TABLE IF NOT EXISTS scored_subjects (
    subject TEXT PRIMARY KEY, images INTEGER NOT NULL, clean_value REAL NOT NULL, clean_values BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
    cell TEXT NOT NULL, chip INTEGER NOT NULL, value REAL NOT NULL, faulty_cells INTEGER NOT NULL,
    flipped_bits INTEGER NOT NULL, seconds REAL NOT NULL, run INTEGER NOT NULL, sample_values BLOB NOT NULL,
    PRIMARY KEY (cell, chip)
);
"""


@dataclass(frozen=True)
class Run:
    """Who measured.

    Attributes:
        begun: When, in UTC.
        machine: Name and processor of the machine that drove it.
        engine: Who worked.
        versions: Versions of nfkit and what numbers depend on.
    """

    begun: str
    machine: str
    engine: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Kept:
    """A kind of measurement.

    Attributes:
        table: Its table.
        subjects: The table of what each file gives without errors.
        samples: The column with what stands for every sample.
        counted: Columns that are one number a measurement, besides those that every kind has.
        columns: All columns, in the table's order.
    """

    table: str
    subjects: str
    samples: str
    counted: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def truth(self) -> tuple[str, ...]:
        """Columns that any two measurements of one cell and chip must agree in."""
        return tuple(name for name in self.columns if name not in ("seconds", "run"))


_COUNTED = ("right", "top5", "changed", "right_to_wrong", "wrong_to_right")
ANSWERS = Kept(
    "measurements", "subjects", "correct_bits", _COUNTED,
    ("cell", "chip", *_COUNTED, *_SHARED, "correct_bits", "changed_bits", "top5_bits"),
)  # fmt: skip
"""Which class a model gives each sample."""
SCORES = Kept(
    "scores", "scored_subjects", "sample_values", ("value",), ("cell", "chip", "value", *_SHARED, "sample_values")
)
"""What a metric of the user's own makes of a model's outputs."""


def row_of(made: Measurement, clean: npt.NDArray[Any], run: int) -> tuple[Any, ...]:
    """A measurement as a row of its table.

    Args:
        made: The measurement.
        clean: What the same file gives without errors, sample by sample.
        run: Number of the run that made it.
    """
    shared = (made.faulty_cells, made.flipped_bits, made.seconds, run)
    if isinstance(made, MetricMeasurement):
        return (made.cell, made.chip, float(np.frombuffer(made.values).mean()), *shared, made.values)
    assert isinstance(made, ClassMeasurement)
    images = len(clean)
    correct, changed = unpack(made.correct, images), unpack(made.changed, images)
    return (
        made.cell, made.chip, int(correct.sum()), None if made.top is None else int(unpack(made.top, images).sum()),
        int(changed.sum()), int((clean & ~correct).sum()), int((~clean & correct).sum()), *shared, made.correct,
        made.changed, made.top,
    )  # fmt: skip


def subject_row(name: str, images: int, clean: npt.NDArray[Any]) -> tuple[Any, ...]:
    """What a file gives without errors, as a row: right or wrong [N], or a metric's values, [N] or one for all."""
    if clean.dtype == np.bool_:
        return name, images, int(clean.sum()), pack(clean)
    return name, images, float(clean.mean()), clean.astype("<f8").tobytes()


def samples_of(kept: Kept, content: bytes, images: int) -> npt.NDArray[Any]:
    """The inverse, for a subject or a measurement: booleans [N], or values [N] or [1]."""
    return unpack(content, images) if kept is ANSWERS else np.frombuffer(content, "<f8")
