"""What all engines have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from nfkit.campaigns.kit import Kit, Measurement, Task


class Team(Protocol):
    """Workers that hold a kit."""

    def measure(self, tasks: Iterable[Task]) -> Iterator[Measurement]:
        """Makes measurements, each as soon as it is done.

        Raises:
            NfkitError: When one cannot be made.
        """
        ...


class Engine(Protocol):
    """Who works.

    Attributes:
        name: What records call it.
    """

    name: str

    @property
    def workers(self) -> int:
        """How many measurements are made at a time, once it is open."""
        ...

    def open(self, kit: Kit) -> AbstractContextManager[Team]:
        """Gives the kit to all workers, for the length of a `with` block.

        Raises:
            NfkitError: When there are no workers.
        """
        ...
