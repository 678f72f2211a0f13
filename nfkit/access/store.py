"""Answers that were paid for, kept in one file: what was asked once is not asked again.

An answer is found by what it answers: the digest of one sample, under the identity of the base that was asked. A file
is an SQLite database on a local disk; it may be read and written by several processes, and holds after each write what
was in it, whatever ends the process. It holds scores and digests, never samples or credentials.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.access.base import Scores
from nfkit.errors import OutputError
from nfkit.outputs import check_writable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (identity TEXT, sample BLOB, scores BLOB, PRIMARY KEY (identity, sample))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (identity TEXT, name TEXT, value TEXT, PRIMARY KEY (identity, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (identity TEXT PRIMARY KEY, queries INTEGER) WITHOUT ROWID;
"""
_PATIENCE = 60.0  # seconds that another process may hold the file


class AnswerStore:
    """Answers by base and sample.

    Args:
        path: The file; made where it is missing. None keeps the answers in memory.

    Raises:
        OutputError: When the file cannot be made, or is something else.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        if path is not None:
            check_writable(path)
        self._lock = threading.Lock()
        with self._explained():
            self._file = sqlite3.connect(
                ":memory:" if path is None else path, timeout=_PATIENCE, check_same_thread=False, isolation_level=None
            )
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")  # outlives the process; a power cut costs the last calls
            self._file.executescript(_SCHEMA)

    def find(self, identity: str, samples: Sequence[bytes]) -> dict[bytes, npt.NDArray[np.float32]]:
        """The answers that are known, by the samples' digests; each [classes]."""
        found = {}
        with self._explained(), self._lock:
            for start in range(0, len(samples), 500):
                some = samples[start : start + 500]
                marks = ",".join("?" * len(some))
                rows = self._file.execute(
                    f"SELECT sample, scores FROM answers WHERE identity = ? AND sample IN ({marks})", [identity, *some]
                )
                found.update({sample: np.frombuffer(scores, "<f4") for sample, scores in rows})
        return found

    def keep(self, identity: str, samples: Iterable[bytes], scores: Scores) -> None:
        """Writes answers, all of them or none."""
        rows = [(identity, s, row.astype("<f4").tobytes()) for s, row in zip(samples, scores, strict=True)]
        with self._explained(), self._lock, self._transaction():
            self._file.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)

    def forget(self, identity: str, samples: Iterable[bytes]) -> None:
        """Removes answers that are in doubt."""
        rows = [(identity, sample) for sample in samples]
        with self._explained(), self._lock, self._transaction():
            self._file.executemany("DELETE FROM answers WHERE identity = ? AND sample = ?", rows)

    def settle(self, identity: str, name: str, value: str) -> str:
        """The value that a fact about a base had when it was first settled; this one, if it is the first."""
        with self._explained(), self._lock, self._transaction():
            self._file.execute("INSERT OR IGNORE INTO facts VALUES (?, ?, ?)", (identity, name, value))
            known = self._file.execute("SELECT value FROM facts WHERE identity = ? AND name = ?", (identity, name))
            return str(known.fetchone()[0])

    def fact(self, identity: str, name: str) -> str | None:
        """The value of a fact about a base; None where it is not settled."""
        with self._explained(), self._lock:
            row = self._file.execute("SELECT value FROM facts WHERE identity = ? AND name = ?", (identity, name))
            found = row.fetchone()
        return str(found[0]) if found else None

    def spend(self, identity: str, queries: int) -> None:
        """Counts queries that are about to be made; a negative number takes some back."""
        with self._explained(), self._lock, self._transaction():
            self._file.execute("INSERT OR IGNORE INTO spent VALUES (?, 0)", (identity,))
            self._file.execute("UPDATE spent SET queries = queries + ? WHERE identity = ?", (queries, identity))

    def spent(self, identity: str) -> int:
        """Queries that were ever made of a base, by all runs that kept their answers here."""
        with self._explained(), self._lock:
            row = self._file.execute("SELECT queries FROM spent WHERE identity = ?", (identity,)).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OutputError(
                f"'{self.path}' keeps no answers ({error}): name another file with --answers, on a local disk"
            ) from error


def digest(sample: npt.NDArray[Any]) -> bytes:
    """What a sample is known by: its type, shape and bytes."""
    little = np.ascontiguousarray(sample, sample.dtype.newbyteorder("<"))
    content = hashlib.sha256(f"{sample.dtype.name}{list(sample.shape)};".encode())
    content.update(little.reshape(-1).view(np.uint8).data)
    return content.digest()
