"""The records of `nfkit inspect` and `nfkit energy`, as far as a report shows them; the commands write more."""

from __future__ import annotations

from typing import Any

import msgspec

from nfkit.reports.energy import CurveFacts, Voltage
from nfkit.reports.rendering import Overview, Readable, Table


class StoredSite(msgspec.Struct, frozen=True):
    """A tensor of integers that a model stores.

    Attributes:
        name: Name of the initializer.
        bits: Bits of a code.
        count: How many codes.
        consumers: Nodes that read it.
    """

    name: str
    bits: int
    count: int
    consumers: tuple[str, ...] = ()


class Covered(msgspec.Struct, frozen=True):
    """How much of a model's weights faults reach.

    Attributes:
        sentence: That in words.
        reached: Weights in the tensors that faults hit.
        weights: All that look like weights.
        left_out: The other tensors.
    """

    sentence: str
    reached: int
    weights: int
    left_out: tuple[dict[str, Any], ...] = ()


class Inspected(msgspec.Struct, frozen=True):
    """Which model it was.

    Attributes:
        path: Its file.
        sha256: Digest of the file.
        protected: Whether a generator is in front.
    """

    path: str
    sha256: str
    protected: bool


class Inspection(Readable, frozen=True, kw_only=True, tag_field="schema", tag="nfkit.inspect/1"):
    """What a model stores as integers, and what stands against protecting it.

    Attributes:
        model: The model.
        sites: Weights stored as integers.
        coverage: How much of the weights they are; None in old records.
        odd_scales: What is strange about scales, one sentence each.
        vendor_operators: Why it cannot run anywhere; None where it can.
        unsupported: Operators without a gradient; None where that was not looked at.
        command: The command line behind the record, if there was one.
    """

    model: Inspected
    sites: tuple[StoredSite, ...]
    coverage: Covered | None = None
    odd_scales: tuple[str, ...] = ()
    vendor_operators: str | None = None
    unsupported: tuple[dict[str, Any], ...] | None = None
    command: str | None = None

    def overview(self) -> Overview:
        """One row a site."""
        first = self.vendor_operators and f"the model cannot run as it is: it holds {self.vendor_operators}"
        missing = [f"no gradient: {entry.get('op')} ({entry.get('reason')})" for entry in self.unsupported or ()]
        stored = sum(site.count for site in self.sites)
        return Overview(
            first or (self.coverage.sentence if self.coverage else ""),
            f"{self.model.path}: {len(self.sites)} weight sites, {stored:,} codes",
            Table(
                ("initializer", "bits", "codes", "used by"),
                tuple((s.name, str(s.bits), f"{s.count:,}", ", ".join(s.consumers)) for s in self.sites),
            ),
            (*self.odd_scales, *missing),
        )

    def table(self) -> Table:
        """One row a site."""
        return Table(("name", "bits", "count"), tuple((site.name, site.bits, site.count) for site in self.sites))


class LayerCount(msgspec.Struct, frozen=True):
    """What a layer costs.

    Attributes:
        name: Name of the node.
        op: Its operator.
        weights: Weights in memory.
        macs: Multiply-accumulate operations.
        accesses: Words that are read from the weight memory.
    """

    name: str
    op: str
    weights: int
    macs: int
    accesses: float


class CountedLayers(msgspec.Struct, frozen=True):
    """What an inference costs, layer by layer.

    Attributes:
        weights: Weights in memory.
        macs: Multiply-accumulate operations.
        accesses: Words that are read from the weight memory.
        layers: The layers.
    """

    weights: int
    macs: int
    accesses: float
    layers: tuple[LayerCount, ...] = ()


class GeneratorSaving(msgspec.Struct, frozen=True):
    """What a generator in front would save.

    Attributes:
        generator: Its name.
        overhead: Its accesses over those of the base.
        saving_by_accesses: Share of the weight memory's energy that is saved.
        saving_by_macs: The same with operations in place of accesses.
        verdict: That in words.
    """

    generator: str
    overhead: float
    saving_by_accesses: float
    saving_by_macs: float
    verdict: str


class EnergyCount(Readable, frozen=True, kw_only=True, tag_field="schema", tag="nfkit.energy/1"):
    """What an inference reads, and what a lower voltage saves.

    Attributes:
        base: What the base costs.
        point: The voltage.
        curve: Where it comes from.
        model: Its file.
        preset: Conventions of the counts.
        generators: What generators in front would save.
        command: The command line behind the record, if there was one.
    """

    base: CountedLayers
    point: Voltage
    curve: CurveFacts
    model: str = ""
    preset: str = "true"
    generators: tuple[GeneratorSaving, ...] = ()
    command: str | None = None

    def overview(self) -> Overview:
        """One row a generator."""
        what = f", counting {self.curve.rate}" if self.curve.rate else ""
        at = (
            f"{self.point.volts_over_vmin:.3f} Vmin (bit error rate {100 * self.point.bit_error_rate:.3g} %{what}), by "
            f"the curve {self.curve.name}"
        )
        first = f"at {at}, the voltage alone saves {100 * self.point.saving:.1f} % of the weight memory's energy"
        title = (
            f"{self.model}: {self.base.weights:,} weights, {self.base.macs:,} MACs, {self.base.accesses:,.10g} "
            f"accesses to the weight memory, preset {self.preset}"
        )
        rows = tuple(
            (g.generator, *(f"{100 * v:.1f} %" for v in (g.overhead, g.saving_by_accesses, g.saving_by_macs)))
            for g in self.generators
        )
        verdicts = tuple(g.verdict for g in self.generators) if len(self.generators) == 1 else ()
        return Overview(
            first, title, Table(("generator", "accesses of base", "saved", "saved by MACs"), rows), verdicts
        )

    def table(self) -> Table:
        """One row a layer."""
        names = ("name", "op", "weights", "macs", "accesses")
        return Table(names, tuple(tuple(getattr(layer, name) for name in names) for layer in self.base.layers))
