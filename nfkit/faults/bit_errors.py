"""Bit errors of one strength: what a user says of a memory at low voltage."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nfkit.errors import OptionError
from nfkit.faults.codes import AS_STORED, StorageCode, find_storage_code
from nfkit.faults.ecc import NO_CORRECTION, Correction, find_correction
from nfkit.faults.kinds import MAX_RATE, Asymmetric, FaultKind, find_kind

_WIDEST = 32
"""Bits of the widest codes that are ever faulted: biases, on request."""


@dataclass(frozen=True)
class BitErrors:
    """Bit errors of one strength.

    Examples:
        One cell in a hundred is stuck at 0 or 1, so that half of them return the bit that they hold:

        >>> import nfkit
        >>> nfkit.BitErrors(0.01).flips_per_cell()
        0.005
        >>> nfkit.BitErrors(0.01, "flip").flips_per_cell()
        0.01

    A cell is robust, and never errs, where `protected_bits`, `protected_top` or `protected_sites` says so: what is
    given adds up.

    Attributes:
        rate: Bit error rate, errors per bit cell, 0 to 0.5; `nfkit.faults.kinds` says what it means in each kind.
        kind: What a faulty cell does: a name of `nfkit.faults.kinds.KINDS`.
        set_share: Share of the errors that write a 1. For `stuck` the share of faulty cells that are stuck at 1;
            for `asymmetric` the weight of 0 -> 1 against 1 -> 0 errors (0 is "only 1 -> 0"). Must be 0.5 for `flip`.
        protected_bits: Bit positions (0 is the least significant) that never err, such as those held in 8T cells.
            Every site must have them; across sites of several widths `protected_top` says what is meant.
        protected_sites: Glob patterns of weight sites whose cells never err.
        protected_top: How many of the most significant bits of a code never err, counted in each site from its own
            top; a site that has no more bits never errs at all.
        storage: How a code is held: a name of `nfkit.faults.codes.STORAGE_CODES`. Errors hit the word that is held.
        ecc: What corrects errors at the read port: a name of `nfkit.faults.ecc.CORRECTIONS`, or `none`.
        top_rates: Bit error rates of the most significant bits over `rate`, each 0 to 1, from the top of each site's
            codes down, such as those of sturdier cells; all other bits, and check bits, have `rate` itself.

    Raises:
        OptionError: When a value is out of its range.
    """

    rate: float
    kind: str = "stuck"
    set_share: float = 0.5
    protected_bits: tuple[int, ...] = ()
    protected_sites: tuple[str, ...] = ()
    protected_top: int = 0
    storage: str = AS_STORED.name
    ecc: str = NO_CORRECTION
    top_rates: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        self.fault_kind.check(self.rate, self.set_share)
        if any(bit < 0 for bit in self.protected_bits):
            raise OptionError(f"protected bits {list(self.protected_bits)}: positions count up from 0")
        if self.protected_top < 0:
            raise OptionError(f"protected top {self.protected_top}: give how many top bits never err, from 0 on")
        if self.protected_top > _WIDEST:
            raise OptionError(
                f"protected top {self.protected_top}: no code has more than {_WIDEST} bits, so nothing errs"
            )
        find_storage_code(self.storage)
        find_correction(self.ecc)
        if not all(0 <= share <= 1 for share in self.top_rates):
            raise OptionError(f"top rates {list(self.top_rates)}: give shares of the bit error rate, each from 0 to 1")

    @classmethod
    def asymmetric(cls, zero_to_one: float, one_to_zero: float) -> BitErrors:
        """Errors with the given rates, each per bit that holds the value it starts from."""
        for rate in (zero_to_one, one_to_zero):
            if not 0 <= rate <= MAX_RATE:
                raise OptionError(f"bit error rate {rate} is out of range: rates per cell go from 0 to {MAX_RATE}")
        total = zero_to_one + one_to_zero
        return cls(total / 2, Asymmetric.name, zero_to_one / total if total else 0.5)

    @property
    def fault_kind(self) -> FaultKind:
        """What a faulty cell does, as a class of `nfkit.faults.kinds`."""
        return find_kind(self.kind)

    @property
    def storage_code(self) -> StorageCode:
        """How a code is held, as a class of `nfkit.faults.codes`."""
        return find_storage_code(self.storage)

    @property
    def correction(self) -> Correction | None:
        """What corrects errors, as a class of `nfkit.faults.ecc`; None where nothing does."""
        return find_correction(self.ecc)

    def directed_rates(self) -> tuple[float, float]:
        """Rates of cells that set and of cells that clear, each per bit cell."""
        return self.fault_kind.directed_rates(self.rate, self.set_share)

    def flips_per_cell(self, ones: float = 0.5) -> float:
        """Expected share of the stored bits that are read wrongly, where a share of `ones` of them is 1."""
        return self.fault_kind.flips_per_cell(self.rate, self.set_share, ones)

    def protects(self, site: str) -> bool:
        """Whether the cells of the weight site of this name never err."""
        return any(fnmatch.fnmatchcase(site, pattern) for pattern in self.protected_sites)

    def check_sites(self, names: Sequence[str]) -> None:
        """Refuses patterns that protect nothing.

        Args:
            names: The weight sites of the model that errors hit.

        Raises:
            OptionError: When a pattern matches none of them.
        """
        for pattern in self.protected_sites:
            if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
                some = ", ".join(f"'{name}'" for name in names[:3])
                raise OptionError(
                    f"the pattern '{pattern}' of protected sites matches none of the model's {len(names)} weight sites "
                    f"({some}{', ...' * (len(names) > 3)}): nfkit inspect lists them"
                )

    def robust_bits(self, site: str, bits: int) -> frozenset[int]:
        """Bit positions of a site that never err.

        Args:
            site: Name of the site.
            bits: Bits of its codes.

        Raises:
            OptionError: When a protected position is none of the site's.
        """
        if self.protects(site):
            return frozenset(range(bits))
        if self.protected_bits and max(self.protected_bits) >= bits:
            raise OptionError(
                f"protected bits {list(self.protected_bits)}: '{site}' has bits 0 to {bits - 1}; to protect the top "
                "bits of sites of several widths, give --protect-top"
            )
        return frozenset(self.protected_bits) | frozenset(range(max(0, bits - self.protected_top), bits))

    def rate_shares(self, site: str, bits: int) -> tuple[float, ...]:
        """Bit error rate of each bit position of a site over `rate`, from the least significant on; robust ones have 0.

        Args:
            site: Name of the site.
            bits: Bits of its codes.

        Raises:
            OptionError: When a protected position is none of the site's.
        """
        robust = self.robust_bits(site, bits)
        top = self.top_rates[:bits]
        shares = (*(1.0,) * (bits - len(top)), *reversed(top))
        return tuple(0.0 if bit in robust else share for bit, share in enumerate(shares))

    def at(self, rate: float) -> BitErrors:
        """The same errors at another bit error rate."""
        return replace(self, rate=rate)

    def to_dict(self) -> dict[str, Any]:
        """The settings other than the rate, for records; what came after their version 1 only where it is set."""
        record: dict[str, Any] = {
            "kind": self.kind,
            "set_share": self.set_share,
            "protected_bits": list(self.protected_bits),
            "protected_sites": list(self.protected_sites),
        }
        if self.protected_top:
            record["protected_top"] = self.protected_top
        if self.storage != AS_STORED.name:
            record["storage"] = self.storage
        if self.ecc != NO_CORRECTION:
            record["ecc"] = self.ecc
        if self.top_rates:
            record["top_rates"] = list(self.top_rates)
        return record
