"""Records read from files: validated, whatever version wrote them, and refused by file and field where they are none.

Files of version 1 are brought into the present form; see `nfkit.reports.version1`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nfkit.errors import DataError
from nfkit.outputs import write_atomically
from nfkit.reports import version1
from nfkit.reports.answered import Answered
from nfkit.reports.campaign import Campaign
from nfkit.reports.device import DeviceFile
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.fronted import Fronted
from nfkit.reports.inspection import EnergyCount, Inspection
from nfkit.reports.maps import Maps
from nfkit.reports.modes import Modes
from nfkit.reports.page import Page
from nfkit.reports.plan import Plan
from nfkit.reports.precision import PrecisionSweep
from nfkit.reports.protection import Protection
from nfkit.reports.quantization import Quantized
from nfkit.reports.rendering import Readable
from nfkit.reports.scoring import Scored
from nfkit.reports.search import Search
from nfkit.reports.shipping import Check, Export
from nfkit.reports.verification import Verification
from nfkit.reports.vulnerability import Vulnerability
from nfkit.reports.written import Fold, Injection, Split, Tune
from nfkit.rim.text import as_utf8

R = TypeVar("R", bound=Readable)

RECORDS: dict[str, type[Readable]] = {
    "nfkit.evaluate/2": Evaluation,
    "nfkit.evaluate-bits/2": PrecisionSweep,
    "nfkit.protect/2": Protection,
    "nfkit.search/2": Search,
    "nfkit.plan/1": Plan,
    "nfkit.page/1": Page,
    "nfkit.check/1": Check,
    "nfkit.export/1": Export,
    "nfkit.inspect/1": Inspection,
    "nfkit.energy/1": EnergyCount,
    "nfkit.campaign/1": Campaign,
    "nfkit.vulnerability/1": Vulnerability,
    "nfkit.verify/1": Verification,
    "nfkit.modes/1": Modes,
    "nfkit.quantize/1": Quantized,
    "nfkit.inject/1": Injection,
    "nfkit.fold/1": Fold,
    "nfkit.split/1": Split,
    "nfkit.tune/1": Tune,
    "nfkit.score/1": Scored,
    "nfkit.maps/1": Maps,
    "nfkit.evaluate-base/1": Answered,
    "nfkit.protect-answers/1": Fronted,
    "nfkit.protect-device/1": DeviceFile,
}
"""Records by the schema that their files state."""

_OLDER: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "nfkit.evaluate/1": ("nfkit.evaluate/2", version1.evaluation),
    "nfkit.evaluate-bits/1": ("nfkit.evaluate-bits/2", version1.precision),
    "nfkit.protect/1": ("nfkit.protect/2", version1.protection),
}


def read(path: Path) -> Readable:
    """Reads a record of any kind in `RECORDS`.

    Args:
        path: A JSON file that nfkit wrote.

    Raises:
        DataError: When it is none, with the field that is wrong.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the record '{path}': {error.strerror}") from error
    return decode(content, f"'{path}'")


def read_as(path: Path, kind: type[R]) -> R:
    """Reads a record of one kind.

    Raises:
        DataError: When the file is no record, or one of another kind.
    """
    record = read(path)
    if not isinstance(record, kind):
        raise DataError(f"'{path}' is a record of {type(record).__name__.lower()}, not of {kind.__name__.lower()}")
    return record


def decode(content: bytes, name: str) -> Readable:
    """The record in some JSON text.

    Args:
        content: The text.
        name: What messages call it.

    Raises:
        DataError: As `read`.
    """
    try:
        plain = _loads(as_utf8(content))  # the shell of Windows writes UTF-16 where output is sent to a file
    except (ValueError, RecursionError):
        raise DataError(f"{name} is no JSON: give a file that nfkit wrote with --json") from None
    schema = plain.get("schema") if isinstance(plain, dict) else None
    if isinstance(schema, str) and schema in _OLDER:
        schema, upgrade = _OLDER[schema]
        try:
            plain = upgrade(plain)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration) as error:
            raise DataError(f"{name} is no whole record of version 1 ({type(error).__name__}: {error})") from error
    if not isinstance(schema, str) or schema not in RECORDS:
        known = ", ".join(sorted({*RECORDS, *_OLDER}))
        raise DataError(f"{name} is no record that can be read here: its schema is {schema!r}, and not one of {known}")
    try:
        return msgspec.convert(plain, RECORDS[schema], strict=True)
    except (msgspec.ValidationError, ValueError) as error:
        raise DataError(f"{name}: {_field(str(error))}") from error


def _loads(content: bytes) -> Any:
    """JSON, that of names that are no text as well."""
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        if b"\\ud" not in content:
            raise
        return json.loads(content)


def encode(record: Readable) -> bytes:
    """A record as the JSON text of its file."""
    try:
        return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
    except UnicodeEncodeError:  # a file name that is no text, which JSON can hold only as escapes
        return json.dumps(msgspec.to_builtins(record), indent=1).encode() + b"\n"


def write(record: Readable, path: Path) -> None:
    """Writes a record, all of it or nothing.

    Raises:
        OutputError: When the file cannot be written.
    """
    write_atomically(path, encode(record))


def _field(message: str) -> str:
    """A message of msgspec with the field in front: "field `points[0].ber`: expected `float`, got `str`"."""
    found = re.fullmatch(r"(.*?) - at `(?:key in )?\$\.?(.*)`", message)
    if found is None:
        return message[:1].lower() + message[1:]
    what, where = found.groups()
    return f"field `{where}`: {what[:1].lower()}{what[1:]}"
