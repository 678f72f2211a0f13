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
from pathlib import Path
from typing import Any

import msgspec
import numpy.typing as npt

from nfkit.campaigns.kit import Measurement, Task
from nfkit.campaigns.tables import ANSWERS, SCHEMA, SCORES, TABLES, Kept, Run, row_of, samples_of, subject_row
from nfkit.errors import DataError, OptionError, OutputError
from nfkit.reports.campaign import METRIC, Cell

FILE = "measurements.sqlite"
_PATIENCE = 60.0  # seconds that another process may hold the file


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
        self._kept: Kept | None = None
        self._by_cell: dict[str, npt.NDArray[Any]] = {}
        if not create and not self.path.is_file():
            raise DataError(f"'{folder}' holds no campaign (there is no {FILE} in it): give the folder of -o")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            why = getattr(error, "strerror", None) or error
            raise OutputError(f"cannot keep measurements in '{folder}' ({why}): choose another folder") from error
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
            if version < SCHEMA:  # tables that are there, also those of another process in between, stay as they are
                with self.transaction():
                    for statement in TABLES.split(";\n"):
                        self._file.execute(statement)
                    self._file.execute(f"PRAGMA user_version = {SCHEMA}")
            elif version > SCHEMA:
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

    @property
    def kept(self) -> Kept:
        """What kind of measurement the store holds; its fingerprint tells."""
        if self._kept is None:
            known = self.fingerprint
            if not known:
                return ANSWERS
            self._kept = SCORES if METRIC in known else ANSWERS
        return self._kept

    def differences(self, fingerprint: Mapping[str, str]) -> list[str]:
        """In what a fingerprint differs from the store's: one sentence for each name that both have."""
        known = self.fingerprint
        found = [
            f"{name} was {_short(known[name])} and is {_short(value)}"
            for name, value in sorted(fingerprint.items())
            if known.get(name, value) != value
        ]
        if known and (METRIC in known) != (METRIC in fingerprint):
            found.append(f"{METRIC} was {known.get(METRIC, 'none')} and is {fingerprint.get(METRIC, 'none')}")
        return found

    def begin(
        self, fingerprint: Mapping[str, str], subjects: Mapping[str, tuple[int, npt.NDArray[Any]]],
        cells: Mapping[str, tuple[Cell, str]], run: Run,
    ) -> int:  # fmt: skip
        """Declares what is going to be measured.

        Args:
            fingerprint: What it depends on.
            subjects: Number of the samples of each file, and which of them it gets right without errors, or the
                metric's values there, by name.
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
            table = self.kept.subjects
            for name, (images, clean) in subjects.items():
                entry = subject_row(name, images, clean)
                known = self._file.execute(f"SELECT * FROM {table} WHERE subject = ?", (name,)).fetchone()
                if known is not None and known != entry:
                    raise OptionError(
                        f"'{self.folder}': {name} without errors answers otherwise than when this campaign began "
                        "(another processor computes otherwise): go on where it began, or choose another folder"
                    )
                self._file.execute(f"INSERT OR IGNORE INTO {table} VALUES ({_marks(4)})", entry)
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
        kept, row = self.kept, row_of(measurement, self.clean(measurement.cell), run)
        with self._explained():
            done = self._file.execute(f"INSERT OR IGNORE INTO {kept.table} VALUES ({_marks(len(row))})", row)
            if done.rowcount == 0:
                self.check_same(dict(zip(kept.columns, row, strict=True)), str(self.folder))

    def check_same(self, row: Mapping[str, Any], whose: str) -> None:
        """Refuses a row that says something else than the one that is kept of the same cell and chip.

        Raises:
            DataError: When it does.
        """
        table, truth = self.kept.table, self.kept.truth
        kept = self.rows(
            f"SELECT {', '.join(truth)} FROM {table} WHERE cell = ? AND chip = ?", (row["cell"], row["chip"])
        )
        differing = [name for name, value in zip(truth, kept[0], strict=True) if row[name] != value]
        if differing:
            raise DataError(
                f"chip {row['chip']} of {self.cells()[row['cell']][0]} was measured twice, and differs in "
                f"{', '.join(differing)} between '{self.folder}' and '{whose}': the two machines compute differently; "
                "use one kind of machine for a campaign"
            )

    def done(self) -> set[Task]:
        """What is measured."""
        return {Task(*row) for row in self.rows(f"SELECT cell, chip FROM {self.kept.table}")}

    def cells(self) -> dict[str, tuple[Cell, str]]:
        """All cells with their subjects, by key."""
        rows = self.rows("SELECT * FROM cells")
        return {key: (Cell(*attributes), subject) for key, subject, *attributes in rows}

    def name_of(self, cell: str) -> str:
        """A cell as a person reads it."""
        if cell not in self._names:
            self._names = {key: str(found) for key, (found, _) in self.cells().items()}
        return self._names[cell]

    def subjects(self) -> dict[str, npt.NDArray[Any]]:
        """Which samples each file gets right without errors, [N], or the metric's values, [N] or [1], by name."""
        kept = self.kept
        rows = self.rows(f"SELECT * FROM {kept.subjects}")
        return {name: samples_of(kept, content, images) for name, images, _, content in rows}

    def images(self) -> dict[str, int]:
        """How many samples each file is measured on, by name."""
        return dict(self.rows(f"SELECT subject, images FROM {self.kept.subjects}"))

    def samples(self, cell: str, chips: Sequence[int] | None = None) -> Iterator[npt.NDArray[Any]]:
        """Which samples are right, or the metric's values, chip by chip in the order of the seeds.

        Args:
            cell: Key of the cell.
            chips: Seeds that follow on each other; all that are there by default.
        """
        (where, values), kept, images = _among(cell, chips), self.kept, len(self.clean(cell))
        query = f"SELECT {kept.samples} FROM {kept.table} WHERE {where} ORDER BY chip"
        with self._explained():
            for row in self._file.execute(query, values):
                yield samples_of(kept, row[0], images)

    def counts(self, cell: str, chips: Sequence[int] | None = None) -> dict[str, list[Any]]:
        """What was counted on each chip, by column; see `samples`."""
        names = (*self.kept.counted, "faulty_cells", "flipped_bits", "seconds")
        where, values = _among(cell, chips)
        rows = self.rows(f"SELECT {', '.join(names)} FROM {self.kept.table} WHERE {where} ORDER BY chip", values)
        return {name: [row[i] for row in rows] for i, name in enumerate(names)}

    def count(self, cell: str, chips: Sequence[int] | None = None) -> int:
        """How many of some chips are measured; see `samples`."""
        where, values = _among(cell, chips)
        return int(self.rows(f"SELECT count(*) FROM {self.kept.table} WHERE {where}", values)[0][0])

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

    def clean(self, cell: str) -> npt.NDArray[Any]:
        """What `subjects` holds of the file of a cell."""
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


def _among(cell: str, chips: Sequence[int] | None) -> tuple[str, tuple[Any, ...]]:
    if chips is None:
        return "cell = ?", (cell,)
    return "cell = ? AND chip BETWEEN ? AND ?", (cell, min(chips), max(chips))


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _short(value: str) -> str:
    """A digest is told apart by its first digits."""
    return value[:12] if len(value) == 64 else value
