"""The record of an evaluation at several precisions of one base."""

from __future__ import annotations

from typing import Any

import msgspec

from nfkit.reports.evaluation import Clean, Faults, said_of
from nfkit.reports.operating_point import Point
from nfkit.reports.provenance import DataFacts, ModelFacts
from nfkit.reports.rendering import Overview, Readable, Table


class AtBits(msgspec.Struct, frozen=True):
    """What was measured with weights of so many bits.

    Attributes:
        bits: Bits of a weight of the base.
        clean: Accuracies without errors.
        points: The operating points.
    """

    bits: int
    clean: Clean
    points: tuple[Point, ...]


class PrecisionSweep(
    Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.evaluate-bits/2"
):
    """Accuracy under bit errors, for bits x rates x chips.

    Attributes:
        model: The model as it is stored.
        data: The samples.
        faults: The errors.
        level: Optimisation level of ONNX Runtime.
        sweep: One entry a precision, in the order given.
        coverage: How much of the model's weights the faults reach; None in old records.
        warnings: What makes the numbers doubtful, one sentence each.
        versions: Versions of the software.
        command: The command line behind the record, if there was one.
    """

    model: ModelFacts
    data: DataFacts
    faults: Faults
    level: str
    sweep: tuple[AtBits, ...]
    coverage: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    command: str | None = None

    def overview(self) -> Overview:
        """One table of bits x rates, in the paper's terms."""
        protected = self.sweep[0].clean.protected is not None
        names = ("CA", "CA (NF)", "PA", "PA (NF)", "RP") if protected else ("CA", "PA")
        rows = [
            (str(entry.bits), f"{100 * point.ber:g} %", *(_figures(entry.clean, point)[name] for name in names))
            for entry in self.sweep
            for point in entry.points
        ]
        chips = len(self.sweep[0].points[0].rows)
        title = (
            f"{self.faults.kind} faults, layout {self.faults.layout}, {chips} chips, {self.data.n} samples of "
            f"{self.data.name}; {self.data.measure} in %, mean ± standard deviation over chips; clean (CA) and "
            "perturbed (PA) accuracy, with the generator (NF), recovered (RP)"
        )
        notes = (*said_of(self.coverage), *(f"warning: {entry}" for entry in self.warnings))
        return Overview("", title, Table(("bits", "bit error rate", *names), tuple(rows)), notes)

    def table(self) -> Table:
        """One row for bits, rate and chip."""
        names = ("ber", "chip", "faulty_cells", "flipped_bits", "base", "protected")
        rows = [
            (entry.bits, *(getattr(row, name) for name in names))
            for entry in self.sweep
            for point in entry.points
            for row in point.rows
        ]
        return Table(("bits", *names), tuple(rows))


def _figures(clean: Clean, point: Point) -> dict[str, str]:
    figures = {"CA": f"{100 * clean.base.accuracy:.1f}", "PA": point.base.percent()}
    if clean.protected is not None and point.protected is not None and point.recovery is not None:
        figures["CA (NF)"] = f"{100 * clean.protected.accuracy:.1f}"
        figures["PA (NF)"] = point.protected.percent()
        figures["RP"] = point.recovery.percent(signed=True)
    return figures
