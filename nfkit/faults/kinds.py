"""What an erroneous cell does to the bit stored in it.

Three kinds, all expressed by two sets of cells: those that turn a stored 0 into 1 (`set`), and those that turn a
stored 1 into 0 (`clear`).

| kind | a faulty cell ... | cells at bit error rate p | bits that flip |
|---|---|---|---|
| `stuck` | holds 0 or 1 whatever is written | p, split in two by `set_share` | about p / 2 |
| `flip` | returns the opposite of what was written | p | p |
| `asymmetric` | flips 0 -> 1 at one rate and 1 -> 0 at another | 2 p set_share and 2 p (1 - set_share) | about p |

A rate means a different number of flipped bits in each kind, so every result also states how many cells were
faulty and how many bits really flipped.
"""

from __future__ import annotations

import fnmatch
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from nfkit.errors import OptionError

Kind = Literal["stuck", "flip", "asymmetric"]

MAX_RATE = 0.5
"""Rates above this mean nothing for memory: at 0.5 flips a cell carries no information."""


@dataclass(frozen=True)
class BitErrors:
    """Bit errors of one strength.

    Attributes:
        rate: Bit error rate, errors per bit cell, 0 to 0.5 (see the table above for its meaning in each kind).
        kind: What a faulty cell does.
        set_share: Share of the errors that write a 1. For `stuck` the share of faulty cells that are stuck at 1;
            for `asymmetric` the weight of 0 -> 1 against 1 -> 0 errors (0 is "only 1 -> 0"). Must be 0.5 for `flip`.
        protected_bits: Bit positions (0 is the least significant) that never err, such as those held in 8T cells.
        protected_sites: Glob patterns of weight sites whose cells never err.

    Raises:
        OptionError: When a value is out of its range.
    """

    rate: float
    kind: Kind = "stuck"
    set_share: float = 0.5
    protected_bits: tuple[int, ...] = ()
    protected_sites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise OptionError(f"unknown fault kind {self.kind!r}: choose one of {', '.join(get_args(Kind))}")
        if not 0.0 <= self.set_share <= 1.0:
            raise OptionError(f"set share {self.set_share} is no share: give a number from 0 to 1")
        if self.kind == "flip" and self.set_share != 0.5:
            raise OptionError("flips go both ways: leave the set share at 0.5, or use the kind 'asymmetric'")
        if not max(self.rate, *self.directed_rates()) <= MAX_RATE or self.rate < 0:  # also refuses NaN
            raise OptionError(
                f"bit error rate {self.rate} ({self.kind}) is out of range: rates per cell go from 0 to {MAX_RATE}"
            )
        if any(bit < 0 for bit in self.protected_bits):
            raise OptionError(f"protected bits {list(self.protected_bits)}: positions count up from 0")

    @classmethod
    def asymmetric(cls, zero_to_one: float, one_to_zero: float) -> BitErrors:
        """Errors with the given rates, each per bit that holds the value it starts from."""
        for rate in (zero_to_one, one_to_zero):
            if not 0 <= rate <= MAX_RATE:
                raise OptionError(f"bit error rate {rate} is out of range: rates per cell go from 0 to {MAX_RATE}")
        total = zero_to_one + one_to_zero
        return cls(total / 2, "asymmetric", zero_to_one / total if total else 0.5)

    def directed_rates(self) -> tuple[float, float]:
        """Rates of cells that set and of cells that clear, each per bit cell."""
        if self.kind == "stuck":
            return self.rate * self.set_share, self.rate * (1 - self.set_share)
        rising, falling = 2 * self.rate * self.set_share, 2 * self.rate * (1 - self.set_share)
        # A share that came from two rates may round them up by a last bit.
        slack = MAX_RATE * (1 + 1e-12)
        return tuple(min(r, MAX_RATE) if r <= slack else r for r in (rising, falling))  # type: ignore[return-value]

    def protects(self, site: str) -> bool:
        """Whether the cells of the weight site of this name never err."""
        return any(fnmatch.fnmatchcase(site, pattern) for pattern in self.protected_sites)

    def at(self, rate: float) -> BitErrors:
        """The same errors at another bit error rate."""
        return BitErrors(rate, self.kind, self.set_share, self.protected_bits, self.protected_sites)

    def to_dict(self) -> dict[str, Any]:
        """The settings other than the rate, for records."""
        record = asdict(self)
        del record["rate"]
        return record | {
            "protected_bits": list(self.protected_bits),
            "protected_sites": list(self.protected_sites),
        }
