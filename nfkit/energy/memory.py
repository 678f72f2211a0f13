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

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nfkit.energy.count import Count
from nfkit.energy.layers import Layer
from nfkit.errors import ModelError
from nfkit.faults import BitErrors
from nfkit.graph.memory.sites import WeightSite

NOT_COUNTED = "decoders, level shifters and the second supply are not counted"


@dataclass(frozen=True)
class MemoryEnergy:
    """Energy of an access to a weight memory in which not all cells run at low voltage.

    Attributes:
        energy: Energy of an access over that of the plain memory at the nominal voltage.
        robust: Share of the data cells that are read and stay at the nominal voltage.
        check: Check cells that are read for each data cell.
    """

    energy: float
    robust: float
    check: float

    @property
    def saving(self) -> float:
        """Share of the weight memory's energy that is saved; below 0 where it costs more."""
        return 1 - self.energy

    def to_dict(self) -> dict[str, Any]:
        """The account for a record."""
        return {
            "energy_per_access": self.energy,
            "robust_cells": self.robust,
            "check_cells": self.check,
            "not_counted": NOT_COUNTED,
        }


def memory_energy(count: Count, sites: Iterable[WeightSite], errors: BitErrors, energy: float) -> MemoryEnergy:
    """The energy of an access to a model's weight memory at an operating point.

    Args:
        count: What an inference of the model reads.
        sites: The weight sites that errors hit. What is read from elsewhere follows the voltage as it is.
        errors: Which cells are robust, and what corrects errors; the rate has no part in it.
        energy: Energy of an access at the low voltage over that at the nominal one: `OperatingPoint.energy`.

    Raises:
        ModelError: When no reads of weights could be counted.
        OptionError: When a protected bit position is none of a site's.
    """
    bits = {site.name: site.bits for site in sites}
    data = robust = check = 0.0
    for layer in count.layers:
        cells = count.array.weight_reads(layer) * layer.bits
        hard, extra = _shares(layer, bits, errors)
        data, robust, check = data + cells, robust + cells * hard, check + cells * extra
    if not data:
        raise ModelError("no reads of weights could be counted, so the energy of its weight memory is unknown")
    low = data - robust + check
    return MemoryEnergy((robust + low * energy) / data, robust / data, check / data)


def _shares(layer: Layer, bits: dict[str, int], errors: BitErrors) -> tuple[float, float]:
    """Robust cells and check cells of a layer's weights, each over its data cells."""
    if layer.storage is None or layer.storage not in bits:
        return 0.0, 0.0
    width = bits[layer.storage]
    hard = len(errors.robust_bits(layer.storage, width)) / width
    correction = errors.correction
    # A memory that never errs needs no check bits.
    return hard, 0.0 if correction is None or hard == 1 else correction.check_cells_per_bit(width)
