"""How many stored bits an error flips.

A rate counts errors per cell, and an error of one kind changes what is read more often than one of another: a stuck
cell may hold the right bit already. What a chip's supply voltage decides is how many bits come back wrong, so that is
what a rate is translated by. Error correction comes later, and does not count here.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from nfkit.faults import BitErrors
from nfkit.graph.memory.sites import WeightSite, codes

_SOME_RATE = 0.1  # flips are proportional to the rate, so any rate tells


def flips_per_error(model: ir.Model, sites: list[WeightSite], errors: BitErrors) -> float:
    """Stored bits that flip for each error, on average over chips: flips per cell = this x bit error rate.

    Args:
        model: The model that stores the codes.
        sites: The memories that errors hit.
        errors: Kind of the errors, whatever their rate; cells count by how often they err.
    """
    some = errors.at(_SOME_RATE)
    if some.flips_per_cell(0.0) == some.flips_per_cell(1.0):  # whatever is stored
        return some.flips_per_cell() / _SOME_RATE
    ones = cells = 0.0
    for site in sites:
        held = np.ascontiguousarray(errors.storage_code.hold(codes(model, site), site.bits))
        words = held.view(f"uint{held.dtype.itemsize * 8}")
        for share, mask in _masks(errors.rate_shares(site.name, site.bits)).items():
            ones += share * int(np.bitwise_count(words & words.dtype.type(mask)).sum())
            cells += share * held.size * mask.bit_count()
    return some.flips_per_cell(ones / cells if cells else 0.5) / _SOME_RATE


def _masks(shares: tuple[float, ...]) -> dict[float, int]:
    """The bit positions that have each share of the rate, as a mask; those that never err left out."""
    return {share: sum(1 << bit for bit, own in enumerate(shares) if own == share) for share in {*shares} - {0.0}}
