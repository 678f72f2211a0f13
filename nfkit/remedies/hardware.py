"""What a chip can do, and what a remedy asks of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nfkit.errors import OptionError

ABILITIES: dict[str, str] = {
    "voltage": "a supply of the weight memory that can be lowered",
    "robust-cells": "cells for some bit positions that do not fail: a second supply, or larger cells",
    "storage-decoder": "a decoder at the read port of the weight memory that makes codes of what is held",
    "error-correction": "check bits beside every memory word, and a decoder at the read port",
    "site-voltage": "memories of single layers that can stay at the nominal voltage",
}
"""What hardware may be asked for, each with a sentence."""

USUAL = ("voltage",)
"""What needs no new hardware."""


@dataclass(frozen=True)
class Hardware:
    """What a chip can do.

    Attributes:
        abilities: Names of `ABILITIES`.

    Raises:
        OptionError: When there is no such ability.
    """

    abilities: frozenset[str] = frozenset(USUAL)

    def __post_init__(self) -> None:
        for ability in sorted(self.abilities):
            if ability not in ABILITIES:
                raise OptionError(f"unknown ability {ability!r} of the hardware: choose from {', '.join(ABILITIES)}")

    @classmethod
    def of(cls, names: Iterable[str]) -> Hardware:
        """Hardware that can do what is named, besides what needs no new hardware."""
        return cls(frozenset((*USUAL, *names)))

    def lacks(self, needs: frozenset[str]) -> list[str]:
        """What of some needs it cannot do, in the order of `ABILITIES`."""
        return [ability for ability in ABILITIES if ability in needs - self.abilities]
