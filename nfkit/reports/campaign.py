"""The record of a campaign: what each cell came to, over its chips and images."""

from __future__ import annotations

import hashlib
from functools import cached_property

import msgspec

from nfkit.reports.campaign_maps import hurts_most, map_table, maps_in
from nfkit.reports.figures import Spread
from nfkit.reports.rendering import Overview, Readable, Table
from nfkit.reports.vulnerability import place_of

METRIC = "metric"
"""What names the metric in a fingerprint; measurements without it are of classes."""


class Cell(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """What is measured, but for the chip.

    Attributes:
        model: What results call the model.
        data: What results call the samples.
        remedy: What is done against errors.
        kind: What a faulty cell does.
        set_share: Share of the errors that write a 1.
        layout: Which cell holds what.
        storage: How memory holds a code.
        rate: Bit error rate.
        volts: Supply voltage over Vmin, where the plan gives voltages.
    """

    model: str
    data: str
    remedy: str
    kind: str
    set_share: float
    layout: str
    storage: str
    rate: float
    volts: float | None = None

    @cached_property
    def key(self) -> str:
        """What tells it from all others, in a store: 16 hexadecimal digits of its attributes."""
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.astuple(self))).hexdigest()[:16]

    @property
    def place(self) -> tuple[str, int] | None:
        """Site and bit in which alone errors are, where the cell is one of a map of where errors hurt."""
        return place_of(self.remedy)

    @property
    def kind_text(self) -> str:
        """Its kind, as a plan says it."""
        return self.kind if self.set_share == 0.5 else f"{self.kind}:{self.set_share:g}"

    def __str__(self) -> str:
        volts = "" if self.volts is None else f" ({self.volts:g} Vmin)"
        parts = [self.model, self.data, self.remedy, self.kind_text, self.layout, self.storage]
        return f"{', '.join(parts)} at {100 * self.rate:.3g} %{volts}"


class CellResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a cell came to; shares are of the samples.

    Attributes:
        cell: The cell.
        chips: How many were measured.
        images: Samples of each.
        clean: Accuracy of the same file without errors.
        accuracy: Accuracy over chips; None before the first. Its interval holds at whichever look the cell ended.
        loss: What it is below that of the same file without errors, sample by sample.
        top5: Share of the samples whose label is among the five highest scores; None where there are no more classes.
        changed: Share of the answers that are others than without errors (silent corruption).
        right_to_wrong: Share that is right without errors and wrong with them.
        wrong_to_right: The reverse.
        faulty_cells: Cells that err, on average over chips.
        flipped_bits: Stored bits that come back wrong, on average over chips.
        settled: Whether the interval is as narrow as the plan asks for; None where it asks for none.
        looks: How often it was looked at.
        figure: Whose interval settles it, `accuracy` or `loss`.
        value: A metric of the user's own, over chips; None where classes were counted. Then `clean` is its value
            without errors, and there are no shares.
        change: What errors change in it, sample by sample where it has a value for each.
    """

    cell: Cell
    chips: int
    images: int
    clean: float
    accuracy: Spread | None = None
    loss: Spread | None = None
    top5: Spread | None = None
    changed: Spread | None = None
    right_to_wrong: Spread | None = None
    wrong_to_right: Spread | None = None
    faulty_cells: float = 0.0
    flipped_bits: float = 0.0
    settled: bool | None = None
    looks: int = 1
    figure: str = "accuracy"
    value: Spread | None = None
    change: Spread | None = None

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval by which the cell is settled."""
        figure = self.loss if self.figure == "loss" else self.accuracy
        interval = None if figure is None else figure.ci95
        return None if interval is None else (interval[1] - interval[0]) / 2


_VARIED = {
    "model": "model", "data": "data", "remedy": "remedy", "kind_text": "kind", "layout": "layout", "storage": "storage"
}  # fmt: skip
"""What cells may differ in besides the strength of the errors, and what a table calls it."""


