"""What an erroneous cell does to the bit stored in it: one class a kind, one file a class.

| kind | a faulty cell ... | cells at bit error rate p | bits that flip |
|---|---|---|---|
| `stuck` | holds 0 or 1 whatever is written | p, split in two by `set_share` | about p / 2 |
| `flip` | returns the opposite of what was written | p | p |
| `asymmetric` | flips 0 -> 1 at one rate and 1 -> 0 at another | 2 p set_share and 2 p (1 - set_share) | about p |

A rate means a different number of flipped bits in each kind, so every result also states how many cells were
faulty and how many bits really flipped.

A new kind is a module here with a subclass of `FaultKind`, and a line in `KINDS`: layouts, injection in all modes and
the command line know it by that.
"""

from __future__ import annotations

from nfkit.errors import OptionError
from nfkit.faults.kinds.asymmetric import Asymmetric
from nfkit.faults.kinds.base import MAX_RATE, FaultKind, Population
from nfkit.faults.kinds.flip import Flip
from nfkit.faults.kinds.stuck import Stuck

KINDS: dict[str, FaultKind] = {kind.name: kind for kind in (Stuck(), Flip(), Asymmetric())}
"""All kinds by name; the first is the default."""

__all__ = ["KINDS", "MAX_RATE", "Asymmetric", "FaultKind", "Flip", "Population", "Stuck", "find_kind"]


def find_kind(name: str) -> FaultKind:
    """The kind of a name.

    Raises:
        OptionError: When there is none.
    """
    if name not in KINDS:
        raise OptionError(f"unknown fault kind {name!r}: choose one of {', '.join(KINDS)}")
    return KINDS[name]
