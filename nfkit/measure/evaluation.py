"""Accuracy under bit errors: rates x chips, of the base and of the protected model, in ONNX Runtime.

Every chip is a model of its own: the same file, with the codes that this chip returns in place of those it stores.
They are written into the model before ONNX Runtime sees it: initializers that are overridden in a session come too late
for some of its optimisations, which would then compute with the faultless codes.
Errors hit the base's weights only, since the generator runs at nominal voltage; `fault_generator` is the stress case
in which it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner, accuracy
from nfkit.data import Dataset
from nfkit.errors import OptionError
from nfkit.faults import EVALUATION_CHIPS, TRAINING_CHIPS, BitErrors, Chip, Iid, Layout
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import evidence_model, split
from nfkit.graph.injection.inject import with_codes
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import WeightSite, codes, fault_sites
from nfkit.measure.statistics import Spread
from nfkit.model import sha256
from nfkit.parallel import cores

Codes = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Row:
    """One chip at one bit error rate; accuracies are shares of the samples."""

    ber: float
    chip: int
    faulty_cells: int
    flipped_bits: int
    base: float
    protected: float | None

    def to_dict(self) -> dict[str, Any]:
        """The row for a record."""
        return {k: v for k, v in vars(self).items() if v is not None}


@dataclass(frozen=True)
class Basis:
    """What a base's accuracies depend on, besides bit error rate and chip.

    Attributes:
        base: Digest of the base's graph.
        data: Digest of the samples.
        input: The base's input.
        errors: Kind of the bit errors, at no rate.
        layout: How the chips hold the weights.
        level: Optimisation level of ONNX Runtime.
    """

    base: str
    data: str
    input: InputSpec
    errors: BitErrors
    layout: Layout
    level: Level

    def differences(self, other: Basis) -> list[str]:
        """Names of the attributes in which the two differ."""
        return [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured.

    Attributes:
        clean_base: Accuracy of the base without errors (CA).
        clean_protected: Accuracy of the protected model without errors (CA (NF)); None for a bare base.
        alone: Accuracy of the generator's own class evidence, without the base; None where it yields none. The
            generator runs at nominal voltage, so no bit error rate changes it.
        rows: One entry for every rate and chip.
        settings: What the numbers depend on, for records.
        basis: What the base's accuracies depend on; None where they were not measured by `evaluate`.
    """

    clean_base: float
    clean_protected: float | None
    rows: tuple[Row, ...]
    settings: dict[str, Any]
    alone: float | None = None
    basis: Basis | None = None

    def summary(self) -> list[dict[str, Any]]:
        """Spread over chips at each rate: base (PA), protected (PA (NF)), and their paired difference (RP)."""
        entries = []
        for ber in dict.fromkeys(row.ber for row in self.rows):
            rows = [row for row in self.rows if row.ber == ber]
            entry: dict[str, Any] = {"ber": ber, "base": Spread.of([r.base for r in rows], 0.0, 1.0)}
            pairs = [(r.base, r.protected) for r in rows if r.protected is not None]
            if pairs:
                entry["protected"] = Spread.of([p for _, p in pairs], 0.0, 1.0)
                entry["recovery"] = Spread.of([p - b for b, p in pairs], -1.0, 1.0)
            entries.append(entry)
        return entries

    def to_dict(self) -> dict[str, Any]:
        """The record `nfkit.evaluate/1`."""
        clean = {"base": self.clean_base}
        if self.clean_protected is not None:
            clean["protected"] = self.clean_protected
        if self.alone is not None:
            clean["generator_alone"] = self.alone
        return {
            "schema": "nfkit.evaluate/1",
            **self.settings,
            "clean": clean,
            "rows": [row.to_dict() for row in self.rows],
            "summary": [
                {k: v.to_dict() if isinstance(v, Spread) else v for k, v in entry.items()} for entry in self.summary()
            ],
        }


