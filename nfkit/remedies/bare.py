"""Nothing but a lower voltage: what every remedy is measured against."""

from __future__ import annotations

from nfkit.remedies.base import Remedy


class Bare(Remedy):
    """The base as it is."""

    @property
    def name(self) -> str:
        """See `Remedy.name`."""
        return "bare"

    @property
    def sentence(self) -> str:
        """See `Remedy.sentence`."""
        return "the base runs as it is, at a lower voltage"