class Campaign(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.campaign/1"):
    """What a campaign measured.

    Attributes:
        folder: Where its measurements are.
        cells: What each cell came to.
        planned: Measurements that the plan asks for at most; None where only the store was read.
        until: Half width at which a cell is settled; None where the plan gives a number of chips.
        fingerprint: What the measurements depend on, by name.
        versions: Versions that numbers depend on.
        warnings: What is doubtful.
        command: The command line behind the record, if there was one.
    """

    folder: str
    cells: tuple[CellResult, ...]
    planned: int | None = None
    until: float | None = None
    fingerprint: dict[str, str] = msgspec.field(default_factory=dict)
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    command: str | None = None

    @property
    def metric(self) -> str | None:
        """What judged outputs; None where classes were counted."""
        return self.fingerprint.get(METRIC)

    @property
    def measured(self) -> int:
        """Measurements in all."""
        return sum(result.chips for result in self.cells)

    def overview(self) -> Overview:
        """One row a cell, without what is the same in all of them; a map of where errors hurt is a grid."""
        maps, names = maps_in(self.cells), _VARIED
        if maps and not self._apart:
            table, left_out = map_table(maps)
            title = f"points of accuracy lost by errors in one bit position of one site alone; {self._same()}"
            first = f"{self._first()}; {hurts_most(maps)}".removesuffix("; ")
            return Overview(first, title, table, (*left_out, *self._unsettled(), *self.warnings))
        varying = self._varying or ["model"]
        volts = any(result.cell.volts is not None for result in self._apart)
        keys = [*(names[name] for name in varying), *(["V/Vmin"] if volts else []), "BER"]
        columns = (*keys, "chips", *(_OF_ANSWERS if self.metric is None else _OF_METRICS))
        figures = _figures if self.metric is None else _values
        rows = tuple((*(getattr(r.cell, name) for name in varying), *figures(r, volts)) for r in self._apart)
        of = self._same()
        title = f"accuracy over chips, and answers that errors change, in % of {of}"
        if self.metric is not None:
            title = f"{self.metric} over chips, and what errors change in it, for {of}"
        notes = [*self._unsettled(), *self.warnings]
        if maps:
            notes.insert(0, f"{len(self.cells) - len(rows)} cells map where errors hurt, as a report draws it")
            notes[0] += f"; {hurts_most(maps)}" if hurts_most(maps) else ""
        return Overview(self._first(), title, Table(columns, rows, len(keys)), tuple(notes))

    def table(self) -> Table:
        """One row a cell, unrounded."""
        attributes = Cell.__struct_fields__
        names = (
            *attributes, "chips", "images", "clean", "accuracy", "std", "low", "high", "worst", "top5", "changed",
            "right_to_wrong", "wrong_to_right", "faulty_cells", "flipped_bits", "settled",
        )  # fmt: skip
        if self.metric is not None:
            names = (*attributes, "chips", "images", "clean", "value", "std", "low", "high", "change", "change_low",
                     "change_high", "faulty_cells", "flipped_bits")  # fmt: skip
            return Table(names, tuple((*msgspec.structs.astuple(r.cell), *_plain_values(r)) for r in self.cells))
        return Table(names, tuple((*msgspec.structs.astuple(r.cell), *_plain(r)) for r in self.cells))

    def _first(self) -> str:
        planned = "" if self.planned is None else f" of {self.planned:,} planned" + (" at most" if self.until else "")
        cells = "1 cell" if len(self.cells) == 1 else f"{len(self.cells):,} cells"
        return f"{self.folder}: {self.measured:,} measurements{planned} in {cells}{self._hardest()}"

    @property
    def _apart(self) -> list[CellResult]:
        """The cells that are not of a map of where errors hurt."""
        return [result for result in self.cells if result.cell.place is None]

    @property
    def _varying(self) -> list[str]:
        return [name for name in _VARIED if len({getattr(r.cell, name) for r in self._apart}) > 1]

    def _same(self) -> str:
        """What all cells have in common."""
        of, shown = self._apart or self.cells, (self._varying or ["model"]) if self._apart else ["remedy"]
        alike = {name: {getattr(r.cell, name) for r in of} for name in _VARIED if name not in shown}
        same = [f"{_VARIED[name]} {values.pop()}" for name, values in alike.items() if len(values) == 1]
        images = sorted({result.images for result in of})
        return f"{' or '.join(map(str, images))} samples; {', '.join(same)}"

    def _hardest(self) -> str:
        """Which cell is most accurate at the highest rate, which least; empty where only rates differ, or models."""
        measured = [(r.cell, r.accuracy) for r in self._apart if r.accuracy is not None]
        most = max((cell.rate for cell, _ in measured), default=0.0)
        at = sorted(((cell, a) for cell, a in measured if cell.rate == most), key=lambda entry: -entry[1].mean)
        if len(at) < 2 or not self._varying or {"model", "data"} & set(self._varying):
            return ""
        told = []
        for place, (cell, accuracy) in (("most", at[0]), ("least", at[-1])):
            what = ", ".join(getattr(cell, name) for name in self._varying)
            worst = "" if accuracy.worst is None else f", its worst chip {100 * accuracy.worst:.1f} %"
            told.append(f"{place} accurate {what} ({100 * accuracy.mean:.1f} %{worst})")
        return f"; at a bit error rate of {100 * most:.3g} % {', '.join(told)}"

    def _unsettled(self) -> list[str]:
        open_ = [result for result in self.cells if result.settled is False]
        if not open_ or self.until is None:
            return []
        widest = max(open_, key=lambda result: result.half_width or 1.0)
        reached = "" if widest.half_width is None else f"; the widest is within ± {100 * widest.half_width:.2g} points"
        return [f"{len(open_)} of {len(self.cells)} cells are not within ± {100 * self.until:g} points yet{reached}"]


_OF_ANSWERS = ("accuracy", "95 % interval", "worst", "changed", "right>wrong", "wrong>right")
_OF_METRICS = ("without errors", "with errors", "95 % interval", "changed by")


def _values(result: CellResult, volts: bool) -> tuple[str, ...]:
    """The cells of a row that has a metric's values."""
    at, value, change = result.cell, result.value, result.change
    first = ("–" if at.volts is None else f"{at.volts:.3f}",) if volts else ()
    if value is None or change is None:
        return (*first, f"{100 * at.rate:.3g} %", "0", f"{result.clean:.4g}", "–", "–", "–")
    spread = "" if value.std is None else f" ± {value.std:.2g}"
    interval = "–" if value.ci95 is None else f"{value.ci95[0]:.4g} to {value.ci95[1]:.4g}"
    changed = f"{change.mean:+.3g}" if change.ci95 is None else f"{change.ci95[0]:+.3g} to {change.ci95[1]:+.3g}"
    return (
        *first, f"{100 * at.rate:.3g} %", f"{result.chips:,}", f"{result.clean:.4g}", f"{value.mean:.4g}{spread}",
        interval, changed,
    )  # fmt: skip


def _plain_values(r: CellResult) -> tuple[object, ...]:
    none = Spread(float("nan"))
    value, change = r.value or none, r.change or none
    return (
        r.chips, r.images, r.clean, None if r.value is None else value.mean, value.std, *(value.ci95 or (None, None)),
        None if r.change is None else change.mean, *(change.ci95 or (None, None)), r.faulty_cells, r.flipped_bits,
    )  # fmt: skip


def _figures(result: CellResult, volts: bool) -> tuple[str, ...]:
    at, first = result.cell, ()
    if volts:
        first = ("–" if at.volts is None else f"{at.volts:.3f}",)  # type: ignore[assignment]
    accuracy = result.accuracy
    if accuracy is None:
        return (*first, f"{100 * at.rate:.3g} %", "0", *("–",) * 6)
    shares = (result.changed, result.right_to_wrong, result.wrong_to_right)
    return (
        *first, f"{100 * at.rate:.3g} %", f"{result.chips:,}", accuracy.percent(), accuracy.interval(),
        "–" if accuracy.worst is None else f"{100 * accuracy.worst:.1f}",
        *("–" if share is None else f"{100 * share.mean:.1f}" for share in shares),
    )  # fmt: skip


def _plain(r: CellResult) -> tuple[object, ...]:
    spread = r.accuracy or Spread(float("nan"))
    low, high = spread.ci95 or (None, None)
    means = [None if s is None else s.mean for s in (r.top5, r.changed, r.right_to_wrong, r.wrong_to_right)]
    return (
        r.chips, r.images, r.clean, None if r.accuracy is None else spread.mean, spread.std, low, high, spread.worst,
        *means, r.faulty_cells, r.flipped_bits, r.settled,
    )  # fmt: skip
