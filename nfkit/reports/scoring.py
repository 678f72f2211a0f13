"""The record of a measurement by a metric of the user's own: any figure of a model's outputs, under bit errors."""

from __future__ import annotations

import msgspec

from nfkit.reports.energy import Voltage
from nfkit.reports.evaluation import Faults
from nfkit.reports.figures import Spread
from nfkit.reports.provenance import DataFacts, ModelFacts
from nfkit.reports.rendering import Overview, Readable, Table


class ScoredPoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """The figure at one bit error rate.

    Attributes:
        ber: The rate.
        base: The figure of the base, over chips.
        base_change: What errors changed in it, chip by chip and, where it has one, sample by sample.
        protected: The figure of the protected model; None for a bare base.
        protected_change: What errors and generator changed against the base without errors.
        voltage: The voltage that the rate stands for; None where the curve knows none.
    """

    ber: float
    base: Spread
    base_change: Spread
    protected: Spread | None = None
    protected_change: Spread | None = None
    voltage: Voltage | None = None


class Scored(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.score/1"):
    """Any figure of a model's outputs under bit errors.

    Attributes:
        metric: The function that makes it of outputs and targets.
        targets: What outputs were compared with: `data`, or `base` for the outputs of the base without errors.
        by_sample: Whether it has a value for every sample, so that intervals are over chips and samples; else they are
            over chips alone.
        clean_base: The figure of the base without errors.
        clean_protected: That of the protected model; None for a bare base.
        points: What errors make of it.
        chips: Seeds of the chips.
        faults: What the errors are.
        level: Optimisation level of ONNX Runtime.
        model: Which model it was.
        data: Which samples.
        versions: Versions that numbers depend on.
        command: The command line behind the record, if there was one.
    """

    metric: str
    targets: str
    by_sample: bool
    clean_base: float
    clean_protected: float | None
    points: tuple[ScoredPoint, ...]
    chips: tuple[int, ...]
    faults: Faults
    level: str
    model: ModelFacts
    data: DataFacts
    versions: dict[str, str]
    command: str | None = None

    def overview(self) -> Overview:
        """One row a rate."""
        protected = self.clean_protected is not None
        clean = f"without errors: base {self.clean_base:.4g}"
        clean += f", protected {self.clean_protected:.4g}" if protected else ""
        over = "chips and samples" if self.by_sample else "chips"
        chips = f"{len(self.chips)} chip{'s' * (len(self.chips) > 1)}"
        title = (
            f"{self.metric} of {self.data.n} samples of {self.data.name}, mean ± standard deviation over "
            f"{chips}; {self.faults.kind} faults, layout {self.faults.layout}\n{clean}"
        )
        rows = []
        for point in self.points:
            volts = "–" if point.voltage is None else f"{point.voltage.volts_over_vmin:.3f}"
            cells = [f"{100 * point.ber:.3g} %", volts, _figure(point.base), _interval(point.base_change)]
            if protected and point.protected is not None and point.protected_change is not None:
                cells += [_figure(point.protected), _interval(point.protected_change)]
            rows.append(tuple(cells))
        columns = ["bit error rate", "V/Vmin", "base", "changed by"]
        columns += ["protected", "changed by"] if protected else []
        notes = [f"changed by: 95 % interval of the mean change against the base without errors, over {over}"]
        if self.targets == "base":
            notes.append("there are no targets: outputs are compared with those of the base without errors")
        return Overview("", title, Table(tuple(columns), tuple(rows)), tuple(notes))

    def table(self) -> Table:
        """One row a rate, unrounded."""
        parts = ("", "_std", "_low", "_high")
        names = ("ber", *(f"{which}{part}" for which in ("base", "protected") for part in parts))
        none = Spread(float("nan"))
        rows = [(point.ber, *_numbers(point.base), *_numbers(point.protected or none)) for point in self.points]
        return Table(names, tuple(rows))


def _numbers(spread: Spread) -> tuple[float | None, ...]:
    return (spread.mean, spread.std, *(spread.ci95 or (None, None)))


def _figure(spread: Spread) -> str:
    return f"{spread.mean:.4g}" if spread.std is None else f"{spread.mean:.4g} ± {spread.std:.2g}"


def _interval(spread: Spread) -> str:
    return f"{spread.mean:+.3g}" if spread.ci95 is None else f"{spread.ci95[0]:+.3g} to {spread.ci95[1]:+.3g}"
