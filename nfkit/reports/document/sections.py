"""What a report says of one record: the verdict, the numbers, the pictures, and what they depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from nfkit.errors import DataError
from nfkit.pictures.figures import Picture
from nfkit.reports.campaign import Campaign
from nfkit.reports.campaign_verdicts import verdicts_of
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.measured import measured_sentence
from nfkit.reports.protection import Protection
from nfkit.reports.rendering import Readable, Table
from nfkit.reports.seen import pictures_of

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cell:
    """An image, or words, or both.

    Attributes:
        text: Words beneath the image.
        image: The image as a data URI; empty for none.
        told: What a reader who does not see the image is told of it.
    """

    text: str = ""
    image: str = ""
    told: str = ""


@dataclass(frozen=True)
class Gallery:
    """Small images in a grid, one row a sample.

    Attributes:
        title: What they are.
        caption: How they are to be read.
        columns: What each column shows.
        rows: A name, and one cell a column.
    """

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Section:
    """What a report says of one record or file.

    Attributes:
        name: What it is of.
        kind: What that is, in a word or two.
        verdict: The sentence that matters most; empty where there is none.
        subject: Path of the model that it is of; empty where it is of several, or of none.
        verdicts: Of several models, each with its sentence.
        lead: What the numbers are, one paragraph each.
        table: The numbers; None where there are none.
        pictures: Pictures of them.
        galleries: Images.
        notes: What else a reader needs.
        facts: What the numbers depend on, by name, in groups with a title.
        commands: How to do it again, for a shell; none where that is not known.
    """

    name: str
    kind: str
    verdict: str = ""
    lead: tuple[str, ...] = ()
    table: Table | None = None
    pictures: tuple[Picture, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    notes: tuple[str, ...] = ()
    facts: tuple[tuple[str, Facts], ...] = field(default=())
    commands: tuple[str, ...] = ()
    subject: str = ""
    verdicts: tuple[tuple[str, str], ...] = ()


_KINDS = {
    "Evaluation": "measurement",
    "Protection": "protection",
    "Search": "search",
    "Plan": "plan",
    "PrecisionSweep": "measurement at several precisions",
    "Inspection": "inspection",
    "EnergyCount": "energy",
    "Page": "page",
    "Campaign": "campaign",
    "Vulnerability": "vulnerability",
    "Answered": "model behind an address",
    "Fronted": "front",
    "Scored": "measurement by a metric",
    "Modes": "modes",
}
_PROVENANCE = ("model", "data", "curve", "versions")
_SETTINGS = (
    "fingerprint",
    "until",
    "planned",
    "faults",
    "level",
    "kind",
    "set_share",
    "layout",
    "seed",
    "can",
    "tolerance",
    "energy",
    "memory",
    "ber",
)


def section_of(record: Readable, name: str, again: Sequence[str] = ()) -> Section:
    """The section of a record.

    Args:
        record: The record.
        name: What the report calls it.
        again: Commands that do it again, where the record does not say.

    Raises:
        DataError: When the record is not whole, so that it says nothing.
    """
    try:
        overview, pictures, facts = record.overview(), pictures_of(record), _facts(record)
        verdicts = verdicts_of(record) if isinstance(record, Campaign) else ()
        first = overview.first or (measured_sentence(record) if isinstance(record, Evaluation) else "")
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DataError(f"'{name}' is no whole record ({type(error).__name__}: {error})") from error
    measured = record.evaluation if isinstance(record, Protection) else record
    command = getattr(record, "command", None) or getattr(measured, "command", None)
    return Section(
        name=name,
        kind=_KINDS.get(type(record).__name__, "record"),
        verdict="" if verdicts else first,
        lead=(
            *((overview.first.removeprefix(f"{getattr(record, 'folder', name)}: "),) if verdicts else ()),
            *overview.title.split("\n"),
        ),
        table=overview.table if overview.table.rows else None,
        pictures=pictures,
        notes=overview.notes,
        facts=facts,
        commands=(command,) if command else tuple(again),
        subject=_subject(measured),
        verdicts=verdicts,
    )


def _subject(record: Readable) -> str:
    """The path of the model that a record is of."""
    known = getattr(record, "provenance", record)
    return str(getattr(getattr(known, "model", None), "path", ""))


def _facts(record: Readable) -> tuple[tuple[str, Facts], ...]:
    measured = record.evaluation if isinstance(record, Protection) else record
    groups = []
    if isinstance(record, Protection):
        training = _plain(record.training)
        training.pop("course", None)  # it is drawn
        groups.append(("training", flat_facts(training)))
    plain = _plain(measured)
    groups += [(key, flat_facts({key: plain[key]})) for key in _PROVENANCE if plain.get(key)]
    settings = {key: plain[key] for key in _SETTINGS if plain.get(key) is not None}
    if isinstance(measured, Evaluation):
        settings["chips"] = ", ".join(map(str, measured.chips))
    if settings:
        groups.append(("settings", flat_facts(settings)))
    return tuple(groups)


def _plain(record: msgspec.Struct) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(record)
    return plain


def flat_facts(plain: dict[str, Any], prefix: str = "", depth: int = 4) -> Facts:
    """Nested values as names and texts.

    Args:
        plain: The values.
        prefix: What stands before every name.
        depth: How many levels are opened.
    """
    facts: list[tuple[str, str]] = []
    for key, value in plain.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and depth:
            facts += flat_facts(value, f"{name} ", depth - 1)
        elif value not in (None, "", [], ()):
            facts.append((name.replace("_", " "), _said(value)))
    return tuple(facts)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
