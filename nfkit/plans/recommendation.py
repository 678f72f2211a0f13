"""Which of the ways to run a model a plan recommends, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Sequence

from nfkit.measure.latency import Latency
from nfkit.plans.tolerance import SURE, certainty
from nfkit.reports.figures import Spread
from nfkit.reports.plan import Option

TIE = 0.002
"""Energy, of the bare base's at Vmin, within which two plans save as much: the one that needs less is best."""
NEAR = 0.01
"""Saving that a generator has to add to what can be had without one, so that this is not recommended instead."""
MOST_IMAGES = 100_000
"""Test images that somebody might have."""


def best_of(options: Sequence[Option]) -> int | None:
    """Of what is within the tolerance and saves energy as good as most, that which needs least."""
    within = [index for index, option in enumerate(options) if option.within and option.saving > 0]
    if not within:
        return None
    most = max(options[index].saving for index in within)
    near = [index for index in within if options[index].saving >= most - TIE]
    return min(near, key=lambda index: (len(options[index].needs), -options[index].saving))


def worth_saying(likely: Option, best: Option | None) -> bool:
    """Whether what holds by its measured loss alone saves clearly more than what is surely within the tolerance."""
    return likely.within and likely.saving > NEAR + (0.0 if best is None else best.saving)


def is_sure(option: Option, tolerance: float) -> bool:
    """Whether the whole interval of a loss lies within the tolerance."""
    return option.loss.ci95 is not None and option.loss.ci95[1] <= tolerance


def images_for(loss: Spread, tolerance: float, images: int) -> int | None:
    """Test images, of both halves, with which a loss as measured would surely be within the tolerance.

    An interval narrows with the root of the images.

    Args:
        loss: As measured.
        tolerance: Largest loss of accuracy, a share.
        images: How many images confirmed it.

    Returns:
        The number, to two digits; None where the loss lies too near to the tolerance for any number that can be had.
    """
    room = tolerance - loss.mean
    if loss.ci95 is None or room <= 0:
        return None
    needed = 2 * images * ((loss.ci95[1] - loss.mean) / room) ** 2
    return None if needed > MOST_IMAGES else int(float(f"{needed:.2g}"))


def recommend(
    options: Sequence[Option],
    best: int | None,
    tolerance: float,
    times: Latency | None,
    *,
    images: int,
    likely: Option | None = None,
    sure: Option | None = None,
) -> str:
    """What to do, in one sentence.

    Args:
        options: All that was tried.
        best: Index of the one to run; None where nothing saves energy within the tolerance.
        tolerance: Largest loss of accuracy, a share.
        times: Latency of the file with the numbers of that option; None where it was not measured.
        images: How many images confirmed them.
        likely: What saves clearly more by its measured loss alone; None where nothing does.
        sure: What saves most of that whose whole interval is within the tolerance, where less decided; None where
            nothing does.
    """
    points = f"{100 * tolerance:g} {'point' if tolerance == 0.01 else 'points'}"
    if best is None:
        return f"stay at Vmin: nothing that was tried saves energy and loses at most {points}{_likely(likely)}"
    at = options[best]
    low, high = at.loss.ci95 or (at.loss.mean, at.loss.mean)
    worst = "" if at.accuracy.worst is None else f", its worst chip {100 * at.accuracy.worst:.1f} %"
    where = (
        f"{at.volts_over_vmin:.3f} Vmin (a bit error rate of {100 * at.ber:.2g} %)"
        if at.ber
        else "Vmin, without errors"
    )
    spared = "" if at.early is None else f" ({100 * at.early['share']:.0f} % of the images need no base)"
    quick = (
        ""
        if times is None or times.mean_ratio is None
        else f"; at batch 1 it takes {times.mean_ratio:.2f} of the bare base's mean time"
    )
    return (
        f"run at {where}: {at.sentence}{spared}; that "
        f"saves {100 * at.saving:.1f} % of the weight memory's energy, is {at.accuracy.with_interval()} "
        f"accurate{worst}, and loses {100 * at.loss.mean:.2f} points ({100 * low:.2f} to {100 * high:.2f}) of the "
        f"{points} tolerated{_doubt(at, tolerance, images)}{quick}{_without(options, at, sure)}{_likely(likely)}"
        f"{_sure(options, at, sure, tolerance)}"
    )


def _doubt(at: Option, tolerance: float, images: int) -> str:
    """How surely the plan holds, and what would make it sure, where less than the whole interval decided."""
    if at.loss.ci95 is None or is_sure(at, tolerance):
        return ""
    needed = images_for(at.loss, tolerance, images)
    more = "" if needed is None else f"; with some {needed:,} test images {100 * SURE:g} %"
    return f" ({100 * certainty(at.loss.mean, at.loss.ci95, tolerance):.0f} % sure{more})"


def _sure(options: Sequence[Option], at: Option, sure: Option | None, tolerance: float) -> str:
    """What whole intervals would decide for, where that was not said."""
    if at.loss.ci95 is None or is_sure(at, tolerance) or _same(sure, _rival(options, at)):
        return ""
    if sure is None:
        return f"; to be {100 * SURE:g} % sure of that, nothing that was tried saves energy"
    return (
        f"; to be {100 * SURE:g} % sure of that, {sure.name} at {sure.volts_over_vmin:.3f} Vmin saves "
        f"{100 * sure.saving:.1f} %"
    )


def _likely(option: Option | None) -> str:
    """What fewer doubts would save, where the samples are too few to be sure of it."""
    if option is None:
        return ""
    low, high = option.loss.ci95 or (option.loss.mean, option.loss.mean)
    return (
        f"; by the measured loss alone (--confidence 50%) {option.name} saves {100 * option.saving:.1f} % and loses "
        f"{100 * option.loss.mean:.2f} points ({100 * low:.2f} to {100 * high:.2f}): more test images would tell"
    )


def _without(options: Sequence[Option], best: Option, sure: Option | None) -> str:
    """What can be had without a generator, where the plan has one."""
    if not best.uses_generator:
        return "; no generator is needed for that" if any(option.uses_generator for option in options) else ""
    rival = _rival(options, best)
    if rival is None:
        return "; nothing without a generator saves energy within the tolerance"
    near = rival.saving >= best.saving - NEAR
    advice = "nearly as much, and is simpler" if near else f"{100 * rival.saving:.1f} %"
    surely = f", {100 * SURE:g} % sure" if _same(sure, rival) else ""
    return f"; without a generator, {rival.name} at {rival.volts_over_vmin:.3f} Vmin saves {advice}{surely}"


def _rival(options: Sequence[Option], best: Option) -> Option | None:
    """What saves most without a generator, where the plan has one; None where nothing saves energy."""
    rest = [option for option in options if option.within and not option.uses_generator and option.saving > 0]
    return max(rest, key=lambda option: option.saving, default=None) if best.uses_generator else None


def _same(one: Option | None, other: Option | None) -> bool:
    """Whether two are one remedy at one voltage."""
    if one is None or other is None:
        return False
    return (one.name, one.volts_over_vmin) == (other.name, other.volts_over_vmin)
