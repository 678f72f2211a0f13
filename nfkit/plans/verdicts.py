"""One verdict, taking all rivals into account at once.

A protected model is recommended at an operating point only where it is surely more accurate than everything that saves
at least as much: the whole two-way interval of each paired difference lies above 0. Where several points were measured,
one half of the images chooses among them, and the chosen one is measured again on the other half and on fresh chips;
what is reported is that figure. Where the half finds no point ahead, the figures are those of all images. The burden of
proof is the remedy's: where it is not ahead, the simpler way is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nfkit.measure.statistics import accuracy_spread, difference_spread
from nfkit.plans.operating_points import Strength
from nfkit.plans.rivals import Answers, Candidate, strongest
from nfkit.reports.figures import Spread
from nfkit.reports.verdict import Choice, Comparison, Confirmation, Standing, Verdict

_NOTHING = 0.0005  # a saving that is shown as 0.0 %
BEARABLE_LOSS = 0.01
"""What a bare base may lose, as a share of the samples, and still do without protection."""


@dataclass(frozen=True, eq=False)
class Fresh:
    """The chosen point measured again.

    Attributes:
        chips: Seeds of chips that had no part in choosing.
        candidate: The protected model and its rivals on them, on all images.
    """

    chips: tuple[int, ...]
    candidate: Candidate


@dataclass(frozen=True)
class Setting:
    """What a verdict's sentence needs to know besides.

    Attributes:
        strengths: The operating points.
        clean: Accuracy of the base without errors.
        chance: Accuracy of always answering with the commonest class.
        unchecked: Rivals that were not compared, each with the reason.
    """

    strengths: tuple[Strength, ...]
    clean: float
    chance: float
    unchecked: tuple[str, ...] = ()

    @property
    def broken_below(self) -> float:
        """Half way from chance to what the base can do: at and below it a model is of no use."""
        return self.chance + max(0.0, self.clean - self.chance) / 2

    def where(self, point: int) -> str:
        """An operating point in words."""
        return _where(self.strengths[point].rate, _volts(self.strengths[point]))


def judge_pair(
    candidates: Sequence[Candidate], setting: Setting, measure_again: Callable[[int], Fresh] | None = None
) -> Verdict:
    """Decides on a protected model.

    Args:
        candidates: The protected model at each operating point, with its rivals.
        setting: What else the sentence needs.
        measure_again: Measures an operating point on fresh chips; by default nothing is confirmed.
    """
    images = np.arange(candidates[0].answers.shape[1])
    confirms = measure_again is not None and len(candidates) > 1 and len(images) > 3
    half = images[::2] if confirms else images
    comparisons = tuple(candidate.seen_on(half).compare(setting.broken_below) for candidate in candidates)
    ahead = [entry for entry in comparisons if entry.outcome == "ahead"]
    if not ahead:  # nothing was chosen, so no image need be held back: the figures are those of the table
        whole = tuple(candidate.compare(setting.broken_below) for candidate in candidates)
        return _without_pair(whole, setting)
    best = max(ahead, key=_surest_lead)
    confirmed = None
    accuracy: Spread = accuracy_spread(_of(candidates, best.point).answers)
    standings = best.rivals
    if confirms and measure_again is not None:
        again = measure_again(best.point)
        seen = again.candidate.seen_on(images[1::2])
        compared = seen.compare(setting.broken_below)
        accuracy, standings = accuracy_spread(seen.answers), compared.rivals
        holds = compared.outcome == "ahead"
        confirmed = Confirmation(again.chips, len(images[1::2]), accuracy, holds, standings)
        if not holds:
            rival = strongest(compared)
            sentence = (
                f"not decided: at {setting.where(best.point)} the protected model was ahead, but on fresh chips and "
                f"images it is {_share(accuracy.mean)} accurate and {rival.rival} {_share(rival.accuracy)}: "
                "measure more chips and images"
            )
            return _verdict("undecided", sentence, comparisons, setting, None, confirmed)
    sentence = _recommend(setting, best.point, _of(candidates, best.point).saving, accuracy, standings, confirmed)
    return _verdict("pair", sentence, comparisons, setting, best.point, confirmed)


def judge_base(answers: Sequence[Answers], clean: Answers, setting: Setting) -> Verdict:
    """Decides whether a bare base needs protection.

    Args:
        answers: The faulty base at each operating point, [chips, images].
        clean: The base without errors, [1, images].
        setting: What else the sentence needs.
    """
    losses = [difference_spread(clean, entry, entry.size) for entry in answers]  # chips err apart from each other
    order = sorted(range(len(losses)), key=lambda i: setting.strengths[i].rate)
    borne = [i for i in order if (ends := losses[i].ci95) is not None and ends[1] <= BEARABLE_LOSS]
    worst = order[-1]
    falls = (
        f"at {setting.where(worst)} it falls from {_share(setting.clean)} to {_share(float(answers[worst].mean()))} "
        "accurate"
    )
    if borne:
        most = borne[-1]
        text = f"the base needs no protection at {setting.where(most)}: it loses {_points(losses[most])} there"
        if (point := setting.strengths[most].point) is not None and point.energy < 1:
            text += f", and the voltage saves {100 * (1 - point.energy):.1f} % of the weight memory's energy"
        if most != worst:
            text += f"; {falls}, and needs it (nfkit protect)"
        return _verdict("base", text, (), setting, most)
    if all(loss.ci95 is None for loss in losses):
        return _verdict("undecided", f"{falls}; a single chip decides nothing: give more chips", (), setting)
    if losses[worst].mean <= BEARABLE_LOSS:
        text = f"not decided: at {setting.where(worst)} the base loses {_points(losses[worst])}: measure more images"
        return _verdict("undecided", text, (), setting)
    return _verdict("none", f"{falls}: protect it (nfkit protect), or run it at a milder voltage", (), setting)


def _without_pair(comparisons: tuple[Comparison, ...], setting: Setting) -> Verdict:
    """The verdict where the protected model is surely ahead at no point."""
    useful = [entry for entry in comparisons if entry.outcome != "broken"]
    best = max(useful or comparisons, key=lambda entry: strongest(entry).ahead.mean if entry.rivals else 0.0)
    where, pair = setting.where(best.point), f"the protected model {_share(best.accuracy)}"
    rival = strongest(best)
    if max(rival.accuracy, best.accuracy) <= setting.broken_below:
        others = ", ".join(f"{standing.rival} {_share(standing.accuracy)}" for standing in best.rivals)
        text = (
            f"nothing is of use at {where}: {pair} accurate, {others}, against {_share(setting.clean)} of the base "
            "without errors; choose a milder voltage, or train another generator"
        )
        return _verdict("none", text, comparisons, setting)
    if best.outcome in ("ahead", "undecided") and (rival.ahead.ci95 is None or rival.ahead.mean > 0):
        reason = "a single chip decides nothing" if rival.ahead.ci95 is None else f"the lead is {_points(rival.ahead)}"
        text = f"not decided at {where}: {pair} accurate, {rival.rival} {_share(rival.accuracy)}; {reason}: "
        return _verdict("undecided", text + "measure more chips and images", comparisons, setting)
    return _verdict(_choice(rival), _instead(rival, where, pair), comparisons, setting, _point_of(rival, best))


def _instead(rival: Standing, where: str, pair: str) -> str:
    saved = "" if rival.saving is None else f", and saves {100 * rival.saving:.1f} % of the weight memory's energy"
    if rival.kind == "milder" and rival.saving is not None and rival.saving < _NOTHING:
        return (
            f"leave the generator out: it costs more energy than the voltage saves at {where}; {rival.rival} is "
            f"{_share(rival.accuracy)} accurate, {pair}"
        )
    if rival.kind == "milder":
        return (
            f"leave the generator out: {rival.rival} is {_share(rival.accuracy)} accurate{saved}, as much as "
            f"the protected model at {where}, which is {pair.removeprefix('the protected model ')} accurate"
        )
    if rival.kind == "base":
        return f"leave the generator out: at {where} the base by itself is {_share(rival.accuracy)} accurate, {pair}"
    if rival.kind == "alone":
        return (
            f"leave the base out: the generator alone is {_share(rival.accuracy)} accurate at full voltage, {pair} at "
            f"{where}"
        )
    return f"use {rival.rival} instead: it is {_share(rival.accuracy)} accurate{saved}, {pair} at {where}"


def _recommend(
    setting: Setting,
    point: int,
    saving: float | None,
    accuracy: Spread,
    standings: Sequence[Standing],
    confirmed: Confirmation | None,
) -> str:
    rival = min(standings, key=lambda standing: standing.ahead.mean)
    on = "" if confirmed is None else " on chips and images that had no part in this choice"
    saved = "" if saving is None else f" and saves {100 * saving:.1f} % of the weight memory's energy"
    return (
        f"run the protected model at {setting.where(point)}: it is {_share(accuracy.mean)} accurate{on}{saved}; the "
        f"best of what saves as much, {rival.rival}, is {_share(rival.accuracy)} accurate"
    )


def _verdict(
    choice: Choice,
    sentence: str,
    comparisons: tuple[Comparison, ...],
    setting: Setting,
    point: int | None = None,
    confirmed: Confirmation | None = None,
) -> Verdict:
    return Verdict(choice, sentence, point, comparisons, confirmed, setting.unchecked)


def _choice(rival: Standing) -> Choice:
    kinds: dict[str, Choice] = {"base": "base", "alone": "alone", "milder": "milder"}
    return kinds.get(rival.kind, "other")


def _point_of(rival: Standing, best: Comparison) -> int | None:
    return best.point if rival.kind == "base" else None


def _of(candidates: Sequence[Candidate], point: int) -> Candidate:
    return next(candidate for candidate in candidates if candidate.point == point)


def _surest_lead(comparison: Comparison) -> float:
    """The lower end of the interval of the lead over the strongest rival."""
    return min(ends[0] for standing in comparison.rivals if (ends := standing.ahead.ci95) is not None)


def _where(rate: float, volts: float | None) -> str:
    return f"a bit error rate of {100 * rate:.3g} %" + ("" if volts is None else f" ({volts:.3f} Vmin)")


def _volts(strength: Strength) -> float | None:
    return None if strength.point is None else strength.point.volts


def _share(accuracy: float) -> str:
    return f"{100 * accuracy:.1f} %"


def _points(spread: Spread) -> str:
    text = f"{100 * spread.mean:.1f} points"
    return text if spread.ci95 is None else f"{text} ({100 * spread.ci95[0]:.1f} to {100 * spread.ci95[1]:.1f})"
