"""What a measurement of accuracy looks like: over voltage or bit error rate, and over the energy that it saves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from nfkit.pictures.charts import Axis, Chart, Line, Mark, Role, Series
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.figures import Share, Spread
from nfkit.reports.operating_point import Point
from nfkit.reports.plan import Plan
from nfkit.reports.precision import PrecisionSweep
from nfkit.reports.search import Search

_BANDS = "Bands and bars: 95 % intervals over chips and images."
SAVED = "energy of the weight memory saved (%)"


def over_voltage(record: Evaluation) -> Chart:
    """Accuracy at each operating point, with its interval, every chip, and all rivals.

    Over the voltage, or over the rate where a voltage is known of less than half of the points. On both axes errors
    grow to one side; the voltage without errors, or the rate 0, has the clean accuracy. A rate beyond the ends of the
    curve has no place among voltages: its figures stand in the table.
    """
    unplaced = [point for point in record.points if point.voltage is None]
    volts = 2 * len(unplaced) < len(record.points)
    x = _place(volts)
    points = sorted(record.points, key=lambda point: (volts and point.voltage is None, x(point)))
    rates = [point.ber for point in points]
    wide = not volts and min(rates) > 0 and max(rates) / min(rates) > 20
    clean_at = None if wide else 1.0 if volts else 0.0
    series = [Series("base with errors", _marks(points, x, "base", record.clean.base, clean_at), "base")]
    if record.is_protected:
        marks = _marks(points, x, "protected", record.clean.protected, clean_at)
        series.append(Series("protected model", marks, "protected"))
    series += _rivals(record, lambda standing_volts, saving: standing_volts) if volts else []
    series += _chips(points, x, record.is_protected)
    names = tuple((x(point), f"{100 * point.ber:.2g} %") for point in points if not math.isnan(x(point)))
    title = f"{record.data.measure} over {'supply voltage' if volts else 'bit error rate'}"
    axis = (
        Axis("supply voltage over Vmin", high=1.02, upper=names, upper_title="bit error rate")
        if volts
        else Axis("bit error rate (%)", logarithmic=wide, low=0.0)
    )
    beyond = ", ".join(rate_of(point) for point in unplaced) if volts else ""
    only = f" In the table alone, since the curve has no voltage for it: {beyond}." if beyond else ""
    return Chart(
        title[:1].upper() + title[1:], f"{_BANDS} Small signs: single chips.{only}", axis, _accuracy_axis(record),
        tuple(series), _lines(record),
    )  # fmt: skip


def over_energy(record: Evaluation) -> Chart | None:
    """Accuracy over the energy that is saved, of all that was compared; None where no voltage is known."""
    points = [point for point in record.points if point.voltage is not None]
    if not points:
        return None
    bare = [_mark(p.base, 100 * p.voltage.saving, rate_of(p)) for p in points if p.voltage is not None]
    bare.append(Mark(0.0, 100 * record.clean_base, *ends_of(record.clean.base.ci95), "at Vmin"))
    series = [Series("base with errors", _in_order(bare), "base")]
    series += _rivals(record, lambda volts, saving: saving)
    pair = [
        _mark(p.protected, 100 * p.saving.by_accesses, rate_of(p))
        for p in points
        if p.protected is not None and p.saving
    ]
    if pair:
        series.append(Series("protected model", _in_order(pair), "protected"))
    return Chart(
        "Accuracy over energy saved",
        f"Up and to the right is better. {_BANDS} A generator's own reads are paid for.",
        Axis(SAVED, high=100.0), _accuracy_axis(record), tuple(series), _lines(record)[:1],
    )  # fmt: skip


def front_of_search(record: Search) -> Chart:
    """The candidates of a search; those that no other one beats are joined."""

    def marks(on_front: bool) -> tuple[Mark, ...]:
        return _in_order(
            _mark(p.protected, 100 * p.saving, p.generator) for p in record.points if p.on_front == on_front
        )

    series = [Series("beaten by another", marks(False), "other", joined=False)]
    if record.voltage is not None and record.points:
        bare = _mark(record.points[0].base, 100 * record.voltage.saving, "no generator")
        series.insert(0, Series("base with errors", (bare,), "base", joined=False))
    series.append(Series("on the front", marks(True), "protected"))
    return Chart(
        "Generators: accuracy over energy saved",
        f"At a bit error rate of {100 * record.ber:.3g} %. Up and to the right is better. {_BANDS}",
        Axis(SAVED, high=100.0), _AXIS, tuple(s for s in series if s.marks),
    )  # fmt: skip


def plans_of_search(record: Search) -> Chart | None:
    """The least energy of each candidate within the tolerance; None where the search had no tolerance."""
    planned = [(point.generator, point.plan) for point in record.points if point.plan is not None]
    if record.max_loss is None or not planned:
        return None
    groups: tuple[tuple[str, Role, bool], ...] = (
        ("plan without a generator", "base", False),
        ("plan with the generator", "protected", True),
    )
    series = [
        Series(
            name,
            tuple(
                _mark(plan.accuracy, 100 * plan.saving, f"{generator}: {plan.name} at {plan.volts_over_vmin:.3f} Vmin")
                for generator, plan in planned
                if plan.uses_generator == generated
            ),
            role,
            joined=False,
        )
        for name, role, generated in groups
    ]
    return Chart(
        "Plans: accuracy over energy saved",
        f"The least energy of each generator at which at most {100 * record.max_loss:g} % of the answers are lost. Up "
        f"and to the right is better. {_BANDS}",
        Axis(SAVED, high=100.0), _AXIS, tuple(s for s in series if s.marks),
    )  # fmt: skip


def front_of_plan(record: Plan) -> Chart:
    """The remedies of a plan, by what became of them, and how much may be lost."""
    groups: tuple[tuple[str, Role, str], ...] = (
        ("beyond the tolerance", "base", "beyond"),
        ("not chosen", "base", "not chosen"),
        ("not confirmed", "other", "not confirmed"),
        ("within the tolerance", "protected", "within"),
        ("within it for sure", "alone", "for sure"),
        ("within it by its mean", "other", "by its mean"),
    )
    rows = record.rows()
    series = [
        Series(
            name,
            tuple(_mark(option.accuracy, 100 * option.saving, option.name) for option, word in rows if word == outcome),
            role,
            joined=False,
        )
        for name, role, outcome in groups
    ]
    clean = 100 * record.confirming.clean.accuracy
    least = Line("least accuracy tolerated", clean - 100 * record.tolerance, "alone")
    return Chart(
        "Remedies: accuracy over energy saved",
        f"Each at the lowest voltage that was chosen for it. Up and to the right is better. {_BANDS}",
        Axis(SAVED, high=100.0), _AXIS, tuple(s for s in series if s.marks),
        (Line("clean base", clean, "clean"), least),
    )  # fmt: skip


def over_bits(record: PrecisionSweep) -> Chart:
    """Accuracy over the bits of a weight, one series a bit error rate."""
    roles: tuple[Role, ...] = ("base", "milder", "other", "alone")
    clean = tuple(Mark(entry.bits, 100 * entry.clean.base.accuracy) for entry in record.sweep)
    series = [Series("base without errors", clean, "clean")]
    for index, ber in enumerate(dict.fromkeys(point.ber for entry in record.sweep for point in entry.points)):
        at = [(entry.bits, point) for entry in record.sweep for point in entry.points if point.ber == ber]
        marks = tuple(_mark(point.base, bits, rate_of(point)) for bits, point in at)
        series.append(Series(f"base at {100 * ber:.3g} %", marks, roles[index % len(roles)]))
        kept = tuple(_mark(p.protected, bits, rate_of(p)) for bits, p in at if p.protected is not None)
        if kept:
            series.append(Series(f"protected at {100 * ber:.3g} %", kept, "protected"))
    return Chart("Accuracy over bits of a weight", _BANDS, Axis("bits of a weight"), _AXIS, tuple(series))


_AXIS = Axis("accuracy (%)", low=0.0, high=100.0)


def _accuracy_axis(record: Evaluation) -> Axis:
    return Axis(f"{'agreement' if record.data.labels == 'base' else 'accuracy'} (%)", low=0.0, high=100.0)


def _place(volts: bool) -> Callable[[Point], float]:
    """Where a point stands; NaN where it has no voltage among others that have one."""
    if not volts:
        return lambda point: 100 * point.ber
    return lambda point: math.nan if point.voltage is None else point.voltage.volts_over_vmin


def _marks(
    points: Sequence[Point], x: Callable[[Point], float], which: str, clean: Share | None, clean_at: float | None
) -> tuple[Mark, ...]:
    marks = [_mark(spread, x(p), rate_of(p)) for p in points if (spread := getattr(p, which)) is not None]
    if clean is not None and clean_at is not None and not any(mark.x == clean_at for mark in marks):
        marks.append(Mark(clean_at, 100 * clean.accuracy, *ends_of(clean.ci95), "without errors"))
    return _in_order(marks)


def _chips(points: Sequence[Point], x: Callable[[Point], float], protected: bool) -> list[Series]:
    """Every chip by itself."""
    wanted: tuple[Role, ...] = ("base", "protected") if protected else ("base",)
    return [
        Series(
            f"{role}, one chip",
            tuple(
                Mark(x(point), 100 * value, name=f"{rate_of(point)}, chip {row.chip}")
                for point in points
                for row in point.rows
                if (value := getattr(row, role)) is not None
            ),
            role,
            joined=False,
            faint=True,
        )
        for role in wanted
    ]


def _rivals(record: Evaluation, x: Callable[[float | None, float | None], float | None]) -> list[Series]:
    """What the verdict compared with, besides the faulty base and the generator alone, which are drawn anyway."""
    kinds: dict[str, tuple[str, Role]] = {"milder": ("bare base at a milder voltage", "milder")}
    found: dict[tuple[str, Role], list[Mark]] = {}
    for comparison in record.verdict.comparisons if record.verdict else ():
        for standing in comparison.rivals:
            if standing.kind in ("base", "alone"):
                continue
            at = x(standing.volts_over_vmin, None if standing.saving is None else 100 * standing.saving)
            if at is not None:
                look = kinds.get(standing.kind, ("another remedy", "other"))
                found.setdefault(look, []).append(Mark(at, 100 * standing.accuracy, name=standing.rival))
    return [Series(name, _in_order(marks), role, joined=False) for (name, role), marks in found.items()]


def _lines(record: Evaluation) -> tuple[Line, ...]:
    lines = [Line("base without errors", 100 * record.clean_base, "clean")]
    if record.alone is not None:
        lines.append(Line("generator alone", 100 * record.alone, "alone"))
    return tuple(lines)


def _mark(spread: Spread, x: float, name: str) -> Mark:
    return Mark(x, 100 * spread.mean, *ends_of(spread.ci95), name)


def ends_of(interval: tuple[float, float] | None) -> tuple[float | None, float | None]:
    """Ends of an interval in percent."""
    return (None, None) if interval is None else (100 * interval[0], 100 * interval[1])


def _in_order(marks: Iterable[Mark]) -> tuple[Mark, ...]:
    return tuple(sorted(marks, key=lambda mark: (math.isnan(mark.x), mark.x)))


def rate_of(point: Point) -> str:
    """What an operating point is called."""
    return f"bit error rate {100 * point.ber:.3g} %"
