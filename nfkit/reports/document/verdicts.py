"""What stands first in a report: what its sections come to, model by model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from nfkit.reports.document.sections import Section


@dataclass(frozen=True)
class Entry:
    """What one section says.

    Attributes:
        number: Number of the section, from 1 on.
        name: What the report calls it.
        kind: What that is.
        sentence: What it says.
        judged: Whether that is a verdict, and not only what the numbers are.
    """

    number: int
    name: str
    kind: str
    sentence: str
    judged: bool


def by_model(sections: Sequence[Section]) -> list[tuple[str, list[Entry]]]:
    """The verdicts of all sections, those of one model together, in the order in which models first appear.

    A model is called by its file, or by its path where two files bear one name. Where there is one model, or none is
    known, names are empty: the report is of it.
    """
    found: dict[str, list[Entry]] = {}
    for number, section in enumerate(sections, 1):
        said = section.verdict or (section.lead[0] if section.lead else "")
        for model, sentence in section.verdicts or ((section.subject, said),):
            judged = bool(section.verdict or section.verdicts)
            found.setdefault(model, []).append(Entry(number, section.name, section.kind, sentence, judged))
    names = [PurePath(model).name for model in found]
    alone = len([model for model in found if model]) < 2
    return [
        ("" if alone else model if names.count(name) > 1 else name, entries)
        for (model, entries), name in zip(found.items(), names, strict=True)
    ]
