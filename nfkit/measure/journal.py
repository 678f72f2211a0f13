"""What a measurement has finished, kept row by row, so that one that is killed goes on where it was.

One line of JSON a row, in a file named by what the rows depend on. A line that was torn by the end of its process is
left out, and cut off before the next one is written.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from nfkit.errors import OutputError
from nfkit.reports.operating_point import Row


class Journal:
    """Finished rows of one measurement.

    Args:
        folder: Where journals are kept; made if there is none.
        depends: What the rows depend on besides rate and chip.

    Raises:
        OutputError: When the folder cannot be written.
    """

    def __init__(self, folder: Path, depends: Iterable[str]) -> None:
        digest = hashlib.sha256("\n".join(depends).encode()).hexdigest()
        self.path = folder / f"{digest[:32]}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._rows = self._read()
        except OSError as error:
            raise OutputError(f"cannot keep finished rows in '{folder}': {error.strerror}") from error

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, ber: float, chip: int, protected: bool) -> Row | None:
        """The row of a rate and a chip; None where it was not finished.

        Args:
            ber: Bit error rate.
            chip: Seed of the chip.
            protected: Whether the row must say how the protected model does.
        """
        row = self._rows.get((ber, chip))
        return None if row is None or (protected and row.protected is None) else row

    def add(self, row: Row) -> None:
        """Keeps a row.

        Raises:
            OutputError: When it cannot be written.
        """
        try:
            with self.path.open("ab") as file:
                file.write(msgspec.json.encode(row) + b"\n")
        except OSError as error:
            raise OutputError(f"cannot keep a finished row in '{self.path}': {error.strerror}") from error
        self._rows[row.ber, row.chip] = row

    def discard(self) -> None:
        """Forgets all rows: the measurement is done, and its record written."""
        self.path.unlink(missing_ok=True)
        self._rows.clear()

    def _read(self) -> dict[tuple[float, int], Row]:
        if not self.path.exists():
            return {}
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        rows: dict[tuple[float, int], Row] = {}
        for line in whole.splitlines():
            try:
                row = msgspec.json.decode(line, type=Row)
            except (msgspec.DecodeError, ValueError):  # torn by an end in the middle of a write; measured again
                continue
            rows[row.ber, row.chip] = row
        if len(whole) != len(content):
            os.truncate(self.path, len(whole))
        return rows
