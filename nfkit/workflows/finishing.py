"""What follows a training: the new file measured, its findings written into it, and file and record put in place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner, accuracy
from nfkit.data import Dataset
from nfkit.data.found import DATA_KEY, describe_data
from nfkit.faults import EVALUATION_CHIPS
from nfkit.faults.kinds import MAX_RATE
from nfkit.graph.fusion.dial import with_trust
from nfkit.graph.fusion.fused import RESULTS_KEY
from nfkit.graph.fusion.seal import seal, seal_of
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.bench import Bench, RowCallback
from nfkit.measure.evaluation import Measurement, measure
from nfkit.model import save
from nfkit.plans.assessment import Alone, Assessor
from nfkit.plans.operating_points import Scale
from nfkit.progress import Counter, OnProgress
from nfkit.remedies.both_ends import FittedAnswer
from nfkit.remedies.neuralfuse import CHECKPOINT_SUFFIX, Shield
from nfkit.reports import reading
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.operating_point import Row
from nfkit.reports.protection import AnswerFacts, FloatGenerator, Protection
from nfkit.reports.provenance import DataFacts, ModelFacts, Provenance, versions
from nfkit.workflows.evaluation import ADVICE_KEY, count_costs, describe_row, further_rivals

if TYPE_CHECKING:
    from nfkit.learn.config import TrainConfig


@dataclass(frozen=True)
class Finishing:
    """How new files are measured.

    Attributes:
        train: What was trained on; named in the file, so that it is recognised.
        test: The samples.
        spec: The base's input.
        config: What the training was given.
        scale: What rates stand for.
        chips: How many chips.
        around: Whether to measure at lower and higher rates as well.
        level: Optimisation level of ONNX Runtime.
        on_progress: Told how far each stage is.
        on_row: Called with each chip of the measurement.
        warnings: What is doubtful about the data, for the record.
        whole: What the samples are a part of, where they are; named in the file in their place.
    """

    train: Dataset
    test: Dataset
    spec: InputSpec
    config: TrainConfig
    scale: Scale
    chips: int
    around: bool
    level: Level
    on_progress: OnProgress
    on_row: RowCallback | None = None
    warnings: tuple[str, ...] = ()
    whole: Dataset | None = None

    def measure(self, made: Shield, output: Path, reason: str) -> Protection:
        """Measures a new file and writes into its metadata what was found.

        Args:
            made: The fused model; its metadata is completed in place.
            output: Where it will be written.
            reason: Why this generator was trained.

        Returns:
            The record, still without the time that all of it took.
        """
        rate = self.config.errors.rate
        errors = [self.config.errors, *(self.config.errors.at(r) for r in (rates_around(rate) if self.around else ()))]
        seeds = EVALUATION_CHIPS[: self.chips]
        bench = Bench(made.fused, self.test, self.spec, layout=self.config.layout, level=self.level)
        counter = Counter("measuring under bit errors", len(errors) * len(seeds), self.on_progress)

        def note(row: Row) -> None:
            counter(describe_row(row))
            if self.on_row:
                self.on_row(row)

        measured = measure(bench, errors, seeds, on_row=note)
        as_float = self._measure_float(made, measured)
        alone = None
        if measured.generator is None and (probed := made.probe(self.spec, self.test)) is not None:
            alone = Alone("probe", float(probed.mean()), probed)
        later = Provenance(ModelFacts(str(output), "", None, True), DataFacts.of(self.test), versions())
        costs = count_costs(made.fused, self.scale.curve, bench)
        evaluation = Assessor(bench, self.scale, on_progress=self.on_progress).assess(
            measured, later, costs,
            alone=alone, further=further_rivals(made.fused, bench, costs), warnings=self.warnings,
        )  # fmt: skip
        clean = evaluation.clean_base
        if self.whole is not None:
            clean = accuracy(Runner(bench.base, level=self.level), self.spec.encode(self.whole.x), self.whole.y)
        data = describe_data(self.train, self.whole or self.test, self.config.seed, output, clean)
        made.fused.metadata_props[DATA_KEY] = data
        evaluation = _complete(made.fused, evaluation, self.test, output)
        return Protection(
            output=str(output),
            seconds=0.0,
            generator=made.name,
            parameters=made.parameters,
            macs=made.macs,
            precision=made.precision,
            parity_max_abs=made.parity_max_abs,
            interrupted=made.interrupted,
            training=made.training,
            evaluation=evaluation,
            float_generator=as_float,
            reason=reason,
            answer=None if made.answer is None else self._answer(made, made.answer, evaluation.clean_base),
            seal=msgspec.to_builtins(seal_of(made.fused)),
        )

    def _answer(self, made: Shield, answer: FittedAnswer, unseen: float) -> AnswerFacts:
        """What is said of the answer of both ends: its numbers, and its accuracy at the nominal voltage's trust."""
        runner = Runner(with_trust(made.fused, answer.trusts[0.0]), level=self.level)
        nominal = accuracy(runner, self.spec.encode(self.test.x), self.test.y)
        return AnswerFacts(**answer.to_dict(), clean_at_nominal_trust=nominal, suspicion=answer.suspicion(unseen))

    def _measure_float(self, made: Shield, measured: Measurement) -> FloatGenerator | None:
        if made.unquantised is None:
            return None
        bench = Bench(made.unquantised, self.test, self.spec, layout=self.config.layout, level=self.level)
        seeds = [row.chip for row in measured.rows_at(0)]
        counter = Counter("measuring with a float generator", len(seeds), self.on_progress)
        found = measure(
            bench, measured.errors[:1], seeds, known=measured, on_row=lambda row: counter(describe_row(row))
        )  # fmt: skip
        (point,) = found.points()
        assert found.clean_protected is not None, "a fused model was measured"
        assert point.protected is not None, "every chip of it"
        return FloatGenerator(found.clean_protected, point.protected)


