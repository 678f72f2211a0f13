"""Accuracy under bit errors at several precisions of one base: the weights requantised to b bits, without retraining.

A generator in front keeps its own precision: it is what was trained, only the base loses bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.data import Dataset
from nfkit.errors import OptionError
from nfkit.faults import EVALUATION_CHIPS, BitErrors, Layout
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.coverage import coverage
from nfkit.graph.quantised.requantise import requantise
from nfkit.measure.evaluation import Measurement, Row, evaluate
from nfkit.reports.precision import AtBits, PrecisionSweep
from nfkit.reports.provenance import Provenance


def evaluate_bits(
    model: ir.Model,
    data: Dataset,
    spec: InputSpec,
    errors: Iterable[BitErrors],
    bits: Sequence[int],
    *,
    chips: Sequence[int] = EVALUATION_CHIPS[:10],
    layout: Layout | None = None,
    fault_generator: bool = False,
    level: Level = "all",
    provenance: Provenance | None = None,
    warnings: Sequence[str] = (),
    on_row: Callable[[int, Row], None] | None = None,
) -> PrecisionSweep:
    """Measures accuracy with and without bit errors, for bits x rates x chips.

    Args:
        model: A quantised base, or a fused model; not changed.
        data: Labelled samples.
        spec: The model's input.
        errors: Bit errors of one kind, at the rates to measure.
        bits: Bits of the base's weights; see `requantise`.
        chips: Seeds of the chips.
        layout: How the chips hold the weights; `iid` by default.
        fault_generator: Whether errors hit the generator's weights as well.
        level: Optimisation level of ONNX Runtime.
        provenance: Where model and data come from; told by the model itself by default.
        warnings: What makes the numbers doubtful.
        on_row: Called with each finished row and its bits.

    Raises:
        OptionError: When no bits are given, or more than the weights have, or as `evaluate`.
        UnsupportedError: When weights cannot be requantised.
        DataError: As `evaluate`.
        ModelError: As `evaluate`.
    """
    if not bits:
        raise OptionError("nothing to measure: give the bits of a weight at least once")
    errors, bits = list(errors), tuple(dict.fromkeys(bits))
    # All of them before the first is measured: what is refused is refused at once.
    models = {b: requantise(model, b) for b in bits}
    measured: dict[int, Measurement] = {}
    for b, requantised in models.items():

        def report(row: Row, b: int = b) -> None:
            if on_row:
                on_row(b, row)

        measured[b] = evaluate(
            requantised, data, spec, errors,
            chips=chips, layout=layout, fault_generator=fault_generator, level=level, on_row=report,
        )  # fmt: skip
    known = provenance or Provenance.of(model, model, data)
    return PrecisionSweep(
        model=known.model,
        data=known.data,
        versions=known.versions,
        coverage=coverage(model).to_dict(),
        faults=measured[bits[0]].faults,
        level=level,
        sweep=tuple(AtBits(b, entry.clean, entry.points()) for b, entry in measured.items()),
        warnings=tuple(warnings),
    )
