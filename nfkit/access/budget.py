"""Queries are counted, and may be limited: an endpoint may cost money, time, or the patience of its owner.

A query is one sample on its way to an endpoint. One that is sent again counts again, unless no connection came about or
the server turned it away. It is counted before it is sent, so that a run that dies has not forgotten any.
"""

from __future__ import annotations

import threading

from nfkit.access.store import AnswerStore
from nfkit.errors import AccessError


class Budget:
    """Counts the queries of one run, and refuses those beyond its limit.

    Args:
        store: Keeps the sum over all runs.
        identity: Of the endpoint.
        limit: Queries that this run may make; None for any number.

    Attributes:
        queries: Samples sent, repetitions included.
        calls: Calls made with them, repetitions included.
        answered: Samples that the endpoint has answered.
        known: Samples answered from the store.
    """

    def __init__(self, store: AnswerStore, identity: str, limit: int | None) -> None:
        self._store, self._identity, self.limit = store, identity, limit
        self._lock = threading.Lock()
        self.queries = self.calls = self.answered = self.known = 0

    def check(self, count: int) -> None:
        """Refuses queries before the first of them is made.

        Raises:
            AccessError: When so many are not left.
        """
        with self._lock:
            self._refuse_beyond(count)

    def spend(self, count: int) -> None:
        """Counts a call with so many queries.

        Raises:
            AccessError: When so many are not left.
        """
        with self._lock:
            self._refuse_beyond(count)
            self.queries += count
            self.calls += 1
        self._store.spend(self._identity, count)

    def give_back(self, count: int) -> None:
        """Takes queries back that have not reached the model."""
        with self._lock:
            self.queries -= count
        self._store.spend(self._identity, -count)

    def note(self, *, answered: int = 0, known: int = 0) -> None:
        """Counts answers."""
        with self._lock:
            self.answered += answered
            self.known += known

    def record(self) -> dict[str, int | None]:
        """What was asked, for a record."""
        return {
            "queries": self.queries,
            "calls": self.calls,
            "answered": self.answered,
            "known": self.known,
            "budget": self.limit,
            "queries_of_all_runs": self._store.spent(self._identity),
        }

    def _refuse_beyond(self, count: int) -> None:
        if self.limit is not None and self.queries + count > self.limit:
            raise AccessError(
                f"{count} samples have to be asked for, and {max(0, self.limit - self.queries)} of --queries "
                f"{self.limit} are left: raise it, or take fewer (--samples); answers that are kept cost nothing"
            )
