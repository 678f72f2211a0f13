"""What one word of a result means."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A word of the field, or of nfkit.

    Attributes:
        name: The word as outputs have it.
        text: What it means, in two to four sentences.
        others: Other spellings that find it.
        see: The page that says more, beneath `docs/`.
    """

    name: str
    text: str
    others: tuple[str, ...] = ()
    see: str = ""
