"""Whole replies of a server, and how those are told that are no success: what it says, on one line, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another attempt may mend."""
REFUSED = frozenset({408, 425, 429, 503})
"""Statuses after which a server has not begun with the request."""

_ADVICE = {
    401: " (set NFKIT_TOKEN)",
    403: " (set NFKIT_TOKEN to one that may ask this model)",
    404: " (is the model's name right, and is it loaded?)",
    413: " (lower --call-batch)",
}


@dataclass(frozen=True)
class Reply:
    """A whole reply; headers by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def explanation(self) -> str:
        """Its status, with what a redirect leads to, or what to do about a refusal."""
        if 300 <= self.status < 400:
            where = _without_query(self.headers.get("location", ""))
            return (
                f"status {self.status}, a redirect to {where[:200]}; none is followed, so give that address if it is "
                "meant"
            )
        return f"status {self.status}{_ADVICE.get(self.status, '')}"

    def excerpt(self) -> str:
        """What a server says to its refusal, in whatever form, on one line and with a colon in front."""
        said = " ".join(self.body[:2000].decode("utf-8", "replace").split())
        said = "".join(c if c.isprintable() else "?" for c in said)[:300]
        return f": {said}" if said else ""

    def wait(self, now: Callable[[], float]) -> float | None:
        """Seconds that the server wants to be left alone for (Retry-After: a number, or a date); None where unsaid.

        Args:
            now: Seconds since 1970.
        """
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:12])
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - now())
        except (ValueError, TypeError, OverflowError):
            return None


def _without_query(address: str) -> str:
    """An address as a message may show it: what comes behind '?' may be secret."""
    try:
        parts = urlsplit(address)
    except ValueError:  # such as an IPv6 host whose bracket is never closed
        return "no address"
    return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else parts.path or "nowhere"
