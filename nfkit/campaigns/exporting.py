"""Measurements as a table for other programs: CSV, Parquet or pandas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nfkit.campaigns.store import MeasurementStore
from nfkit.errors import OptionError
from nfkit.outputs import write_atomically
from nfkit.reports.rendering import Table

_CELL = ("model", "data", "remedy", "kind", "set_share", "layout", "storage", "rate", "volts")
_COUNTED = (
    "chip", "right", "top5", "changed", "right_to_wrong", "wrong_to_right", "faulty_cells", "flipped_bits", "seconds",
)  # fmt: skip
_PACKED = ("correct_bits", "changed_bits", "top5_bits")
_RUN = ("begun", "machine", "engine", "versions")

COLUMNS = (*_CELL, "images", "clean_right", *_COUNTED, *_RUN)
"""Columns of a table; counts are of samples."""


def measurements(store: MeasurementStore) -> Table:
    """All measurements, one row each, cell by cell."""
    return Table(COLUMNS, tuple(_rows(store, COLUMNS)))


def export(store: MeasurementStore, path: Path) -> int:
    """Writes all measurements as a table; what `.parquet` holds besides is each sample's bit, packed.

    Returns:
        How many there are.

    Raises:
        OptionError: When the file's name says no form, or Parquet's library is not installed.
        OutputError: When it cannot be written.
    """
    if path.suffix == ".csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_rows(store, COLUMNS))
        write_atomically(path, text.getvalue().encode())
    elif path.suffix == ".parquet":
        write_atomically(path, _parquet(store))
    else:
        raise OptionError(f"'{path}' says no form of table: give a name that ends in .csv or .parquet")
    return int(store.rows("SELECT count(*) FROM measurements")[0][0])


def _rows(store: MeasurementStore, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    query = (
        f"SELECT {', '.join(columns)} FROM measurements JOIN cells USING (cell) JOIN subjects USING (subject) "
        f"JOIN runs USING (run) ORDER BY {', '.join(_CELL)}, chip"
    )
    yield from store.rows(query)


def _parquet(store: MeasurementStore) -> bytes:
    if find_spec("pyarrow") is None:
        raise OptionError("Parquet files take pyarrow: pip install 'nfkit[parquet]', or export to .csv")
    import pyarrow as pa
    from pyarrow import parquet

    columns = (*COLUMNS, *_PACKED)
    rows = list(_rows(store, columns))
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(columns)})
    sink = io.BytesIO()
    parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()
