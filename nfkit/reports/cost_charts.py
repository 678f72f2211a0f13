"""What errors did to the memory, what faults do not reach, how long a model takes, and what it reads."""

from __future__ import annotations

from typing import Any

import msgspec

from nfkit.pictures.bars import Bars
from nfkit.pictures.heat import Heat
from nfkit.reports.campaign import Campaign
from nfkit.reports.campaign_maps import maps_in
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.inspection import Covered, EnergyCount, Inspection
from nfkit.reports.vulnerability import Vulnerability


class _Times(msgspec.Struct, frozen=True):
    p50_ms: float
    p95_ms: float
    mean_ms: float | None = None


class _Timed(msgspec.Struct, frozen=True):
    base: _Times
    protected: _Times | None = None


def what_bits_did(record: Evaluation) -> Bars:
    """Faulty cells at each operating point, and how many of them changed a stored bit."""
    amounts = []
    for point in sorted(record.points, key=lambda p: -p.ber):
        flipped = point.flipped_bits
        name = f"bit error rate {100 * point.ber:.3g} %"
        amounts.append((name, (flipped, max(point.faulty_cells - flipped, 0.0))))
    return Bars(
        "What the errors did to the memory",
        "A faulty cell changes a bit only where the bit that is stored is not the one it holds. Means over chips.",
        "cells",
        (("flipped a stored bit", "base"), ("changed nothing", "clean")),
        tuple(amounts),
    )


def coverage(record: Evaluation | Inspection) -> Bars | None:
    """How many weights faults reach, and the tensors that they do not; None where a record does not say."""
    said = record.coverage
    covered = said if isinstance(said, Covered) else _covered(said)
    if covered is None or not covered.left_out:
        return None  # a bar that says "all" is a sentence
    left = [(str(entry.get("name")), _count(entry.get("count"))) for entry in covered.left_out]
    amounts = [("all weights", (float(covered.reached), float(max(covered.weights - covered.reached, 0))))]
    amounts += [(name, (0.0, count)) for name, count in left]
    return Bars(
        "What faults reach of the weights", f"{covered.sentence}.", "weights",
        (("reached", "protected"), ("left out", "other")), tuple(amounts),
    )  # fmt: skip


def latency(measured: dict[str, Any] | None) -> Bars | None:
    """Median times, and what the slow runs take more; None where none were measured.

    Args:
        measured: Times by batch size, as a record holds them.
    """
    try:
        timed = msgspec.convert(measured or {}, dict[str, _Timed])
    except msgspec.ValidationError:
        return None  # the record holds something else there
    amounts = []
    for batch, entry in timed.items():
        for name, times in (("base", entry.base), ("protected", entry.protected)):
            if times is not None:
                # With early answers the median tells of one kind of image alone.
                mean = "" if times.mean_ms is None else f", mean {times.mean_ms:.3g} ms"
                amounts.append((f"batch {batch}, {name}{mean}", (times.p50_ms, max(times.p95_ms - times.p50_ms, 0.0))))
    if not amounts:
        return None
    return Bars(
        "Latency", "Base and protected model by turns, on the machine that measured.", "ms",
        (("median", "protected"), ("to the 95th percentile", "clean")), tuple(amounts),
    )  # fmt: skip


def sites(record: Inspection) -> Bars:
    """How large the tensors of integer weights are."""
    return Bars(
        "Where the bits are", "Weights stored as integers, in the order of the file.", "bits",
        (("stored", "protected"),), tuple((site.name, (float(site.count * site.bits),)) for site in record.sites),
    )  # fmt: skip


def layers(record: EnergyCount) -> Bars:
    """How often each layer reads the weight memory."""
    amounts = tuple((layer.name, (layer.accesses,)) for layer in record.base.layers if layer.accesses)
    return Bars(
        "Which layers read the memory", f"Preset {record.preset}.", "accesses", (("accesses", "protected"),), amounts
    )  # fmt: skip


def _covered(said: dict[str, Any] | None) -> Covered | None:
    try:
        return None if said is None else msgspec.convert(said, Covered)
    except msgspec.ValidationError:
        return None  # a record of a version that said less


def _count(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def where_it_hurts(record: Vulnerability) -> Heat:
    """Accuracy that errors in one bit of one weight site cost, the highest bit first and the worst site first."""
    return _where(record.sites, record.bits, record.grid(), record.rate)


def where_it_hurts_so_far(record: Campaign) -> tuple[Heat, ...]:
    """The same of the maps in a campaign's folder, which may still be measured."""
    return tuple(_where(each.sites, each.bits, each.grid, each.rate, each.name) for each in maps_in(record.cells))


def _where(sites: tuple[str, ...], bits: int, grid: tuple[tuple[float, ...], ...], rate: float, name: str = "") -> Heat:
    order = sorted(range(len(sites)), key=lambda i: -max((v for v in grid[i] if v == v), default=0.0))
    return Heat(
        f"Where it hurts: {name}" if name else "Where it hurts",
        f"Points of accuracy lost by errors in {100 * rate:.3g} % of the cells of one bit position of one site, "
        "while all others hold what was written; the site that loses most first.",
        "bit", "site",
        tuple(sites[i] for i in order),
        tuple(tuple(round(100 * loss, 1) for loss in reversed(grid[i])) for i in order),
        tuple(str(bit) for bit in reversed(range(bits))),
    )  # fmt: skip
