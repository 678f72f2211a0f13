"""What a campaign will take: measurements, time and disk, by a pilot that is part of it."""

from __future__ import annotations

from dataclasses import dataclass

from nfkit.campaigns.kit import Kit, Task
from nfkit.campaigns.results import tally_chips
from nfkit.campaigns.sizing import sample_bytes, store_size
from nfkit.campaigns.stopping import StopRule
from nfkit.campaigns.store import MeasurementStore
from nfkit.progress import duration

PILOT_CHIPS = 4
"""Chips of the pilot, in one cell of each file."""


@dataclass(frozen=True)
class Need:
    """What one file will take, by the strongest errors that it is measured under.

    Attributes:
        subject: Its name.
        seconds: Seconds of one measurement, by one worker beside the others.
        chips: Chips of a cell that the stop rule asks for; None where it cannot be met by what is allowed.
        images: Images that would meet it at the most chips that are allowed; None where no number would.
    """

    subject: str
    seconds: float
    chips: int | None
    images: int | None


@dataclass(frozen=True)
class Estimate:
    """What is still to do.

    Attributes:
        measurements: Measurements that are missing; with a stop rule, as many as the pilot makes likely.
        at_most: The same, where no cell ends early.
        done: Measurements that are there.
        seconds: Time that they take here.
        bytes: Size of the store at the end.
        workers: Measurements at a time.
        needs: What each file takes.
        until: Half width that the plan asks for, if it does.
    """

    measurements: int
    at_most: int
    done: int
    seconds: float
    bytes: int
    workers: int
    needs: tuple[Need, ...]
    until: float | None

    def sentences(self) -> list[str]:
        """The estimate as a person reads it."""
        each = ", ".join(f"{need.subject} {need.seconds:.3g} s" for need in self.needs)
        likely = "" if self.measurements == self.at_most else f" (at most {self.at_most:,})"
        time = f"about {duration(self.seconds)} with {self.workers} at a time (one takes: {each})"
        work = f"{self.measurements:,} measurements{likely}, {self.done:,} of them done"
        said = [f"{work}: {time}, and {size(self.bytes)} of disk"]
        for need in self.needs if self.until is not None else ():
            half = f"± {100 * (self.until or 0):g} points"
            if need.chips is not None:
                said.append(f"{need.subject}: {half} takes about {need.chips:,} chips a cell, by {PILOT_CHIPS} of them")
            elif need.images is None:
                said.append(f"{need.subject}: {half} is out of reach of max_chips, whatever the number of images")
            else:
                said.append(f"{need.subject}: {half} takes about {need.images:,} images at max_chips; there are fewer")
        return said


def pilot_tasks(kit: Kit, seeds: range) -> list[Task]:
    """The measurements that a campaign begins with: some chips of each file's strongest errors."""
    return [Task(cell, chip) for cell in _strongest(kit).values() for chip in seeds[:PILOT_CHIPS]]


def estimate(
    store: MeasurementStore, kit: Kit, rule: StopRule, seeds: range, workers: int
) -> Estimate:  # fmt: skip
    """What a campaign will take, once its pilot is in the store."""
    needs, seconds, likely, most, done, content = [], 0.0, 0, 0, 0, 0
    for subject, cell in _strongest(kit).items():
        images, judged = len(kit.subjects[subject].data), kit.subjects[subject]
        samples = sample_bytes(images, 0 if judged.metric is None else judged.clean.size)
        times = store.counts(cell)["seconds"]
        each = sorted(times)[len(times) // 2] if times else 0.0
        chips, enough = _needed(store, cell, rule, seeds) if rule.until is not None else (rule.most, None)
        needs.append(Need(subject, each, chips, enough))
        for key in (key for key, job in kit.jobs.items() if job.subject == subject):
            wanted, measured = chips or rule.most, store.count(key, seeds)
            missing = max(0, wanted - measured)
            seconds += missing * each
            likely, most, done = likely + max(wanted, measured), most + rule.most, done + measured
            content += store_size(max(wanted, measured), samples) - store_size(0, samples)
    content += store_size(0, 0)
    return Estimate(likely, most, done, seconds / workers, content, workers, tuple(needs), rule.until)


def _needed(store: MeasurementStore, cell: str, rule: StopRule, seeds: range) -> tuple[int | None, int | None]:
    """Chips and images that the stop rule takes, by the pilot."""
    tally = tally_chips(store, cell, seeds[:PILOT_CHIPS], rule.figure)
    if tally.chips < 2 or tally.images < 2:
        return None, None
    return rule.chips_needed(tally), rule.images_needed(tally)


def _strongest(kit: Kit) -> dict[str, str]:
    """The cell of each subject's highest rate."""
    found: dict[str, str] = {}
    for key, job in kit.jobs.items():
        kept = found.get(job.subject)
        if kept is None or job.errors.rate > kit.jobs[kept].errors.rate:
            found[job.subject] = key
    return found


def size(count: int) -> str:
    """Bytes in the unit that is readable."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
