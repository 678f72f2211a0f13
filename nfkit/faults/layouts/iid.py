"""Independent errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nfkit.faults.bit_errors import BitErrors
from nfkit.faults.layouts.base import AnyRate, Drawn, Memory, draw
from nfkit.faults.weakness import Cells


@dataclass(frozen=True)
class Iid(AnyRate):
    """Every weight has cells of its own."""

    usage: ClassVar[tuple[str, ...]] = ("iid",)

    @classmethod
    def parse(cls, settings: str) -> Iid:
        """Reads the layout; there is nothing to set.

        Raises:
            ValueError: When something is.
        """
        if settings:
            raise ValueError(settings)
        return cls()

    def faulty(self, seed: int, memory: Memory, errors: BitErrors) -> tuple[Cells, Cells]:
        """See `Layout.faulty`."""
        return draw(Drawn(seed, memory.name, memory.count * memory.bits), errors)

    def __str__(self) -> str:
        return "iid"