def evaluate(
    model: ir.Model,
    data: Dataset,
    spec: InputSpec,
    errors: Iterable[BitErrors],
    *,
    chips: Sequence[int] = EVALUATION_CHIPS[:10],
    layout: Layout | None = None,
    fault_generator: bool = False,
    level: Level = "all",
    known: Evaluation | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> Evaluation:
    """Measures accuracy with and without bit errors.

    Args:
        model: A frozen base, or a fused model; not changed.
        data: Labelled samples.
        spec: The model's input.
        errors: Bit errors of one kind, at the rates to measure.
        chips: Seeds of the chips.
        layout: How the chips hold the weights; `iid` by default.
        fault_generator: Whether errors hit the generator's weights as well.
        level: Optimisation level of ONNX Runtime.
        known: A measurement on the same basis, whose base accuracies need not be measured again.
        on_row: Called with each finished row.

    Raises:
        OptionError: When a chip is one that generators are trained on, there is nothing to measure, or `known` was
            measured on another basis.
        DataError: When the data does not fit the model.
        ModelError: When the model holds no integer weights, or ONNX Runtime fails.
    """
    errors, layout = list(errors), layout or Iid()
    if not errors or not chips:
        raise OptionError("nothing to measure: give at least one bit error rate and one chip")
    refuse_faults(model)
    fused = is_fused(model)
    if fused and any(chip in TRAINING_CHIPS for chip in chips):
        raise OptionError(
            f"chips {min(chips)} to {max(chips)} overlap those that generators are trained on (from "
            f"{TRAINING_CHIPS[0]} on): choose seeds below"
        )
    base = split(model)[1] if fused else model
    # The range's source is for reports; no accuracy depends on it.
    basis = Basis(sha256(base), data.sha256, replace(spec, source=""), errors[0].at(0.0), layout, level)
    measured = _base_accuracies(known, basis) if known else {}
    sites = fault_sites(base)
    stored = {site.name: codes(base, site) for site in sites}
    more = _generator_sites(model) if fused and fault_generator else []
    stored_more = {site.name: codes(model, site) for site in more}

    x, y = spec.encode(data.x), data.y
    clean = Runner(base, level=level)
    data.check_labels(clean.classes(x))
    clean_base = accuracy(clean, x, y)
    clean_protected = accuracy(Runner(model, level=level), x, y) if fused else None
    evidence = evidence_model(model) if fused else None
    alone = accuracy(Runner(evidence, level=level), x, y) if evidence is not None else None

    def measure(setting: tuple[BitErrors, int]) -> Row:
        strength, seed = setting
        chip = Chip(seed, layout)
        read, cells, bits = _read(chip, strength, sites, stored)
        faulty = measured.get((strength.rate, seed))
        if faulty is None:
            faulty = accuracy(Runner(with_codes(base, read), level=level, threads=threads), x, y)
        protected = None
        if fused:
            read_more, _, _ = _read(chip, strength, more, stored_more)
            runner = Runner(with_codes(model, {**read, **read_more}), level=level, threads=threads)
            protected = accuracy(runner, x, y)
        return Row(strength.rate, seed, cells, bits, faulty, protected)

    settings = [(strength, seed) for strength in errors for seed in chips]
    # One chip a core beats many cores a chip: small models do not fill several.
    workers = min(cores(), len(settings))
    threads = max(1, cores() // workers)
    rows = []
    with ThreadPoolExecutor(workers) as pool:
        for row in pool.map(measure, settings):
            rows.append(row)
            if on_row:
                on_row(row)
    faults = {**errors[0].to_dict(), "layout": str(layout), "generator_faulted": bool(more)}
    return Evaluation(clean_base, clean_protected, tuple(rows), {"faults": faults, "level": level}, alone, basis)


def _base_accuracies(known: Evaluation, basis: Basis) -> dict[tuple[float, int], float]:
    """A known base's accuracies by bit error rate and chip, which hold on the same basis alone."""
    if known.basis is None:
        raise OptionError("the known measurement does not say on what it was made: give one of `evaluate`, or none")
    if differing := known.basis.differences(basis):
        raise OptionError(
            f"the known measurement is of another {', '.join(differing)}, so its base accuracies do not hold here: "
            "give one that is of the same, or none"
        )
    return {(row.ber, row.chip): row.base for row in known.rows}


def _generator_sites(model: ir.Model) -> list[WeightSite]:
    return [site for site in fault_sites(model, generator=True) if site.part == "generator"]


def _read(chip: Chip, errors: BitErrors, sites: list[WeightSite], stored: Codes) -> tuple[Codes, int, int]:
    """The codes that a chip returns, its faulty cells, and how many bits flipped."""
    read, cells, bits = {}, 0, 0
    for site in sites:
        faults = chip.faults(site, errors)
        returned = faults.read(stored[site.name])
        read[site.name] = np.ascontiguousarray(returned.codes)
        cells += faults.faulty_cells()
        bits += returned.flipped
    return read, cells, bits
