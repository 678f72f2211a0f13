"""The record of a page that was written."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nfkit.reports.provenance import Provenance
from nfkit.reports.rendering import Overview, Readable, Table


class Voltages(msgspec.Struct, frozen=True):
    """Places on a page's slider.

    Attributes:
        count: How many.
        rates: Lowest and highest bit error rate.
        curve: Name of the voltage curve.
    """

    count: int
    rates: tuple[float, float]
    curve: str


class Page(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.page/1"):
    """A page that was written.

    Attributes:
        output: The file.
        bytes: Its size.
        models: What it runs: base, and protected where there is a generator.
        sites: Weight memories whose cells it draws.
        cells: Cells of these.
        samples: Images in it.
        chip: Seed of the chip that it begins with.
        voltages: Places on its slider.
        runtime: Version of onnxruntime-web.
        provenance: Of model and samples.
        modes: Names of the protected model's modes, between which the page chooses.
        warnings: What is doubtful about the samples.
        command: The command that made it, if one did.
    """

    output: str
    bytes: int
    models: tuple[str, ...]
    sites: int
    cells: int
    samples: int
    chip: int
    voltages: Voltages
    runtime: str
    provenance: Provenance
    modes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    command: str | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.output)

    def overview(self) -> Overview:
        """See `nfkit.reports.rendering.Readable`."""
        return Overview(
            f"{self.output}: {self.bytes / 1e6:.1f} MB, {self.samples} samples; open it in any browser",
            f"it draws chips as the library does: {self.cells:,} cells in {self.sites} weight memories"
            + (f"; modes to choose from: {', '.join(self.modes)}" if self.modes else ""),
            self._shown(),
            self.warnings,
        )

    def _shown(self) -> Table:
        (runs, chip, count, low, high, curve), *_ = self.table().rows
        row = (runs, chip, count, f"{100 * low:.3g} to {100 * high:.3g} %", curve)
        return Table(("runs", "first chip", "voltages", "bit error rates", "curve"), (row,))

    def table(self) -> Table:
        """See `nfkit.reports.rendering.Readable`."""
        low, high = self.voltages.rates
        row = (" and ".join(self.models), self.chip, self.voltages.count, low, high, self.voltages.curve)
        return Table(("runs", "first chip", "voltages", "lowest rate", "highest rate", "curve"), (row,))
