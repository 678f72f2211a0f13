"""Accuracy under bit errors: rates x chips, of the base and of the protected model, in ONNX Runtime.

What a measurement is, and nothing that follows from it: voltage, energy and verdict are made of it in `nfkit.plans`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.data import Dataset
from nfkit.errors import OptionError
from nfkit.faults import EVALUATION_CHIPS, TRAINING_CHIPS, VALIDATION_CHIPS, BitErrors, Layout
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.bench import Basis, Bench, Correct, RowCallback, check_strengths
from nfkit.measure.flips import flips_per_error
from nfkit.measure.journal import Journal
from nfkit.measure.statistics import accuracy_spread, chip_spread, difference_spread, share
from nfkit.reports.evaluation import Clean, Faults
from nfkit.reports.figures import unpack
from nfkit.reports.operating_point import Point, Row

__all__ = ["Measurement", "Row", "evaluate", "measure"]


@dataclass(frozen=True, eq=False)
class Measurement:
    """What was measured, sample by sample.

    Attributes:
        base: Which samples the base gets right without errors.
        protected: The same of the protected model; None for a bare base.
        generator: The same of the generator's own class evidence, without the base; None where it yields none. The
            generator runs at nominal voltage, so no bit error rate changes it.
        errors: The bit errors of each operating point.
        rows: One entry for every operating point and chip, point by point.
        faults: What the errors are.
        level: Optimisation level of ONNX Runtime.
        basis: What the base's accuracies depend on.
    """

    base: Correct
    protected: Correct | None
    generator: Correct | None
    errors: tuple[BitErrors, ...]
    rows: tuple[Row, ...]
    faults: Faults
    level: Level
    basis: Basis

    @property
    def clean_base(self) -> float:
        """Accuracy of the base without errors (CA)."""
        return float(self.base.mean())

    @property
    def clean_protected(self) -> float | None:
        """Accuracy of the protected model without errors (CA (NF)); None for a bare base."""
        return None if self.protected is None else float(self.protected.mean())

    @property
    def alone(self) -> float | None:
        """Accuracy of the generator by itself; None where it tells no classes."""
        return None if self.generator is None else float(self.generator.mean())

    @property
    def clean(self) -> Clean:
        """The accuracies without errors, for a record."""
        return Clean(
            base=share(self.base),
            protected=None if self.protected is None else share(self.protected),
            generator_alone=None if self.generator is None else share(self.generator),
            alone_by=None if self.generator is None else "evidence",
        )

    def rows_at(self, index: int) -> tuple[Row, ...]:
        """The rows of one operating point."""
        chips = len(self.rows) // len(self.errors)
        return self.rows[index * chips : (index + 1) * chips]

    def points(self) -> tuple[Point, ...]:
        """The operating points: base (PA), protected (PA (NF)), and their paired difference (RP)."""
        return tuple(_point(entry, self.rows_at(i), len(self.base)) for i, entry in enumerate(self.errors))


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
    known: Measurement | None = None,
    on_row: RowCallback | None = None,
) -> Measurement:
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
        OptionError: When a chip is one that generators are trained or chosen on, something is counted twice, there is
            nothing to measure, or `known` was measured on another basis.
        DataError: When the data does not fit the model.
        ModelError: When the model holds no integer weights, or ONNX Runtime fails.
    """
    errors = list(errors)
    check_strengths(errors, chips)
    bench = Bench(model, data, spec, layout=layout, fault_generator=fault_generator, level=level)
    return measure(bench, errors, chips, known=known, on_row=on_row)


