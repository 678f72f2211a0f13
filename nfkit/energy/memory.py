"""What robust cells and check bits add to the energy of the weight memory.

Lower voltage makes an access cheaper by a factor e. Not all cells may follow: robust ones (top bits, bit positions or
whole sites that must not err) stay at the nominal voltage, and check bits of an error correction are read in addition.
With d cells that an access delivers, r of them robust, and c check cells beside them, it costs

    (r + (d - r + c) e) / d

of what it costs in the plain memory at the nominal voltage. Sites count by how often they are read. Energy is taken as
proportional to the cells that are read: the decoder of a storage code or of an error correction, level shifters and the
second supply are **not** counted, and cells that are sturdier because they are larger are taken to cost what cells at
nominal voltage do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nfkit.energy.count import Count
from nfkit.errors import ModelError
from nfkit.faults import BitErrors
from nfkit.graph.memory.sites import WeightSite

NOT_COUNTED = "decoders, level shifters and the second supply are not counted"


@dataclass(frozen=True)
class MemoryCells:
    """The cells of a weight memory, by how often they are read.

    Attributes:
        robust: Share of the data cells that stay at the nominal voltage.
        check: Further cells that are read for each data cell and follow the voltage: check bits, spare cells.
    """

    robust: float = 0.0
    check: float = 0.0

    def energy(self, low: float) -> float:
        """Energy of an access over that of the plain memory at the nominal voltage.

        Args:
            low: The same of the plain memory at the low voltage: `OperatingPoint.energy`.
        """
        return self.robust + (1 - self.robust + self.check) * low

    def low(self, energy: float) -> float | None:
        """What the plain memory costs where this one costs so much; None where no voltage makes it so cheap."""
        following = 1 - self.robust + self.check
        low = (energy - self.robust) / following if following else -1.0
        return low if low >= 0 else None


PLAIN = MemoryCells()
"""All cells follow the voltage."""


def memory_cells(count: Count, sites: Sequence[WeightSite], errors: BitErrors) -> MemoryCells:
    """Which cells of a model's weight memory follow the voltage.

    Args:
        count: What an inference of the model reads. Where no reads could be counted, each code counts once.
        sites: The weight sites that errors hit. What is read from elsewhere follows the voltage as it is.
        errors: Which cells are robust, and what corrects errors; the rate has no part in it.

    Raises:
        ModelError: When no weights are read at all.
        OptionError: When a protected bit position is none of a site's.
    """
    shares = {site.name: _shares(site, errors) for site in sites}
    read = [(layer.storage, count.array.weight_reads(layer) * layer.bits) for layer in count.layers]
    if not any(cells for _, cells in read):
        read = [(site.name, site.count * site.bits) for site in sites]
    data = robust = check = 0.0
    for name, cells in read:
        hard, extra = shares.get(name or "", (0.0, 0.0))
        data, robust, check = data + cells, robust + cells * hard, check + cells * extra
    if not data:
        raise ModelError("the model reads no weights, so the energy of its weight memory is unknown")
    return MemoryCells(robust / data, check / data)


def _shares(site: WeightSite, errors: BitErrors) -> tuple[float, float]:
    """Robust cells and check cells of a site, each over its data cells."""
    hard = len(errors.robust_bits(site.name, site.bits)) / site.bits
    correction = errors.correction
    # A memory that never errs needs no check bits.
    return hard, 0.0 if correction is None or hard == 1 else correction.check_cells_per_bit(site.bits)
