"""The record of a file with modes: what each of them is, and what it is worth."""

from __future__ import annotations

import msgspec

from nfkit.reports.figures import Spread
from nfkit.reports.provenance import DataFacts
from nfkit.reports.rendering import Overview, Readable, Table


class ModeFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """One mode.

    Attributes:
        name: What it is called.
        ber: Bit error rate that it is meant for; 0 for the nominal mode.
        accuracy: Accuracy at that rate.
        clean: Accuracy without errors.
        volts_over_vmin: Voltage that the rate stands for; None where the curve knows none.
        energy: Energy of the weight memory, the generator's included, over that of the base at Vmin; None unknown.
    """

    name: str
    ber: float
    accuracy: Spread
    clean: float
    volts_over_vmin: float | None = None
    energy: float | None = None


class Modes(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.modes/1"):
    """A file with modes.

    Attributes:
        output: The file.
        sha256: Its digest.
        default: The mode where a host names none.
        modes: The modes in order of their number, the nominal one first.
        data: The samples that they were measured on.
        chips: On how many chips.
        curve: The voltage curve.
        versions: Versions that numbers depend on.
        command: The command line behind the record, if there was one.
    """

    output: str
    sha256: str
    default: str
    modes: tuple[ModeFacts, ...]
    data: DataFacts
    chips: int
    curve: str
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    command: str | None = None

    def overview(self) -> Overview:
        """One row a mode."""
        first = f"{self.output}: {len(self.modes)} modes; without a host's choice it is in '{self.default}'"
        title = (
            f"{self.data.measure} in %, mean ± standard deviation over {self.chips} chips, on {self.data.n} samples of "
            f"{self.data.name}; energy of the weight memory over that of the base at Vmin, by {self.curve}"
        )
        rows = tuple(
            (
                str(number),
                mode.name,
                f"{100 * mode.ber:g} %",
                "–" if mode.volts_over_vmin is None else f"{mode.volts_over_vmin:.3f}",
                mode.accuracy.percent(),
                f"{100 * mode.clean:.1f}",
                "–" if mode.energy is None else f"{mode.energy:.3f}",
            )
            for number, mode in enumerate(self.modes)
        )
        columns = ("number", "mode", "bit error rate", "V/Vmin", "accuracy", "without errors", "energy")
        return Overview(first, title, Table(columns, rows))

    def table(self) -> Table:
        """One row a mode, unrounded."""
        names = ("name", "ber", "volts_over_vmin", "clean", "energy")
        rows = tuple((*(getattr(mode, name) for name in names), mode.accuracy.mean) for mode in self.modes)
        return Table((*names, "accuracy"), rows)
