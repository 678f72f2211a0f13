"""Several stores made one: what two machines measured of one campaign."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nfkit.campaigns.store import FILE, MeasurementStore
from nfkit.errors import DataError, OptionError, OutputError

_AT_A_TIME = 1000


def merge(folders: Sequence[Path], output: Path) -> None:
    """Writes all measurements of some stores into a new one: all of it, or nothing.

    Args:
        folders: Folders of campaigns.
        output: Folder of the new store, which holds none yet.

    Raises:
        OptionError: When there is a store already, or the stores' fingerprints differ; the message says in what.
        DataError: When a folder holds no store, or two of them hold different measurements of one cell and chip.
        OutputError: When the store cannot be written.
    """
    if (output / FILE).exists():
        raise OptionError(f"'{output}' holds a campaign already: give another folder for what is merged")
    if len(folders) < 2:
        raise OptionError("give two folders or more: one alone is merged as it is")
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output, prefix=".nfkit.") as name:
            with MeasurementStore(Path(name), create=True) as made:
                for folder in folders:
                    with MeasurementStore(folder) as store:
                        _take(made, store)
            os.replace(Path(name, FILE), output / FILE)  # closed: the log is in the file
    except OSError as error:
        raise OutputError(f"cannot merge into '{output}': {error.strerror}") from error


def _take(made: MeasurementStore, store: MeasurementStore) -> None:
    """Copies one store, run by run; what is there already must be the same."""
    if differing := made.differences(store.fingerprint):
        raise OptionError(
            f"'{store.folder}' does not mix with the folders before it: {'; '.join(differing)}; merge what was "
            "measured of the same"
        )
    ours, theirs = made.subjects(), store.subjects()
    for name in sorted(ours.keys() & theirs.keys()):
        if not np.array_equal(ours[name], theirs[name]):
            raise DataError(
                f"{name} without errors answers otherwise in '{store.folder}' than in the folders before it: the "
                "machines compute differently, and their measurements do not mix"
            )
    with made.transaction() as file:
        for table in ("fingerprint", store.kept.subjects, "cells"):
            rows = store.rows(f"SELECT * FROM {table}")
            if rows:
                file.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        numbers = {
            number: file.execute("INSERT INTO runs VALUES (NULL, ?, ?, ?, ?)", more).lastrowid
            for number, *more in store.rows("SELECT * FROM runs")
        }
    kept = store.kept
    run, marks = kept.columns.index("run"), ", ".join("?" * len(kept.columns))
    for cell in store.cells():
        rows = store.rows(f"SELECT {', '.join(kept.columns)} FROM {kept.table} WHERE cell = ? ORDER BY chip", (cell,))
        for start in range(0, len(rows), _AT_A_TIME):
            with made.transaction() as file:
                for row in rows[start : start + _AT_A_TIME]:
                    renumbered = (*row[:run], numbers[row[run]], *row[run + 1 :])
                    done = file.execute(f"INSERT OR IGNORE INTO {kept.table} VALUES ({marks})", renumbered)
                    if done.rowcount == 0:
                        made.check_same(dict(zip(kept.columns, row, strict=True)), str(store.folder))
