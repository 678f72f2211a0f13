"""Where a campaign keeps each measurement the moment it is made: one SQLite file that any tool can read.

A measurement is one row, known by its cell and its chip, and written in a transaction of its own into a write-ahead
log: after an end of the process at any moment, kill -9 included, the file holds every row that was acknowledged, whole,
and none twice. A store belongs to what its fingerprint says, and refuses measurements of anything else. It lives on a
local disk: SQLite's locks do not hold on network file systems, so machines write a store each, which `merging` joins.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nfkit.campaigns.kit import Measurement, Task
from nfkit.errors import DataError, OptionError, OutputError
from nfkit.reports.campaign import Cell
from nfkit.reports.figures import pack, unpack

FILE = "measurements.sqlite"
SCHEMA = 1
"""The version of the tables, `PRAGMA user_version` in the file."""

_TABLES = """
CREATE TABLE fingerprint (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE subjects (
    subject TEXT PRIMARY KEY, images INTEGER NOT NULL, clean_right INTEGER NOT NULL, clean_correct BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE cells (
    cell TEXT PRIMARY KEY, subject TEXT NOT NULL, model TEXT, data TEXT, remedy TEXT, kind TEXT, set_share REAL,
    layout TEXT, storage TEXT, rate REAL, volts REAL
) WITHOUT ROWID;
CREATE TABLE runs (run INTEGER PRIMARY KEY, begun TEXT, machine TEXT, engine TEXT, versions TEXT);
CREATE TABLE measurements (
    cell TEXT NOT NULL, chip INTEGER NOT NULL, right INTEGER NOT NULL, top5 INTEGER, changed INTEGER NOT NULL,
    right_to_wrong INTEGER NOT NULL, wrong_to_right INTEGER NOT NULL, faulty_cells INTEGER NOT NULL,
    flipped_bits INTEGER NOT NULL, seconds REAL NOT NULL, run INTEGER NOT NULL, correct_bits BLOB NOT NULL,
    changed_bits BLOB NOT NULL, top5_bits BLOB, PRIMARY KEY (cell, chip)
);
"""
COLUMNS = (
    "cell", "chip", "right", "top5", "changed", "right_to_wrong", "wrong_to_right", "faulty_cells", "flipped_bits",
    "seconds", "run", "correct_bits", "changed_bits", "top5_bits",
)  # fmt: skip
"""Columns of a measurement."""
TRUTH = tuple(name for name in COLUMNS if name not in ("seconds", "run"))
"""Those that any two measurements of one cell and chip must agree in."""

_PATIENCE = 60.0  # seconds that another process may hold the file
_EMPTY = 32_000  # bytes of a store without a measurement
_ROW = 80  # bytes of a row and its entry in the index, besides its samples
_UNFILLED = 1.1  # pages that rows do not fill


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


def is_store(folder: Path) -> bool:
    """Whether a folder holds a campaign."""
    return (folder / FILE).is_file()


class MeasurementStore:
    """The measurements of a campaign.

    Args:
        folder: The campaign's folder.
        create: Whether a store is made where there is none.

    Raises:
        DataError: When there is none, or the file is something else.
        OutputError: When it cannot be made.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self.folder, self.path = folder, folder / FILE
        self._names: dict[str, str] = {}
        self._by_cell: dict[str, npt.NDArray[np.bool_]] = {}
        if not create and not self.path.is_file():
            raise DataError(f"'{folder}' holds no campaign (there is no {FILE} in it): give the folder of -o")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"cannot keep measurements in '{folder}' ({error}): choose another folder") from error
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        with self._explained():
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")  # outlives the process; a power cut costs the last rows
            version = self._version()
            if version == 0:
                with self.transaction():
                    if self._version() == 0:  # not made by another process in between
                        for statement in _TABLES.split(";\n"):
                            self._file.execute(statement)
                        self._file.execute(f"PRAGMA user_version = {SCHEMA}")
            elif version != SCHEMA:
                raise DataError(
                    f"'{self.path}' is a store of version {version}, this nfkit reads version {SCHEMA}: use the one "
                    "that wrote it"
                )

    def __enter__(self) -> MeasurementStore:  # noqa: PYI034 - Self is younger than Python 3.10
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; what was logged goes into it."""
        self._file.close()

    @property
    def fingerprint(self) -> dict[str, str]:
        """What the measurements depend on, by name."""
        return dict(self.rows("SELECT name, value FROM fingerprint ORDER BY name"))

    def differences(self, fingerprint: Mapping[str, str]) -> list[str]:
        """In what a fingerprint differs from the store's: one sentence for each name that both have."""
        known = self.fingerprint
        return [
            f"{name} was {_short(known[name])} and is {_short(value)}"
            for name, value in sorted(fingerprint.items())
            if known.get(name, value) != value
        ]

    def begin(
        self, fingerprint: Mapping[str, str], subjects: Mapping[str, npt.NDArray[np.bool_]],
        cells: Mapping[str, tuple[Cell, str]], run: Run,
    ) -> int:  # fmt: skip
        """Declares what is going to be measured.

        Args:
            fingerprint: What it depends on.
            subjects: Which samples each file gets right without errors, by name.
            cells: Cells, each with its subject's name, by key.
            run: Who measures.

        Returns:
            The number of this run.

        Raises:
            OptionError: When the store holds measurements of something else; the message says what differs.
        """
        with self._explained(), self.transaction():
            differing = self.differences(fingerprint)
            if differing:
                raise OptionError(
                    f"'{self.folder}' holds measurements of something else: {'; '.join(differing)}; they do not mix: "
                    "choose another folder, or bring back what it was"
                )
            self._file.executemany("INSERT OR IGNORE INTO fingerprint VALUES (?, ?)", fingerprint.items())
            for name, correct in subjects.items():
                known = self._file.execute("SELECT clean_correct FROM subjects WHERE subject = ?", (name,)).fetchone()
                if known is not None and known[0] != pack(correct):
                    raise OptionError(
                        f"'{self.folder}': {name} without errors answers otherwise than when this campaign began "
                        "(another processor computes otherwise): go on where it began, or choose another folder"
                    )
                entry = (name, len(correct), int(correct.sum()), pack(correct))
                self._file.execute("INSERT OR IGNORE INTO subjects VALUES (?, ?, ?, ?)", entry)
            self._file.executemany(
                f"INSERT OR IGNORE INTO cells VALUES ({_marks(11)})",
                [(key, subject, *msgspec.structs.astuple(cell)) for key, (cell, subject) in cells.items()],
            )
            made = self._file.execute(
                "INSERT INTO runs VALUES (NULL, ?, ?, ?, ?)",
                (run.begun, run.machine, run.engine, msgspec.json.encode(dict(run.versions)).decode()),
            )
            return int(made.lastrowid or 0)

    def add(self, measurement: Measurement, run: int) -> None:
        """Keeps a measurement; one that is there already is kept as it is.

        Raises:
            DataError: When it is there, and differs.
            OutputError: When it cannot be written.
        """
        row = (
            *_counts(measurement, self.clean(measurement.cell)),
            run,
            measurement.correct,
            measurement.changed,
            measurement.top,
        )
        with self._explained():
            done = self._file.execute(f"INSERT OR IGNORE INTO measurements VALUES ({_marks(len(COLUMNS))})", row)
            if done.rowcount == 0:
                self.check_same(dict(zip(COLUMNS, row, strict=True)), str(self.folder))

    def check_same(self, row: Mapping[str, Any], whose: str) -> None:
        """Refuses a row that says something else than the one that is kept of the same cell and chip.

        Raises:
            DataError: When it does.
        """
        kept = self.rows(
            f"SELECT {', '.join(TRUTH)} FROM measurements WHERE cell = ? AND chip = ?", (row["cell"], row["chip"])
        )
        differing = [name for name, value in zip(TRUTH, kept[0], strict=True) if row[name] != value]
        if differing:
            raise DataError(
                f"chip {row['chip']} of {self.cells()[row['cell']][0]} was measured twice, and differs in "
                f"{', '.join(differing)} between '{self.folder}' and '{whose}': the two machines compute differently; "
                "use one kind of machine for a campaign"
            )

    def done(self) -> set[Task]:
        """What is measured."""
        return {Task(*row) for row in self.rows("SELECT cell, chip FROM measurements")}

    def cells(self) -> dict[str, tuple[Cell, str]]:
        """All cells with their subjects, by key."""
        rows = self.rows("SELECT * FROM cells")
        return {key: (Cell(*attributes), subject) for key, subject, *attributes in rows}

    def name_of(self, cell: str) -> str:
        """A cell as a person reads it."""
        if cell not in self._names:
            self._names = {key: str(found) for key, (found, _) in self.cells().items()}
        return self._names[cell]

    def subjects(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Which samples each file gets right without errors, by name."""
        rows = self.rows("SELECT subject, images, clean_correct FROM subjects")
        return {name: unpack(correct, images) for name, images, correct in rows}

    def packed(self, cell: str, chips: Sequence[int] | None = None) -> Iterator[bytes]:
        """Which samples are right, packed, chip by chip in the order of the seeds.

        Args:
            cell: Key of the cell.
            chips: Seeds that follow on each other; all that are there by default.
        """
        where, values = _among(cell, chips)
        with self._explained():
            for row in self._file.execute(f"SELECT correct_bits FROM measurements WHERE {where} ORDER BY chip", values):
                yield row[0]

    def counts(self, cell: str, chips: Sequence[int] | None = None) -> dict[str, list[Any]]:
        """What was counted on each chip, by column; see `packed`."""
        names = ("top5", "changed", "right_to_wrong", "wrong_to_right", "faulty_cells", "flipped_bits", "seconds")
        where, values = _among(cell, chips)
        rows = self.rows(f"SELECT {', '.join(names)} FROM measurements WHERE {where} ORDER BY chip", values)
        return {name: [row[i] for row in rows] for i, name in enumerate(names)}

    def count(self, cell: str, chips: Sequence[int] | None = None) -> int:
        """How many of some chips are measured; see `packed`."""
        where, values = _among(cell, chips)
        return int(self.rows(f"SELECT count(*) FROM measurements WHERE {where}", values)[0][0])

    def rows(self, query: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with self._explained():
            return self._file.execute(query, tuple(values)).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is written in a `with` block, or nothing."""
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield self._file
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    def _version(self) -> int:
        return int(self._file.execute("PRAGMA user_version").fetchone()[0])

    def clean(self, cell: str) -> npt.NDArray[np.bool_]:
        """Which samples the file of a cell gets right without errors."""
        if cell not in self._by_cell:
            subjects = self.subjects()
            self._by_cell = {key: subjects[subject] for key, (_, subject) in self.cells().items()}
        return self._by_cell[cell]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise OutputError(
                f"'{self.path}' takes or gives no measurements ({error}): it belongs on a local disk with room, and is "
                "written by nfkit alone"
            ) from error


def store_size(measurements: int, images: int) -> int:
    """Bytes of a store, about, to which all its log has gone.

    Args:
        measurements: How many it holds.
        images: Samples of each.
    """
    return round(_EMPTY + measurements * (_ROW + 3 * -(-images // 8) * _UNFILLED))


def _counts(made: Measurement, clean: npt.NDArray[np.bool_]) -> tuple[Any, ...]:
    """The columns from the cell to the seconds."""
    images = len(clean)
    correct, changed = unpack(made.correct, images), unpack(made.changed, images)
    return (
        made.cell, made.chip, int(correct.sum()), None if made.top is None else int(unpack(made.top, images).sum()),
        int(changed.sum()), int((clean & ~correct).sum()), int((~clean & correct).sum()), made.faulty_cells,
        made.flipped_bits, made.seconds,
    )  # fmt: skip


def _among(cell: str, chips: Sequence[int] | None) -> tuple[str, tuple[Any, ...]]:
    if chips is None:
        return "cell = ?", (cell,)
    return "cell = ? AND chip BETWEEN ? AND ?", (cell, min(chips), max(chips))


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _short(value: str) -> str:
    """A digest is told apart by its first digits."""
    return value[:12] if len(value) == 64 else value
