"""Accuracy under bit errors at several precisions of one base: the weights requantised to b bits, without retraining.

A generator in front keeps its own precision: it is what was trained, only the base loses bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.data import Dataset
from nfkit.errors import OptionError
from nfkit.faults import EVALUATION_CHIPS, BitErrors, Layout
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.quantised.requantise import requantise
from nfkit.measure.evaluation import Evaluation, Row, evaluate


@dataclass(frozen=True)
class PrecisionSweep:
    """What `evaluate_bits` measured.

    Attributes:
        evaluations: One evaluation for each number of bits, in the order given.
        settings: What the numbers depend on besides, for records.
    """

    evaluations: dict[int, Evaluation]
    settings: dict[str, Any]

    def summary(self) -> list[dict[str, Any]]:
        """One entry for bits x rates: bits, ber, clean accuracies, and the spreads of `Evaluation.summary`."""
        return [
            {"bits": bits, "clean": result.clean_base, "clean_protected": result.clean_protected, **entry}
            for bits, result in self.evaluations.items()
            for entry in result.summary()
        ]

    def to_dict(self) -> dict[str, Any]:
        """The record `nfkit.evaluate-bits/1`."""
        rows, summary, clean = [], [], []
        for bits, result in self.evaluations.items():
            record = result.to_dict()
            rows += [{"bits": bits, **row} for row in record["rows"]]
            summary += [{"bits": bits, **entry} for entry in record["summary"]]
            clean.append({"bits": bits, **record["clean"]})
        shared = next(iter(self.evaluations.values())).settings
        return {
            "schema": "nfkit.evaluate-bits/1",
            **shared,
            **self.settings,
            "clean": clean,
            "rows": rows,
            "summary": summary,
        }


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
    evaluations = {}
    for b, requantised in models.items():

        def report(row: Row, b: int = b) -> None:
            if on_row:
                on_row(b, row)

        evaluations[b] = evaluate(
            requantised, data, spec, errors,
            chips=chips, layout=layout, fault_generator=fault_generator, level=level, on_row=report,
        )  # fmt: skip
    return PrecisionSweep(evaluations, {})
