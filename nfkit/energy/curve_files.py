"""Voltage curves from CSV files: those that come with nfkit, and the user's own.

    # source: where the numbers come from
    # licence: on what terms
    # error: how exact they are
    # rate: what the bit error rate counts, in words
    # flips_per_error: bits that come back wrong for each of these: 1 for flips, 0.5 for stuck cells
    # picojoules_per_access: 3.1
    # word_bits: 64
    volts_over_vmin,bit_error_rate,energy_per_access
    0.85,0.009,0.71
    1,0,1

Only the three columns are needed; where nothing else is said, a rate counts bits that flip. Rows are in order of
voltage and end at Vmin, where there are no errors; an empty field says that the source gives no number there.
"""

from __future__ import annotations

import csv
import math
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from nfkit.energy.voltage import Curve, CurvePoint
from nfkit.errors import DataError, OptionError
from nfkit.rim.text import as_utf8

CURVES: tuple[str, ...] = ("neuralfuse", "stutz-2021")
"""Curves that come with nfkit."""

DEFAULT_CURVE = "stutz-2021"
"""The one that covers a range of voltages."""

PAPER_CURVE = "neuralfuse"
"""The one point that the paper's savings rest on."""

_COLUMNS = ["volts_over_vmin", "bit_error_rate", "energy_per_access"]


def load_curve(name: str) -> Curve:
    """Loads a curve.

    Args:
        name: One of `CURVES`, or the path of a CSV file.

    Raises:
        OptionError: When there is no such curve.
        DataError: When the file is no curve.
    """
    if name in CURVES:
        return parse_curve((files("nfkit.energy.curves") / f"{name}.csv").read_text(encoding="utf-8"), name)
    path = Path(name)
    if not path.is_file():
        raise OptionError(f"no voltage curve '{name}': choose {', '.join(CURVES)}, or give the path of a CSV file")
    try:
        return parse_curve(as_utf8(path.read_bytes()).decode("utf-8"), path.stem)
    except UnicodeDecodeError:
        raise DataError(f"'{path}' is no text, so no voltage curve: give a CSV file") from None


def parse_curve(text: str, name: str) -> Curve:
    """Reads a curve from the text of its file.

    Args:
        text: Comment lines `# key: value`, a header, and rows, as above.
        name: Name of the curve, where the file states none.

    Raises:
        DataError: When it is no curve, with the line.
    """
    notes: dict[str, str] = {}
    rows: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            key, _, value = line[1:].partition(":")
            notes[key.strip()] = value.strip()
        elif line.strip():
            rows.append((number, line))
    if not rows or [cell.strip() for cell in rows[0][1].split(",")] != _COLUMNS:
        raise DataError(f"curve '{name}': the first line that is no comment must be {','.join(_COLUMNS)}")
    points = [_read_row(name, number, line) for number, line in rows[1:]]
    _check(name, points)
    word_bits = _positive(name, notes, "word_bits")
    return Curve(
        name=notes.get("name", name),
        points=tuple(points),
        source=notes.get("source", ""),
        licence=notes.get("licence", ""),
        error=notes.get("error", ""),
        meaning=notes.get("rate", ""),
        flips_per_error=_share(name, notes, "flips_per_error"),
        picojoules=_positive(name, notes, "picojoules_per_access"),
        word_bits=int(word_bits) if word_bits else None,
    )


def format_curve(curve: Curve) -> str:
    """The text of a curve's file, as `parse_curve` reads it."""
    notes = {
        "name": curve.name, "source": curve.source, "licence": curve.licence, "error": curve.error,
        "rate": curve.meaning, "flips_per_error": curve.flips_per_error, "picojoules_per_access": curve.picojoules,
        "word_bits": curve.word_bits,
    }  # fmt: skip
    lines = [f"# {key}: {value}" for key, value in notes.items() if value not in ("", None)]
    rows = [(point.volts, point.rate, point.energy) for point in curve.points]
    lines += [",".join(_COLUMNS), *(",".join("" if n is None else repr(n) for n in row) for row in rows)]
    return "\n".join(lines) + "\n"


def _read_row(name: str, number: int, line: str) -> CurvePoint:
    cells = [cell.strip() for cell in next(csv.reader([line]))]
    try:
        volts, rate, energy = (float(cell) if cell else None for cell in cells)
    except ValueError:
        raise DataError(f"curve '{name}', line {number}: give three numbers, or leave a field empty") from None
    if volts is None or any(n is not None and not math.isfinite(n) for n in (volts, rate, energy)):
        raise DataError(f"curve '{name}', line {number}: a row needs its voltage, and numbers that are finite")
    return CurvePoint(volts, rate, energy)


def _check(name: str, points: list[CurvePoint]) -> None:
    if not points or points[-1] != CurvePoint(1.0, 0.0, 1.0):
        raise DataError(f"curve '{name}': the last row must be Vmin itself: 1,0,1")
    rates = [p.rate for p in points if p.rate is not None]
    energies = [p.energy for p in points if p.energy is not None]
    if len(rates) < 2 or len(energies) < 2:
        raise DataError(f"curve '{name}': there must be at least one rate and one energy below Vmin")
    if any(a.volts >= b.volts for a, b in pairwise(points)) or points[0].volts <= 0:
        raise DataError(f"curve '{name}': voltages must be above 0 and rise from row to row")
    if any(a <= b for a, b in pairwise(rates)) or rates[0] >= 1:
        raise DataError(f"curve '{name}': bit error rates must be below 1 and fall from row to row")
    if any(a >= b for a, b in pairwise(energies)) or energies[0] < 0:
        raise DataError(f"curve '{name}': energies must be 0 or more and rise from row to row")


def _positive(name: str, notes: dict[str, str], key: str) -> float | None:
    if key not in notes:
        return None
    try:
        number = float(notes[key])
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise DataError(f"curve '{name}': {key} is {notes[key]!r}; give a number above 0")
    return number


def _share(name: str, notes: dict[str, str], key: str) -> float:
    share = _positive(name, notes, key)
    if share is not None and share > 1:
        raise DataError(f"curve '{name}': {key} is {share:g}; give a number above 0, and 1 at most")
    return 1.0 if share is None else share
