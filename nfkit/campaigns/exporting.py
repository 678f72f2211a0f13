"""Measurements as a table for other programs: CSV, Parquet or pandas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nfkit.campaigns.store import MeasurementStore
from nfkit.campaigns.tables import ANSWERS, Kept
from nfkit.errors import OptionError
from nfkit.outputs import write_atomically
from nfkit.reports.rendering import Table

_CELL = ("model", "data", "remedy", "kind", "set_share", "layout", "storage", "rate", "volts")
_SAMPLES = ("_bits", "sample_values")
_RUN = ("begun", "machine", "engine", "versions")


def columns_of(kept: Kept) -> tuple[str, ...]:
    """Columns of a table; counts are of samples."""
    clean = "clean_right" if kept is ANSWERS else "clean_value"
    return (*_CELL, "images", clean, "chip", *kept.counted, "faulty_cells", "flipped_bits", "seconds", *_RUN)


def measurements(store: MeasurementStore) -> Table:
    """All measurements, one row each, cell by cell."""
    columns = columns_of(store.kept)
    return Table(columns, tuple(_rows(store, columns)))


def export(store: MeasurementStore, path: Path) -> int:
    """Writes all measurements as a table; `.parquet` holds besides what stands for each sample: packed bits, or values.

    Returns:
        How many there are.

    Raises:
        OptionError: When the file's name says no form, or Parquet's library is not installed.
        OutputError: When it cannot be written.
    """
    if path.suffix == ".csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = columns_of(store.kept)
        writer.writerow(columns)
        writer.writerows(_rows(store, columns))
        write_atomically(path, text.getvalue().encode())
    elif path.suffix == ".parquet":
        write_atomically(path, _parquet(store))
    else:
        raise OptionError(f"'{path}' says no form of table: give a name that ends in .csv or .parquet")
    return int(store.rows(f"SELECT count(*) FROM {store.kept.table}")[0][0])


def _rows(store: MeasurementStore, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    query = (
        f"SELECT {', '.join(columns)} FROM {store.kept.table} JOIN cells USING (cell) "
        f"JOIN {store.kept.subjects} USING (subject) "
        f"JOIN runs USING (run) ORDER BY {', '.join(_CELL)}, chip"
    )
    yield from store.rows(query)


def _parquet(store: MeasurementStore) -> bytes:
    if find_spec("pyarrow") is None:
        raise OptionError("Parquet files take pyarrow: pip install 'nfkit[parquet]', or export to .csv")
    import pyarrow as pa
    from pyarrow import parquet

    columns = (*columns_of(store.kept), *(name for name in store.kept.columns if name.endswith(_SAMPLES)))
    rows = list(_rows(store, columns))
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(columns)})
    sink = io.BytesIO()
    parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()
