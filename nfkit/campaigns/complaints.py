"""Everything that is wrong with a plan, gathered, so that it is said at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nfkit.errors import NfkitError, OptionError


class Complaints:
    """What is wrong, sentence by sentence."""

    def __init__(self) -> None:
        self._sentences: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._sentences)

    def add(self, where: str, sentence: object) -> None:
        """Adds a sentence on a key, a file or a cell."""
        self._sentences.append(f"{where}: {sentence}")

    def require(self, where: str, holds: bool, sentence: str) -> None:
        """Adds a sentence where something does not hold."""
        if not holds:
            self.add(where, sentence)

    @contextmanager
    def about(self, where: str) -> Iterator[None]:
        """Adds the error that ends a `with` block, and goes on after it."""
        try:
            yield
        except NfkitError as error:
            self.add(where, error)

    def check(self, name: str) -> None:
        """Says everything.

        Args:
            name: What it is all about.

        Raises:
            OptionError: When there is anything.
        """
        if self._sentences:
            count = "one thing" if len(self._sentences) == 1 else f"{len(self._sentences)} things"
            listed = "\n".join(f"  {sentence}" for sentence in self._sentences)
            raise OptionError(f"{count} to mend in {name}:\n{listed}")
