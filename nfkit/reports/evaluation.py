"""The record of an evaluation: accuracy under bit errors at one or more operating points, and what follows from it.

An operating point is one entry of `points`: its rate, the voltage that the rate stands for, what is saved there, and
what every chip did. Nothing is joined by comparing rates. The record is whole when it is made; what reads it adds
nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nfkit.reports.energy import CurveFacts, EnergyFacts, MemoryFacts
from nfkit.reports.figures import Share
from nfkit.reports.operating_point import Point, Row
from nfkit.reports.provenance import DataFacts, ModelFacts
from nfkit.reports.rendering import Overview, Readable, Table
from nfkit.reports.verdict import Verdict


class Clean(msgspec.Struct, frozen=True, omit_defaults=True):
    """Accuracies without errors.

    Attributes:
        base: The base (CA).
        protected: The protected model (CA (NF)); None for a bare base.
        generator_alone: The generator by itself, which no rate changes; None where it tells no classes.
        alone_by: What tells the generator's classes: its own `evidence`, a linear `probe`, or what the `file` states.
    """

    base: Share
    protected: Share | None = None
    generator_alone: Share | None = None
    alone_by: str | None = None


class Faults(msgspec.Struct, frozen=True):
    """What the errors are, at whatever rate.

    Attributes:
        kind: What a faulty cell does.
        set_share: Share of the errors that write a 1.
        protected_bits: Bit positions that never err.
        protected_sites: Patterns of weight sites that never err.
        layout: How cells hold weights.
        generator_faulted: Whether errors hit the generator's weights as well.
        protected_top: How many top bits of every site never err.
        storage: How memory holds a code.
        ecc: What corrects errors.
        flips_per_error: Stored bits that an error flips on average; None where the record does not say.
        top_rates: Bit error rates of the top bits of every site, from the top down, over that of all others.
    """

    kind: str
    set_share: float
    protected_bits: tuple[int, ...] = ()
    protected_sites: tuple[str, ...] = ()
    layout: str = "iid"
    generator_faulted: bool = False
    protected_top: int = 0
    storage: str = "as-stored"
    ecc: str = "none"
    flips_per_error: float | None = None
    top_rates: tuple[float, ...] = ()

    @property
    def memory(self) -> str:
        """How the memory differs from a plain one, to go on after its layout; empty where it does not."""
        parts = []
        if self.storage != "as-stored":
            parts.append(f"held in {self.storage}")
        if self.ecc != "none":
            parts.append(f"ECC {self.ecc}")
        if self.protected_top:
            parts.append(f"top {self.protected_top} bit{'s' * (self.protected_top > 1)} robust")
        if self.top_rates:
            parts.append(f"top bits at {', '.join(f'{share:g}' for share in self.top_rates)} of the rate")
        if self.protected_bits:
            parts.append(f"bits {', '.join(map(str, self.protected_bits))} robust")
        if self.protected_sites:
            parts.append(f"sites {', '.join(self.protected_sites)} robust")
        return "".join(f", {part}" for part in parts)


class Evaluation(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.evaluate/2"):
    """Accuracy under bit errors of a base or a protected model.

    Attributes:
        verdict: What to run; None where nothing can be said.
        model: The model.
        data: The samples.
        faults: The errors.
        level: Optimisation level of ONNX Runtime.
        clean: Accuracies without errors.
        points: The operating points, in the order they were given.
        curve: Where voltages come from; None in old records.
        energy: What the protected model costs; None for a bare base, or where it cannot be counted.
        memory: Which cells of the weight memory do not follow the voltage; None where all do.
        coverage: How much of the model's weights the faults reach; None in old records.
        warnings: What makes the numbers doubtful, one sentence each.
        latency: Times by batch size, where they were measured.
        early: Share of the samples that the generator answers alone, so that the base need not run, with its interval;
            None where the base always runs.
        versions: Versions of the software.
        command: The command line behind the record, if there was one.
    """

    verdict: Verdict | None = None
    model: ModelFacts
    data: DataFacts
    faults: Faults
    level: str
    clean: Clean
    points: tuple[Point, ...]
    curve: CurveFacts | None = None
    energy: EnergyFacts | None = None
    memory: MemoryFacts | None = None
    coverage: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    latency: dict[str, Any] | None = None
    early: dict[str, Any] | None = None
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    command: str | None = None

    @property
    def rows(self) -> tuple[Row, ...]:
        """What every chip did, point by point."""
        return tuple(row for point in self.points for row in point.rows)

    @property
    def chips(self) -> tuple[int, ...]:
        """Seeds of the chips of the first point."""
        return tuple(row.chip for row in self.points[0].rows)

    @property
    def clean_base(self) -> float:
        """Accuracy of the base without errors (CA)."""
        return self.clean.base.accuracy

    @property
    def clean_protected(self) -> float | None:
        """Accuracy of the protected model without errors (CA (NF)); None for a bare base."""
        return None if self.clean.protected is None else self.clean.protected.accuracy

    @property
    def alone(self) -> float | None:
        """Accuracy of the generator by itself; None where that is not known."""
        return None if self.clean.generator_alone is None else self.clean.generator_alone.accuracy

    @property
    def is_protected(self) -> bool:
        """Whether a protected model was measured."""
        return self.clean.protected is not None

    def overview(self) -> Overview:
        """Verdict, accuracies at each operating point, and what else a reader needs."""
        return Overview(
            self.verdict.sentence if self.verdict else "", self._title(), self._summary(), tuple(self._notes())
        )

    def table(self) -> Table:
        """One row a chip and operating point."""
        names = ("ber", "chip", "faulty_cells", "flipped_bits", "base", "protected")
        kept = names if self.is_protected else names[:-1]
        columns = (*kept, "volts_over_vmin", "energy_per_access", "saving_by_accesses")
        rows = [
            (
                *(getattr(row, name) for name in kept),
                point.voltage.volts_over_vmin if point.voltage else None,
                point.voltage.energy_per_access if point.voltage else None,
                point.saving.by_accesses if point.saving else None,
            )
            for point in self.points
            for row in point.rows
        ]
        return Table(columns, tuple(rows))

    def _title(self) -> str:
        clean = f"without errors: base {_percent(self.clean.base)}"
        if self.clean.protected is not None:
            clean += f", protected {_percent(self.clean.protected)}"
        if self.clean.generator_alone is not None:
            clean += f"; generator alone {_percent(self.clean.generator_alone)}"
        chips = f"{len(self.chips)} chip{'s' * (len(self.chips) > 1)}"
        return (
            f"{self.faults.kind} faults, layout {self.faults.layout}{self.faults.memory}, {chips}, {self.data.n} "
            f"samples of {self.data.name}; {self.data.measure} in %, mean ± standard deviation over chips\n{clean}"
        )

    def _summary(self) -> Table:
        voltage, saved = any(p.voltage for p in self.points), any(p.saving for p in self.points)
        columns = ["bit error rate", *(["V/Vmin", "energy/access"] if voltage else []), "base"]
        columns += ["protected", "recovered"] if self.is_protected else []
        columns += ["95 % interval", "worst chip", "faulty cells", "flipped bits", *(["energy saved"] if saved else [])]
        rows = [self._line(point, voltage, saved) for point in sorted(self.points, key=lambda p: -p.ber)]
        return Table(tuple(columns), tuple(rows))

    def _line(self, point: Point, voltage: bool, saved: bool) -> tuple[str, ...]:
        figure = point.protected or point.base
        cells = [f"{100 * point.ber:.4g} %"]
        if voltage:
            at = point.voltage
            cells += [f"{at.volts_over_vmin:.3f}", f"{at.energy_per_access:.3f}"] if at else ["–", "–"]
        cells.append(point.base.percent())
        if point.protected is not None and point.recovery is not None:
            cells += [point.protected.percent(), point.recovery.percent(signed=True)]
        cells += [figure.interval(), "–" if figure.worst is None else f"{100 * figure.worst:.1f}"]
        cells += [f"{point.faulty_cells:.0f}", f"{point.flipped_bits:.0f}"]
        if saved:
            cells.append(f"{100 * point.saving.by_accesses:.1f} %" if point.saving else "–")
        return tuple(cells)

    def _times(self) -> list[str]:
        """How long base and protected model take, batch by batch."""
        if not self.latency:
            return []
        threads = next(iter(self.latency.values()))["threads"]
        said = "; ".join(describe_latency(batch, entry) for batch, entry in self.latency.items())
        return [f"latency in ms, mean / median / 95th percentile; runs by turns, threads: {threads}; {said}"]

    def _notes(self) -> list[str]:
        whose = "the protected model" if self.is_protected else "the base"
        over = "chips and images" if self.points[0].rows[0].base_correct is not None else "chips, on these images"
        notes = [f"95 % interval: of the mean accuracy of {whose} over all {over}"]
        if self.curve is not None and any(point.voltage for point in self.points):
            counted = f", whose rate counts {self.curve.rate}" if self.curve.rate else ""
            notes.append(f"voltage and energy by the curve {self.curve.name}{counted}")
            if self.faults.flips_per_error is not None:
                notes.append(
                    f"of {self.faults.kind} errors {100 * self.faults.flips_per_error:.3g} % flip the bit that is "
                    "stored, which is what the voltage is looked up by"
                )
        if self.memory is not None and any(point.voltage for point in self.points):
            notes.append(str(self.memory))
        if self.early is not None:
            share, low, high = (100 * self.early[name] for name in ("share", "low", "high"))
            notes.append(
                f"the generator answers {share:.1f} % of the samples alone ({low:.1f} to {high:.1f}), for which "
                "the base need not run: the energy saved is an expectation at batch 1"
            )
        notes += self._times()
        if self.verdict is not None:
            notes += [f"not compared: {entry}" for entry in self.verdict.unchecked]
        notes += said_of(self.coverage)
        return notes + [f"warning: {entry}" for entry in self.warnings]


def describe_latency(batch: str, entry: dict[str, Any]) -> str:
    """Times at one batch size, of a base and of its protected model."""

    def said(times: dict[str, float]) -> str:
        mean = [times["mean_ms"]] if "mean_ms" in times else []  # which old records lack
        return " / ".join(f"{time:.2f}" for time in (*mean, times["p50_ms"], times["p95_ms"]))

    text = f"batch {batch}: base {said(entry['base'])}"
    if entry.get("protected"):
        ratio = entry.get("mean_ratio") or entry["ratio"]
        text += f", protected {said(entry['protected'])}, {ratio:.2f} of the base"
    return text


def said_of(coverage: dict[str, Any] | None) -> list[str]:
    """What a report says of how much of the weights faults reach; nothing where an old record does not tell."""
    if coverage is None or "sentence" not in coverage:
        return []
    return [f"{'warning: ' if coverage['left_out'] else ''}{coverage['sentence']}"]


def _percent(share: Share) -> str:
    return f"{100 * share.accuracy:.1f}"
