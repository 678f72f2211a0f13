"""What the measurements in a store come to, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nfkit.campaigns.plan import Figure
from nfkit.campaigns.stopping import MISS, Look, StopRule
from nfkit.campaigns.store import MeasurementStore
from nfkit.campaigns.tables import SCORES
from nfkit.measure.statistics import Tally, chip_spread, metric_spread
from nfkit.reports.campaign import Campaign, Cell, CellResult


def tally_chips(
    store: MeasurementStore, cell: str, chips: Sequence[int] | None = None, figure: Figure = "accuracy"
) -> Tally:
    """Counts the answers of a cell, chip by chip, so that memory does not grow with their number.

    Args:
        store: The measurements.
        cell: Key of the cell.
        chips: Seeds to count, which follow on each other; all that are there by default.
        figure: Accuracy, or the loss against the same file without errors, sample by sample.
    """
    clean = store.clean(cell)
    tally = Tally(len(clean), differences=figure == "loss")
    for correct in store.samples(cell, chips):
        tally.add(clean.astype(np.int8) - correct.astype(np.int8) if figure == "loss" else correct)
    return tally


def summarise(
    store: MeasurementStore,
    rule: StopRule | None = None,
    seeds: range | None = None,
    cells: Sequence[str] | None = None,
) -> tuple[CellResult, ...]:
    """What each cell came to.

    Args:
        store: The measurements.
        rule: When cells end; with `seeds`, a cell is judged by the chips of its last look.
        seeds: Seeds of the plan's chips, in order.
        cells: Keys of the cells, in order; all in the store by default.
    """
    known, subjects, images = store.cells(), store.subjects(), store.images()
    keys = cells or sorted(known, key=lambda key: str(known[key][0]))
    if store.kept is SCORES:
        return tuple(_scored(store, *known[key], images, subjects, seeds) for key in keys)
    return tuple(_result(store, known[key][0], subjects[known[key][1]], rule, seeds) for key in keys)


def read_campaign(store: MeasurementStore, **more: object) -> Campaign:
    """The record of all that is in a store."""
    return Campaign(
        folder=str(store.folder),
        cells=summarise(store),
        fingerprint=store.fingerprint,
        **more,  # type: ignore[arg-type]
    )


def last_look(store: MeasurementStore, cell: str, rule: StopRule, seeds: range) -> tuple[Look | None, bool]:
    """The look that a cell has come to, and whether it ends there; None before the first.

    The same chips give the same looks, however often the campaign was ended and taken up again.
    """
    reached = None
    for look in rule.looks():
        chips = seeds[: look.chips]
        if store.count(cell, chips) < look.chips:
            return reached, False
        reached = look
        if rule.settles(tally_chips(store, cell, chips, rule.figure), look):
            return look, True
    return reached, False


def _result(
    store: MeasurementStore, cell: Cell, correct: npt.NDArray[np.bool_], rule: StopRule | None, seeds: range | None
) -> CellResult:
    key, images, clean = cell.key, len(correct), float(correct.mean())
    settled, look, chips = None, None, None
    if rule is not None and seeds is not None:
        look, ended = last_look(store, key, rule, seeds)
        settled = ended if rule.until is not None else None
        chips = seeds[: look.chips] if look is not None else None
    tally, loss = tally_chips(store, key, chips), tally_chips(store, key, chips, "loss")
    level = 1 - MISS if look is None else look.level
    if not tally.chips:
        return CellResult(cell=cell, chips=0, images=images, clean=clean, settled=settled, looks=0)
    counts = store.counts(key, chips)
    means = {
        name: chip_spread([value / images for value in counts[name]])
        for name in ("changed", "right_to_wrong", "wrong_to_right")
    }
    top = counts["top5"]
    return CellResult(
        cell=cell, chips=tally.chips, images=images, clean=clean,
        accuracy=tally.spread(level),
        loss=loss.spread(level),
        top5=None if None in top else chip_spread([value / images for value in top]), **means,
        faulty_cells=sum(counts["faulty_cells"]) / tally.chips, flipped_bits=sum(counts["flipped_bits"]) / tally.chips,
        settled=settled, looks=1 if look is None else look.number, figure="accuracy" if rule is None else rule.figure,
    )  # fmt: skip


def _scored(
    store: MeasurementStore, cell: Cell, subject: str, images: Mapping[str, int], clean: Mapping[str, npt.NDArray[Any]],
    seeds: range | None,
) -> CellResult:  # fmt: skip
    """What a metric came to in a cell."""
    key, own = cell.key, clean[subject]
    counts = store.counts(key, seeds)
    chips = len(counts["value"])
    result = CellResult(cell=cell, chips=chips, images=images[subject], clean=float(own.mean()), looks=min(1, chips))
    if not chips:
        return result
    return msgspec.structs.replace(
        result, value=metric_spread(store.samples(key, seeds)),
        change=metric_spread(v - own for v in store.samples(key, seeds)),
        faulty_cells=sum(counts["faulty_cells"]) / chips, flipped_bits=sum(counts["flipped_bits"]) / chips,
    )  # fmt: skip
