"""The course of a campaign: a pilot, then look after look, every measurement kept the moment it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nfkit.campaigns.engines import Engine
from nfkit.campaigns.engines.base import Team
from nfkit.campaigns.estimate import Estimate, estimate, pilot_tasks
from nfkit.campaigns.kit import Kit, Task
from nfkit.campaigns.results import tally_chips
from nfkit.campaigns.stopping import StopRule
from nfkit.campaigns.store import MeasurementStore
from nfkit.progress import Counter, OnProgress, silent


def run(
    store: MeasurementStore,
    kit: Kit,
    rule: StopRule,
    seeds: range,
    engine: Engine,
    number: int,
    *,
    only_estimate: bool = False,
    on_estimate: Callable[[Estimate], None] = lambda estimate: None,
    on_progress: OnProgress = silent,
) -> Estimate:
    """Measures what a store lacks.

    Args:
        store: Where measurements are kept, and looked up.
        kit: What is measured.
        rule: When a cell ends.
        seeds: Seeds of all chips that may be measured.
        engine: Who works.
        number: Number of this run in the store.
        only_estimate: Whether to end after the pilot.
        on_estimate: Called with what it will take, before it begins.
        on_progress: Told how far it is.

    Returns:
        What it was going to take after the pilot.

    Raises:
        NfkitError: When a measurement cannot be made or kept. What was measured before is kept.
    """
    done = store.done()

    def work(team: Team, tasks: Sequence[Task], stage: str) -> None:
        missing = [task for task in tasks if task not in done]
        if not missing:
            return
        counter = Counter(stage, len(missing), on_progress)
        for made in team.measure(missing):
            store.add(made, number)
            done.add(made.task)
            counter(_say(store, made.cell, made.chip))

    with engine.open(kit) as team:
        work(team, pilot_tasks(kit, seeds[: rule.chips]), "pilot")
        takes = estimate(store, kit, rule, seeds, engine.workers)
        on_estimate(takes)
        if only_estimate:
            return takes
        for look, cells in _looks(store, rule, seeds, list(kit.jobs)):
            # Chip by chip through all cells: whenever it ends, cells are known about equally well.
            work(team, [Task(cell, chip) for chip in seeds[:look] for cell in cells], "measuring")
    return takes


def _looks(
    store: MeasurementStore, rule: StopRule, seeds: range, cells: list[str]
) -> Iterator[tuple[int, list[str]]]:  # fmt: skip
    """Chips by each look, with the cells that the looks before it have left open."""
    for look in rule.looks():
        yield look.chips, cells
        if rule.until is None:
            return
        chips = seeds[: look.chips]
        cells = [key for key in cells if not rule.settles(tally_chips(store, key, chips, rule.figure), look)]
        if not cells:
            return


def _say(store: MeasurementStore, cell: str, chip: int) -> str:
    return f"{store.name_of(cell)}, chip {chip}"
