"""The record of measured fault maps: how many cells fail at each voltage, and how they crowd."""

from __future__ import annotations

import msgspec

from nfkit.reports.rendering import Overview, Readable, Table


class MapStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """The cells that are faulty at a voltage, those of higher ones included.

    Attributes:
        volts: Supply voltage in V.
        faulty_cells: How many.
        ber: Bit error rate, faulty cells over all.
        ones: Share of them that are read as 1.
        by_block: Faulty cells of a block, on average; None where the memory has less than two.
        dispersion: Variance of that over blocks, over the mean; about 1 where errors are independent.
        clean_blocks: Share of the blocks without any.
        shape: Shape of `cluster:BLOCK:SHAPE` that crowds errors as much; None where they do not crowd.
    """

    volts: float
    faulty_cells: int
    ber: float
    ones: float | None = None
    by_block: float | None = None
    dispersion: float | None = None
    clean_blocks: float | None = None
    shape: float | None = None


class Maps(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.maps/1"):
    """Measured fault maps of one memory.

    Attributes:
        folder: Where they are.
        digest: What tells them from others, as records of their measurements state it.
        rows: Rows of the memory.
        columns: Cells of a row.
        block: Cells of a block.
        steps: By falling voltage.
        layout: What asks for such errors by name, from the lowest voltage at which they crowd; None where they do not.
        versions: Versions of the software.
        command: The command, if one made it.
    """

    folder: str
    digest: str
    rows: int
    columns: int
    block: int
    steps: tuple[MapStep, ...]
    layout: str | None = None
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    command: str | None = None

    def overview(self) -> Overview:
        """One row a voltage."""
        lowest = self.steps[-1]
        first = (
            f"{lowest.faulty_cells:,} of {self.rows * self.columns:,} cells fail at {lowest.volts:g} V, "
            f"{100 * lowest.ber:.3g} %"
        )
        if self.layout is None:
            first += "; they crowd no more than by chance" if lowest.dispersion is not None else ""
        else:
            first += f", {lowest.dispersion:.3g} times as unevenly as by chance" if (lowest.dispersion or 0) > 1 else ""
        title = f"{self.folder}: {self.rows:,} rows of {self.columns:,} cells; blocks of {self.block:,} cells"
        columns = ("V", "faulty cells", "BER", "read as 1", "a block", "variance/mean", "clean blocks", "shape")
        notes = [f"the cells themselves: --memory-layout measured:{self.folder}"]
        if self.layout is not None:
            notes.append(f"other chips that crowd as much: --memory-layout {self.layout}")
        return Overview(first, title, Table(columns, tuple(map(_line, self.steps))), tuple(notes))

    def table(self) -> Table:
        """One row a voltage, unrounded."""
        names = MapStep.__struct_fields__
        return Table(names, tuple(msgspec.structs.astuple(step) for step in self.steps))


def _line(step: MapStep) -> tuple[str, ...]:
    return (
        f"{step.volts:g}", f"{step.faulty_cells:,}", f"{100 * step.ber:.3g} %", _percent(step.ones),
        _number(step.by_block), _number(step.dispersion), _percent(step.clean_blocks), _number(step.shape),
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"