def write(fused: ir.Model, record: Protection, path: Path | None) -> None:
    """Puts a fused file and its record in place: the record first, so that no file is ever without one.

    A process that ends in between leaves the checkpoint of the training, by which the same call goes on.

    Raises:
        OutputError: When one of them cannot be written.
    """
    if path is not None:
        reading.write(record, path)
    save(fused, record.path)
    record.path.with_name(f"{record.path.name}{CHECKPOINT_SUFFIX}").unlink(missing_ok=True)


def _complete(fused: ir.Model, evaluation: Evaluation, test: Dataset, output: Path) -> Evaluation:
    """Writes the findings into the file's metadata, and then its digest into the record."""
    fused.metadata_props[RESULTS_KEY] = json.dumps(_stated_results(evaluation), sort_keys=True)
    if evaluation.verdict is not None:
        fused.metadata_props[ADVICE_KEY] = json.dumps(_stated_advice(evaluation), sort_keys=True)
    seal(fused)
    facts = Provenance.of(fused, fused, test).model
    return msgspec.structs.replace(evaluation, model=msgspec.structs.replace(facts, path=str(output)))


def _stated_results(evaluation: Evaluation) -> list[dict[str, Any]]:
    parts = ("base", "protected", "recovery")
    return [
        {"ber": point.ber, **{part: msgspec.to_builtins(getattr(point, part)) for part in parts}}
        for point in evaluation.points
    ]


def _stated_advice(evaluation: Evaluation) -> dict[str, Any]:
    verdict = evaluation.verdict
    assert verdict is not None
    point = verdict.point if verdict.choice == "pair" else None
    recommended = [] if point is None else [evaluation.points[point].ber]
    return {
        "choice": verdict.choice,
        "sentence": verdict.sentence,
        "recommended": recommended,
        "generator_alone": evaluation.alone,
        "measured_by": evaluation.clean.alone_by,
    }


def rates_around(rate: float) -> list[float]:
    """The trained bit error rate's neighbours: what a user needs to choose a voltage."""
    near = (float(f"{factor * rate:.3g}") for factor in (0.1, 0.2, 0.5, 2.0))
    return [r for r in near if 0 < r <= MAX_RATE / 2]
