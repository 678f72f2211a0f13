"""Tables of labels beside image files: CSV with a column of files and a column of class numbers or names.

The table of a folder is its `labels.csv`, else `train.csv` or `test.csv` by the split, else its only `.csv` file.
Labels that are all whole numbers are class numbers; else they are names, numbered from 0 in sorted order over all the
tables of a data set.
"""

from __future__ import annotations

import csv
from pathlib import Path

from nfkit.data.dataset import Split
from nfkit.data.images import SUFFIXES
from nfkit.data.limits import shown
from nfkit.data.names import SPLITS
from nfkit.errors import DataError

FILE_COLUMNS = ("file", "filename", "file_name", "path", "filepath", "image", "image_path", "image_id", "id")
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "target", "category", "y")

_LARGEST_LABEL = 10**6


def find_table(folder: Path, split: Split) -> Path | None:
    """The table of labels in a folder, if there is one."""
    tables = {file.name.lower(): file for file in sorted(folder.glob("*.csv"))}
    for name in ("labels.csv", *(f"{word}.csv" for word in SPLITS[split])):
        if name in tables:
            return tables[name]
    return next(iter(tables.values())) if len(tables) == 1 else None


def read_table(
    table: Path, root: Path, siblings: list[Path | None], split: Split
) -> tuple[list[tuple[Path, int | None]], list[str] | None]:
    """Reads the files and labels of a table.

    Args:
        table: The table.
        root: The folder of the images; a file is looked for there, in its `images` folder, in one called like the
            split, and where it has no suffix with that of any image.
        siblings: The tables of the data set's other parts, whose class names count, too.
        split: Which part is read.

    Returns:
        (files with class numbers, class names in their order or None where labels are numbers).

    Raises:
        DataError: A column, file or label is missing, or the table is no CSV.
    """
    rows = _rows(table)
    others = [label for other in siblings if other is not None and other != table for _, _, label in _rows(other)]
    labels = [label for _, _, label in rows] + others
    names: list[str] | None = None
    if not all(label.isdecimal() for label in labels):
        names = sorted(set(labels))
    numbers = {name: number for number, name in enumerate(names or ())}
    samples: list[tuple[Path, int | None]] = []
    for where, file, label in rows:
        if names is None and (len(label) > 9 or int(label) > _LARGEST_LABEL):
            raise DataError(f"{where}: label {label[:40]} is too large for a class; number the classes from 0.")
        samples.append((_locate(where, root, file, split), numbers[label] if names is not None else int(label)))
    return samples, names


def _rows(table: Path) -> list[tuple[str, str, str]]:
    """Of every row where it is, its file and its label."""
    name = shown(table)
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream, skipinitialspace=True)
            columns = [column.strip() for column in rows.fieldnames or []]
            rows.fieldnames = columns
            file = next((c for word in FILE_COLUMNS for c in columns if c.lower() == word), None)
            label = next((c for word in LABEL_COLUMNS for c in columns if c.lower() == word), None)
            if file is None or label is None:
                found = ", ".join(columns) or "none"
                raise DataError(f"{name}: needs columns file and label, but has {found}; mend its first line.")
            read = []
            for row in rows:
                where = f"{name}, line {rows.line_num}"
                if not (row[file] or "").strip() or not (row[label] or "").strip():
                    raise DataError(f"{where}: lacks a file or a label; give both.")
                read.append((where, row[file].strip(), row[label].strip()))
            return read
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{name}: cannot be read as CSV ({error}); save it as UTF-8 text.") from error


def _locate(where: str, root: Path, file: str, split: Split) -> Path:
    for folder in (root, root / "images", *(root / word for word in SPLITS[split])):
        for suffix in ("", *sorted(SUFFIXES)) if not Path(file).suffix else ("",):
            if _is_file(path := folder / f"{file}{suffix}"):
                return path
    raise DataError(
        f"{where}: there is no file {shown(root / file)}; paths are relative to the folder of {where.split(',')[0]}."
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name longer than a file may have, or one with a zero byte
        return False
