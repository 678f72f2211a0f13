"""Nominal voltage for the sites that may fail least."""

from __future__ import annotations

import glob
from dataclasses import dataclass, replace

from nfkit.errors import OptionError
from nfkit.faults import BitErrors
from nfkit.remedies.base import Remedy


@dataclass(frozen=True)
class MixedVoltage(Remedy):
    """Some weight sites stay at the nominal voltage; `nfkit.remedies.site_choice` finds them.

    Attributes:
        sites: Their names.

    Raises:
        OptionError: When there are none.
    """

    sites: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.sites:
            raise OptionError("mixed voltage: give the weight sites that stay at the nominal voltage")

    @classmethod
    def parse(cls, text: str) -> MixedVoltage:
        """Reads names of sites, separated by commas."""
        return cls(tuple(name for name in text.split(",") if name))

    @property
    def name(self) -> str:
        """See `Remedy.name`."""
        return f"mixed-voltage:{','.join(self.sites)}"

    @property
    def sentence(self) -> str:
        """See `Remedy.sentence`."""
        sites = "weight site stays" if len(self.sites) == 1 else "weight sites stay"
        return f"{len(self.sites)} {sites} at the nominal voltage"

    @property
    def needs(self) -> frozenset[str]:
        """See `Remedy.needs`."""
        return super().needs | {"site-voltage"}

    def errors(self, errors: BitErrors) -> BitErrors:
        """See `Remedy.errors`."""
        # Sites are meant by name, whatever is in it.
        patterns = tuple(glob.escape(site) for site in self.sites)
        return replace(errors, protected_sites=tuple(dict.fromkeys((*errors.protected_sites, *patterns))))
