"""Maps of where errors hurt, as a campaign's folder holds them: cells whose errors are in one bit of one site alone.

`nfkit vulnerability -o DIR` measures them, into a folder of their own or beside the cells of a campaign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from nfkit.reports.rendering import Table
from nfkit.reports.vulnerability import SHOWN

if TYPE_CHECKING:
    from nfkit.reports.campaign import CellResult

_SAME = ("model", "data", "kind_text", "layout", "storage")
"""What is the same in all cells of a map, besides the rate."""


class HurtMap(NamedTuple):
    """Accuracy lost by errors in each bit of each site, as far as it is measured.

    Attributes:
        name: What tells it from the other maps of its folder; empty where it is the only one.
        rate: Bit error rate in the cells of that bit.
        losses: Mean losses by site and bit; NaN where nothing is measured yet.
    """

    name: str
    rate: float
    losses: dict[tuple[str, int], float]

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites, in order."""
        return tuple(dict.fromkeys(site for site, _ in self.losses))

    @property
    def bits(self) -> int:
        """Bits of the widest site."""
        return 1 + max(bit for _, bit in self.losses)

    @property
    def grid(self) -> tuple[tuple[float, ...], ...]:
        """One row a site, one column a bit, the lowest first; NaN where there is nothing."""
        return tuple(tuple(self.losses.get((site, bit), math.nan) for bit in range(self.bits)) for site in self.sites)

    @property
    def worst(self) -> tuple[tuple[str, int], float] | None:
        """Site and bit where errors cost most, and how much; None where nothing is measured yet."""
        known = [(loss, place) for place, loss in self.losses.items() if not math.isnan(loss)]
        if not known:
            return None
        loss, place = max(known)
        return place, loss


def maps_in(cells: Sequence[CellResult]) -> tuple[HurtMap, ...]:
    """The maps among the cells of a campaign, in their order."""
    found: dict[tuple[object, ...], dict[tuple[str, int], float]] = {}
    for result in cells:
        if (place := result.cell.place) is not None:
            of = (*(getattr(result.cell, name) for name in _SAME), result.cell.rate)
            found.setdefault(of, {})[place] = math.nan if result.loss is None else result.loss.mean
    varying = [i for i in range(len(_SAME)) if len({of[i] for of in found}) > 1]
    return tuple(
        HurtMap(", ".join(str(of[i]) for i in varying), float(str(of[-1])), losses) for of, losses in found.items()
    )


def map_table(maps: Sequence[HurtMap]) -> tuple[Table, tuple[str, ...]]:
    """Points lost, one row a site and one column a bit, the highest first; and what the table leaves out."""
    several, bits = len(maps) > 1, max(each.bits for each in maps)
    rows, hardest = [], []
    for each in maps:
        for site, losses in zip(each.sites, each.grid, strict=True):
            wide = (*losses, *(math.nan for _ in range(bits - len(losses))))
            keys = (*((each.name,) if several else ()), site, f"{100 * each.rate:.3g} %")
            rows.append((*keys, *("–" if math.isnan(v) else f"{100 * v:.1f}" for v in reversed(wide))))
            hardest.append(max((v for v in losses if not math.isnan(v)), default=-math.inf))
    notes: tuple[str, ...] = ()
    if len(rows) > SHOWN:
        notes = (f"of {len(rows)} sites the {SHOWN} are shown whose worst bit costs most",)
        kept = sorted(sorted(range(len(rows)), key=lambda i: -hardest[i])[:SHOWN])
        rows = [rows[i] for i in kept]
    names = (*(("of",) if several else ()), "site", "BER", *(f"bit {bit}" for bit in reversed(range(bits))))
    return Table(names, tuple(rows), 3 if several else 2), notes


def hurts_most(maps: Sequence[HurtMap]) -> str:
    """Where errors cost most, in words; empty where nothing is measured yet."""
    known = [(worst[1], each, worst[0]) for each in maps if (worst := each.worst) is not None]
    if not known:
        return ""
    loss, at, (site, bit) = max(known, key=lambda entry: entry[0])
    of = f" ({at.name})" if at.name else ""
    cost = f"{100 * loss:.1f} points at {100 * at.rate:.3g} % of its cells"
    return f"errors in bit {bit} of '{site}'{of} cost most: {cost}"
