"""What a plan may use: remedies without training, by what the chip can do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nfkit.errors import OptionError
from nfkit.faults.codes import AS_STORED, find_storage_code
from nfkit.graph.memory.sites import codes
from nfkit.measure.bench import Bench
from nfkit.remedies.base import Remedy
from nfkit.remedies.hardware import ABILITIES, Hardware
from nfkit.remedies.registry import parse_remedy
from nfkit.reports.plan import Untried

MEANS: dict[str, str] = {
    "robust-bits": "robust-cells",
    "storage": "storage-decoder",
    "ecc": "error-correction",
    "per-layer-voltage": "site-voltage",
}
"""What `--can` allows, by the ability of the chip that it needs."""

CANDIDATES = (
    "bare",
    "storage:offset-binary",
    "storage:gray",
    "storage:sign-magnitude",
    "robust-bits:1",
    "robust-bits:2",
    "robust-bits:3",
    "storage:sign-magnitude+robust-bits:1",
    "ecc:secded-64",
)
"""Remedies that a plan tries; sites for their own voltage are found by measuring."""


@dataclass(frozen=True)
class Means:
    """What a plan may use.

    Attributes:
        hardware: What the chip can do.
        remedies: What is tried.
        untried: What is not, and why.
    """

    hardware: Hardware
    remedies: tuple[Remedy, ...]
    untried: tuple[Untried, ...]

    @property
    def per_site(self) -> bool:
        """Whether layers may have voltages of their own."""
        return not self.hardware.lacks(frozenset({MEANS["per-layer-voltage"]}))


def find_means(can: Iterable[str], bench: Bench) -> Means:
    """What may be used on a base.

    Args:
        can: Names of `MEANS`; lower voltage is always among them.
        bench: The base.

    Raises:
        OptionError: When there is no such name.
    """
    names = [can] if isinstance(can, str) else list(can)
    for name in names:
        if name not in MEANS and name != "voltage":
            raise OptionError(f"unknown means {name!r} of a plan: choose from voltage, {', '.join(MEANS)}")
    hardware = Hardware.of(MEANS[name] for name in names if name in MEANS)
    remedies, untried = [], []
    for name in CANDIDATES:
        remedy = parse_remedy(name)
        if lacking := hardware.lacks(remedy.needs):
            allowed = ",".join(mean for mean, ability in MEANS.items() if ability in lacking)
            needs = "; ".join(ABILITIES[ability] for ability in lacking)
            untried.append(Untried(name, f"needs {needs} (--can {allowed})"))
        elif name.startswith("storage:") and "+" not in name and _is_held_so(name.partition(":")[2], bench):
            untried.append(Untried(name, "the file's codes are held so as they are"))
        else:
            remedies.append(remedy)
    if lacking := hardware.lacks(frozenset({MEANS["per-layer-voltage"]})):
        untried.append(Untried("mixed-voltage", f"needs {ABILITIES[lacking[0]]} (--can per-layer-voltage)"))
    return Means(hardware, tuple(remedies), tuple(untried))


def _is_held_so(code: str, bench: Bench) -> bool:
    """Whether memory holds the same words in a storage code as without one."""
    chosen = find_storage_code(code)
    return all(
        np.array_equal(chosen.hold(held, site.bits), AS_STORED.hold(held, site.bits))
        for site in bench.sites
        for held in (codes(bench.base, site),)
    )
