"""A chip: a seed and a layout, from which follow the faulty cells of every memory on it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from nfkit.errors import OptionError
from nfkit.faults.bit_errors import BitErrors
from nfkit.faults.ecc import Correction
from nfkit.faults.layouts import Iid, Layout, Memory
from nfkit.faults.site_faults import SiteFaults
from nfkit.faults.weakness import Cells

# Chips are numbered, and the ranges below never meet: what a generator was trained or chosen on is never what it
# is judged by.
EVALUATION_CHIPS = range(50_000, 1_000_000)
VALIDATION_CHIPS = range(40_000, 50_000)
TRAINING_CHIPS = range(1_000_000, 2**32 - 2)


@dataclass(frozen=True)
class Chip:
    """One physical chip.

    Examples:
        Faulty cells of a layer on one chip; a cell that fails at some rate fails at every higher one:

        >>> import nfkit
        >>> from nfkit.models import zoo
        >>> model = nfkit.load_model(zoo.path("resnet8-fashion-mnist"))
        >>> site = next(site for site in nfkit.find_sites(model) if site.role == "weight")
        >>> site.name, site.shape, site.bits
        ('stem.0.weight_quantized', (16, 1, 3, 3), 8)
        >>> [nfkit.Chip(7).faults(site, nfkit.BitErrors(rate)).faulty_cells() for rate in (0.001, 0.01, 0.1)]
        [2, 10, 105]

    Attributes:
        seed: Which chip; the same seed is the same chip on every machine.
        layout: How its cells hold the weights.
    """

    seed: int
    layout: Layout = field(default_factory=Iid)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**64:
            raise OptionError(f"chip {self.seed} is no seed: give a whole number from 0 to 2^64 - 1")

    def faults(self, memory: Memory, errors: BitErrors) -> SiteFaults:
        """The faulty cells of one memory, whatever else is on the chip and in whatever order it is asked.

        Args:
            memory: A weight site, or anything with a name, a count of codes and their bits.
            errors: Rate and kind; lower rates give subsets.

        Raises:
            OptionError: When the layout cannot hold the memory or does not know the kind.
        """
        shares, none = errors.rate_shares(memory.name, memory.bits), np.empty(0, np.uint64)
        sound = SiteFaults(memory.bits, none, none, exclusive=errors.fault_kind.exclusive, storage=errors.storage_code)
        if not errors.rate * max(shares):
            return sound
        setting, clearing = self._erring(memory, errors, shares)
        faults = replace(sound, setting=setting, clearing=clearing)
        correction = errors.correction
        if correction is None:
            return faults
        check = _CheckBits.of(memory, correction)
        return replace(
            faults,
            correction=correction,
            check=SiteFaults(check.bits, *self.layout.faulty(self.seed, check, errors), errors.fault_kind.exclusive),
        )

    def _erring(self, memory: Memory, errors: BitErrors, shares: tuple[float, ...]) -> tuple[Cells, Cells]:
        """Cells that set and that clear, where each bit position has a share of the rate.

        A cell is faulty at its own rate where it would be if all cells had that rate: cells differ in how weak they
        are, and a sturdier one is a cell at a lower rate.
        """
        parts = []
        for share in sorted(set(shares) - {0.0}):
            setting, clearing = self.layout.faulty(self.seed, memory, errors.at(errors.rate * share))
            kept = _at_positions(setting, shares, share)
            parts.append((kept, kept if clearing is setting else _at_positions(clearing, shares, share)))
        if len(parts) == 1:
            return parts[0]
        all_setting = np.concatenate([setting for setting, _ in parts])
        if all(clearing is setting for setting, clearing in parts):
            return all_setting, all_setting
        return all_setting, np.concatenate([clearing for _, clearing in parts])


@dataclass(frozen=True)
class _CheckBits:
    """The check bits of a memory, as a memory beside it."""

    name: str
    count: int
    bits: int

    @classmethod
    def of(cls, memory: Memory, correction: Correction) -> _CheckBits:
        words = correction.count_words(memory.count, memory.bits)
        return cls(f"{memory.name}#check", words, correction.check_bits)


def _at_positions(cells: Cells, shares: tuple[float, ...], share: float) -> Cells:
    """Those of a memory's cells whose bit position has a share of the rate."""
    others = [bit for bit, own in enumerate(shares) if own != share]
    if not others:
        return cells
    return cells[~np.isin(cells % np.uint64(len(shares)), np.array(others, np.uint64))]
