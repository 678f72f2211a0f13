"""Which sites stay at the nominal voltage, so that the others may err within a tolerance.

Greedy in two passes. Forwards: sites are ordered by what errors in them alone cost, over the share of the energy that
their protection costs, and protected one after another until the rest together lose no more than is tolerated.
Backwards: each protected site, the dearest first, is given back where the loss stays within the tolerance without it.
Every step is measured with all unprotected sites faulty at once, on the same chips, so the result holds on those chips
and samples. They have a part in choosing: what is reported must be measured on others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nfkit.energy import Count
from nfkit.errors import OptionError
from nfkit.measure.vulnerability import SiteFaultBench, SiteLoss, measure_vulnerability
from nfkit.remedies.bare import Bare
from nfkit.remedies.base import Remedy
from nfkit.remedies.mixed_voltage import MixedVoltage


@dataclass(frozen=True)
class Step:
    """One measurement on the way.

    Attributes:
        protected: Sites at the nominal voltage.
        loss: Mean loss of accuracy over chips with errors in all others.
    """

    protected: tuple[str, ...]
    loss: float


@dataclass(frozen=True)
class SiteChoice:
    """Sites to hold at the nominal voltage.

    Attributes:
        sites: Their names, in the order of the file.
        loss: Mean loss of accuracy with errors in all others.
        share: Share of the weight memory's accesses that they take.
        tolerance: Loss that was tolerated.
        alone: What errors in each site alone cost; empty where no site needs protection.
        steps: The measurements.
    """

    sites: tuple[str, ...]
    loss: float
    share: float
    tolerance: float
    alone: tuple[SiteLoss, ...]
    steps: tuple[Step, ...]

    @property
    def remedy(self) -> Remedy:
        """The choice as a remedy; the bare base where no site needs protection."""
        return MixedVoltage(self.sites) if self.sites else Bare()

    def to_dict(self) -> dict[str, Any]:
        """The choice for a record."""
        return {
            "sites": list(self.sites),
            "loss": self.loss,
            "share_of_accesses": self.share,
            "tolerance": self.tolerance,
            "alone": [entry.to_dict() for entry in self.alone],
            "steps": [{**vars(step), "protected": list(step.protected)} for step in self.steps],
        }


def choose_sites(
    bench: SiteFaultBench,
    base: Count,
    tolerance: float,
    *,
    on_site: Callable[[SiteLoss], None] = lambda loss: None,
    on_step: Callable[[Step], None] = lambda step: None,
) -> SiteChoice:
    """Chooses sites to hold at the nominal voltage.

    Args:
        bench: The base, the errors, and what they are measured on: chips and samples that choose.
        base: What an inference of the base reads.
        tolerance: Largest mean loss of accuracy, as a share of the samples, such as 0.01.
        on_site: Called when a site has been measured alone.
        on_step: Called after each step.

    Raises:
        OptionError: When the tolerance is negative.
        NfkitError: When the base cannot be measured.
    """
    if not tolerance >= 0:
        raise OptionError(f"a tolerance of {tolerance} cannot be kept: give a loss of accuracy from 0 on, such as 0.01")
    names = [site.name for site in bench.sites]
    shares = _shares(base, names)
    steps: list[Step] = []

    def loss_with(protected: list[str]) -> float:
        left = [name for name in names if name not in protected]
        loss = bench.clean - float(np.mean(bench.measure(left)))
        steps.append(Step(tuple(protected), loss))
        on_step(steps[-1])
        return loss

    chosen: list[str] = []
    loss = loss_with(chosen)
    alone = measure_vulnerability(bench, on_site=on_site) if loss > tolerance else []
    # Sites that are never read cost nothing to protect.
    worth = {entry.site: entry.loss / max(shares[entry.site], 1e-12) for entry in alone}
    order = sorted(worth, key=lambda name: -worth[name])
    while loss > tolerance and order:
        chosen = [*chosen, order.pop(0)]
        loss = loss_with(chosen)
    # The last one was needed.
    for name in sorted(chosen[:-1], key=lambda name: -shares[name]):
        fewer = [other for other in chosen if other != name]
        without = loss_with(fewer)
        if without <= tolerance:
            chosen, loss = fewer, without
    sites = tuple(name for name in names if name in chosen)
    return SiteChoice(sites, loss, sum(shares[name] for name in sites), tolerance, tuple(alone), tuple(steps))


def _shares(base: Count, names: list[str]) -> dict[str, float]:
    """Share of the base's accesses that each site takes."""
    reads = dict.fromkeys(names, 0.0)
    for layer in base.layers:
        if layer.storage in reads:
            reads[layer.storage] += base.array.accesses(layer)
    return {name: read / base.accesses if base.accesses else 0.0 for name, read in reads.items()}