def measure(
    bench: Bench,
    errors: Sequence[BitErrors],
    chips: Sequence[int],
    *,
    known: Measurement | None = None,
    journal: Journal | None = None,
    on_row: RowCallback | None = None,
) -> Measurement:
    """Measures what is on the bench; arguments and errors are those of `evaluate`.

    Args:
        bench: A model with its samples.
        errors: Bit errors of one kind, at the rates to measure.
        chips: Seeds of the chips.
        known: A measurement on the same basis, whose base accuracies need not be measured again.
        journal: Where finished rows are kept, so that a run that is killed goes on from there.
        on_row: Called with each finished row.
    """
    check_strengths(errors, chips)
    check_chips(chips, bench.fused)
    errors[0].check_sites(bench.site_names)
    basis = bench.basis(errors[0])
    rows: list[Row] = []
    settings = [(entry, chip) for entry in errors for chip in chips]
    kept = {
        (e.rate, c): row for e, c in settings if journal is not None and (row := journal.find(e.rate, c, bench.fused))
    }
    missing = [setting for setting in settings if (setting[0].rate, setting[1]) not in kept]
    fresh = iter(bench.run(missing, known=_base_rows(known, basis) if known else None))
    for strength, chip in settings:
        row = kept.get((strength.rate, chip))
        if row is None:
            row = next(fresh)
            if journal is not None:
                journal.add(row)
        rows.append(row)
        if on_row:
            on_row(row)
    flips = flips_per_error(bench.base, bench.sites, errors[0])
    faults = fault_facts(errors[0], bench.layout, generator_faulted=bench.generator_faulted, flips=flips)
    return Measurement(
        bench.clean_base, bench.clean_protected, bench.alone, tuple(errors), tuple(rows), faults, bench.level, basis
    )


def fault_facts(
    errors: BitErrors, layout: Layout, *, generator_faulted: bool = False, flips: float | None = None
) -> Faults:
    """What errors are, whatever their rate, for a record.

    Args:
        errors: The errors.
        layout: How cells hold weights.
        generator_faulted: Whether errors hit the generator's weights as well.
        flips: Stored bits that an error flips on average; None where it was not counted.
    """
    return Faults(
        kind=errors.kind,
        set_share=errors.set_share,
        protected_bits=tuple(errors.protected_bits),
        protected_sites=tuple(errors.protected_sites),
        layout=str(layout),
        generator_faulted=generator_faulted,
        protected_top=errors.protected_top,
        storage=errors.storage,
        ecc=errors.ecc,
        flips_per_error=flips,
        top_rates=tuple(errors.top_rates),
    )


def check_chips(chips: Sequence[int], protected: bool) -> None:
    """Refuses to judge a generator by chips that it was trained or chosen on.

    Raises:
        OptionError: When there are such chips.
    """
    if not protected:
        return
    for seeds, used in ((TRAINING_CHIPS, "trained"), (VALIDATION_CHIPS, "chosen")):
        if overlap := [chip for chip in chips if chip in seeds]:
            raise OptionError(
                f"chips {min(overlap)} to {max(overlap)} are among those that generators are {used} on (from "
                f"{seeds[0]} on): choose seeds from {EVALUATION_CHIPS[0]} to {EVALUATION_CHIPS[-1]}"
            )


def correct_matrix(packed: Sequence[bytes | None], images: int) -> npt.NDArray[np.bool_] | None:
    """Packed answers of several chips as a matrix [chips, images]; None where some were not kept."""
    if any(entry is None for entry in packed):
        return None
    return np.stack([unpack(entry, images) for entry in packed if entry is not None])


def _point(errors: BitErrors, rows: tuple[Row, ...], images: int) -> Point:
    base = correct_matrix([row.base_correct for row in rows], images)
    spread = chip_spread([row.base for row in rows]) if base is None else accuracy_spread(base)
    pair = correct_matrix([row.protected_correct for row in rows], images)
    if pair is None:
        return Point(errors.rate, spread, rows)
    recovery = chip_spread([(row.protected or 0.0) - row.base for row in rows])
    if base is not None:
        recovery = difference_spread(pair, base)
    return Point(errors.rate, spread, rows, accuracy_spread(pair), recovery)


def _base_rows(known: Measurement, basis: Basis) -> dict[tuple[float, int], Row]:
    """A known base's rows by bit error rate and chip, which hold on the same basis alone."""
    if differing := known.basis.differences(basis):
        raise OptionError(
            f"the known measurement is of another {', '.join(differing)}, so its base accuracies do not hold here: "
            "give one that is of the same, or none"
        )
    return {(row.ber, row.chip): row for row in known.rows}
