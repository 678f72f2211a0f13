"""The records of commands that write a model and measure nothing on it: inject, fold, split, tune."""

from __future__ import annotations

from typing import Any

import msgspec

from nfkit.reports.energy import CurveFacts
from nfkit.reports.rendering import Overview, Readable, Table


class ChipVoltage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """By what the errors of a chip were looked up.

    Attributes:
        curve: The voltage curve.
        flips: Share of the exposed bits that the errors flip.
        volts_over_vmin: Supply voltage over Vmin; like what follows, absent where the curve does not reach.
        bit_error_rate: The curve's own rate there.
        energy_per_access: Energy of an access over that at Vmin.
        extrapolated: Whether this lies beyond the points of the curve.
    """

    curve: CurveFacts
    flips: float
    volts_over_vmin: float | None = None
    bit_error_rate: float | None = None
    energy_per_access: float | None = None
    extrapolated: bool | None = None


class Injection(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.inject/1"):
    """A file with the faults of one chip in it, or one that they were taken out of.

    Attributes:
        output: The file.
        equal: Of a file without faults again: what it has in common with the one before; None where faults were put in.
        ber: Bit error rate a cell; like what follows, of faults that were put in.
        chip: Seed of the chip.
        kind: What a faulty cell does.
        set_share: Share of the errors that write a 1.
        protected_bits: Bit positions that do not err.
        protected_sites: Patterns of sites that do not err.
        protected_top: How many top bits of every site do not err.
        storage: Which word of bits stands for which code.
        ecc: Error correction.
        faulty_cells: Cells that err.
        flipped_bits: Bits that are read otherwise than they were stored.
        voltage: By what it was looked up.
        coverage: How much of the model's weights the faults reach.
        odd_scales: Scales that are no numbers, one sentence each.
        inexact_codes: Codes that have no word in the storage code, where there are any.
        command: The command line behind the record, if there was one.
    """

    output: str
    equal: str | None = None
    ber: float | None = None
    chip: int | None = None
    kind: str | None = None
    set_share: float | None = None
    protected_bits: tuple[int, ...] | None = None
    protected_sites: tuple[str, ...] | None = None
    protected_top: int = 0
    storage: str = "as-stored"
    ecc: str = "none"
    faulty_cells: int | None = None
    flipped_bits: int | None = None
    voltage: ChipVoltage | None = None
    coverage: dict[str, Any] | None = None
    odd_scales: tuple[str, ...] | None = None
    inexact_codes: int | None = None
    command: str | None = None

    def overview(self) -> Overview:
        """What was written, and how much of the model it reaches."""
        if self.ber is None:
            return Overview(self.output, f"faults removed; {self.equal}", self.table())
        title = f"chip {self.chip} at {100 * self.ber:.3g} %, {self.kind} faults"
        notes = () if self.coverage is None else (str(self.coverage["sentence"]),)
        return Overview(self.output, title, self.table(), (*notes, *(self.odd_scales or ())))

    def table(self) -> Table:
        """One row for the chip."""
        row = (self.chip, self.ber, self.faulty_cells, self.flipped_bits)
        return Table(("chip", "ber", "faulty_cells", "flipped_bits"), () if self.ber is None else (row,))


class Fold(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.fold/1"):
    """A file that stores as integers what its graph had quantised.

    Attributes:
        output: The file.
        sites: Names of its weight sites.
        command: The command line behind the record, if there was one.
    """

    output: str
    sites: tuple[str, ...]
    command: str | None = None

    def overview(self) -> Overview:
        """The sites."""
        return Overview(self.output, f"{len(self.sites)} weight sites", self.table())

    def table(self) -> Table:
        """One row a site."""
        return Table(("site",), tuple((name,) for name in self.sites))


class Part(msgspec.Struct, frozen=True):
    """A part of a protected model.

    Attributes:
        path: Where it was written; None where it was not.
        graph_sha256: Digest of it as nfkit serialises it.
    """

    path: str | None
    graph_sha256: str


class BasePart(Part, frozen=True):
    """The base of a protected model.

    Attributes:
        equal: What its file has in common with the one that was protected; None where none was written.
    """

    equal: str | None


class Split(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.split/1"):
    """A protected model taken apart.

    Attributes:
        base: The frozen base.
        generator: The generator.
        answer: The answer stage; None where the base answers.
        command: The command line behind the record, if there was one.
    """

    base: BasePart
    generator: Part
    answer: Part | None
    command: str | None = None

    def overview(self) -> Overview:
        """The parts."""
        return Overview("", f"the base is what was protected (graph {self.base.graph_sha256[:16]})", self.table())

    def table(self) -> Table:
        """One row a part."""
        parts = {"base": self.base, "generator": self.generator, "answer": self.answer}
        rows = [(name, part.path, part.graph_sha256) for name, part in parts.items() if part is not None]
        return Table(("part", "path", "graph_sha256"), tuple(rows))


class Ends(msgspec.Struct, frozen=True):
    """A number before and after.

    Attributes:
        before: What it was; None where there was none.
        after: What it is.
    """

    before: float | None
    after: float | None


class Switch(msgspec.Struct, frozen=True):
    """A mode before and after.

    Attributes:
        before: Name of the mode that was.
        after: Name of the mode that is.
    """

    before: str
    after: str


class WrittenFile(msgspec.Struct, frozen=True):
    """A file that was written.

    Attributes:
        path: The file.
        sha256: Its digest.
    """

    path: str
    sha256: str


class Tune(
    Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.tune/1",
    rename={"source": "from"},
):  # fmt: skip
    """A protected model with another balance between generator and base.

    Attributes:
        source: The file that it was made from; `from` in the record.
        output: The file.
        caution: How fast a hint's patterns fade; like what follows, only where it was changed.
        sharpness: Factor on the base's scores.
        doubt: Doubt in the base.
        weight: Weight of the generator's evidence.
        temperature: Of the evidence.
        threshold: Probability from which on the base is spared.
        mode: Which of the file's modes it works in.
        command: The command line behind the record, if there was one.
    """

    source: str
    output: WrittenFile
    caution: Ends | None = None
    sharpness: Ends | None = None
    doubt: Ends | None = None
    weight: Ends | None = None
    temperature: Ends | None = None
    threshold: Ends | None = None
    mode: Switch | None = None
    command: str | None = None

    def overview(self) -> Overview:
        """What was moved."""
        return Overview(self.output.path, "nothing was trained, measure it", self.table())

    def table(self) -> Table:
        """One row a number."""
        names = ("caution", "sharpness", "doubt", "weight", "temperature", "threshold")
        moved = {name: getattr(self, name) for name in names}
        rows = [(name, ends.before, ends.after) for name, ends in moved.items() if ends is not None]
        return Table(("number", "before", "after"), tuple(rows))
