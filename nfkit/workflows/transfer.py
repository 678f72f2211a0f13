"""A trained generator for another base: its evidence moves, its patterns stay, trust is fitted anew.

The patterns of a generator drive the base that they were trained on, and mislead others; its evidence tells the classes
whatever stands behind it. So only the evidence moves, and joins the other base's scores at the output, trusted as far
as some labelled samples say. The other base may be a file, whose faulty chips are simulated for the fit, or something
that only answers: then it is asked as it is, and what comes out is a front (see `nfkit.graph.fusion.front`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.base import Base, Scores
from nfkit.access.chip import put_on_chip
from nfkit.access.guarded import Guarded
from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.errors import ModelError
from nfkit.faults import VALIDATION_CHIPS, BitErrors, Chip, Layout
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.front import front_of
from nfkit.graph.fusion.fuse import transfer as move
from nfkit.graph.fusion.fused import GENERATOR_KEY
from nfkit.graph.fusion.scores import ScoreForm, find_form, form_of
from nfkit.graph.fusion.split import evidence_model
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.answering import Answering, measure_answers
from nfkit.measure.threshold import Threshold
from nfkit.measure.trust import Fit
from nfkit.model import save, sha256
from nfkit.progress import OnProgress, silent
from nfkit.reports.evaluation import Evaluation
from nfkit.workflows.evaluation import evaluate
from nfkit.workflows.fitting import fit_both, split_in_two

FIT_CHIPS = VALIDATION_CHIPS[:4]
"""Chips that trust is fitted on: none that anything is trained on or measured on."""
_EXACT = 1e-3  # by how much evidence may differ after its graph was restated


class _Front(Protocol):
    """Makes a front of an answer."""

    def __call__(self, answer: Answer) -> ir.Model: ...


@dataclass(frozen=True)
class Transferred:
    """What a transfer made.

    Attributes:
        output: The file.
        generator: Name of the generator.
        patterns: Whether its patterns came along.
        fit: How trust was fitted; None where nothing was.
        threshold: Early answers; None where the base is always asked.
        before: The other base as it answers by itself, on samples that nothing was fitted on; None for a file.
        after: The same behind the front.
        asked: Share of those samples that the base was asked for.
        evaluation: The new file on chips and samples that nothing was fitted on; None for a front.
    """

    output: Path
    generator: str
    patterns: bool
    fit: Fit | None = None
    threshold: Threshold | None = None
    before: Answering | None = None
    after: Answering | None = None
    asked: float | None = None
    evaluation: Evaluation | None = None

    def to_dict(self) -> dict[str, Any]:
        """The record `nfkit.transfer/2`."""
        record: dict[str, Any] = {
            "schema": "nfkit.transfer/2",
            "output": {"path": str(self.output), "sha256": sha256(self.output)},
            "generator": self.generator,
            "patterns": "kept" if self.patterns else "dropped",
        }
        for name in ("fit", "threshold", "before", "after"):
            value = getattr(self, name)
            if value is not None:
                record[name] = value.to_dict()
        if self.asked is not None:
            record["asked"] = self.asked
        if self.evaluation is not None:
            record["evaluate"] = msgspec.to_builtins(self.evaluation)
        return record

    def sentences(self) -> list[str]:
        """What was done, and how good it is."""
        if self.patterns:
            what = f"{self.output}: {self.generator} as it was, patterns included, which may mislead this base"
            return [f"{what}: nothing was fitted, measure it"]
        lines = [f"{self.output}: the evidence of {self.generator}; its patterns, made for another base, were dropped"]
        if self.fit is not None:
            trust = self.fit.trust
            lines.append(
                f"trust fitted on {self.fit.samples} samples, {self.fit.chips} times: sharpness {trust.sharpness:.2g}, "
                f"doubt {trust.doubt:.2g}, weight of the evidence {trust.weight:.2g}, temperature "
                f"{trust.temperature:.2g}"
            )
        if self.before is not None and self.after is not None:
            lines.append(
                f"accuracy on {self.after.accuracy.samples} other samples: base {self.before.accuracy.percent()}, "
                f"with the front {self.after.accuracy.percent()}"
            )
        if self.asked is not None:
            lines.append(f"the base was asked for {100 * self.asked:.1f} % of them")
        if self.evaluation is not None:
            lines.append(str(self.evaluation))
        return lines


def transfer_as_it_is(fused: ir.Model, base: ir.Model, spec: InputSpec, output: Path) -> Transferred:
    """Moves a whole generator, patterns included, in front of another base.

    Args:
        fused: The protected model that has the generator.
        base: Another base of the same input; not changed.
        spec: Its input.
        output: Where to write the protected model.

    Raises:
        NfkitError: When they do not fit; nothing is written then.
    """
    moved = move(fused, base, spec)
    save(moved, output)
    return Transferred(output, _name(fused), patterns=True)


def transfer_to_file(
    fused: ir.Model,
    base: ir.Model,
    spec: InputSpec,
    data: Dataset,
    output: Path,
    errors: BitErrors,
    layout: Layout,
    *,
    chips: int = 10,
    early_loss: float | None = None,
    level: Level = "all",
    on_progress: OnProgress = silent,
) -> Transferred:
    """Moves the evidence of a generator to another base that is a file, and fits trust on simulated chips.

    Args:
        fused: The protected model that has the generator.
        base: The other base; not changed.
        spec: Its input.
        data: Labelled samples that neither was trained on: every other one fits trust, the others measure the result.
        output: Where to write the protected model.
        errors: Bit errors at the rate of operation.
        layout: How chips hold the weights.
        chips: How many chips to measure on; trust is fitted on others.
        early_loss: Accuracy that early answers may cost, as a share; None for none.
        level: Optimisation level of ONNX Runtime.
        on_progress: Told how far the measurement is.

    Raises:
        NfkitError: When they do not fit; nothing is written then.
    """
    fitting, measuring = split_in_two(data)
    x, evidence = spec.encode(fitting.x), _evidence(fused, spec, fitting, level)
    clean = Runner(base, level=level)
    data.check_labels(clean.classes(x))
    form = find_form(base, clean(x[: max(1, min(len(x), 256))]))
    scores = np.stack(
        [form.log_scores(put_on_chip(base, Chip(seed, layout), errors, level=level).base(x)) for seed in FIT_CHIPS]
    )
    fit, threshold = fit_both(scores, evidence, fitting, early_loss)
    answer = Answer(form, fit.trust, threshold.threshold if threshold else None)
    moved = move(fused, base, spec, answer, patterns=False)
    _check_moved(moved, x, evidence, level)
    measured = evaluate(
        moved, measuring, spec=spec, errors=[errors], layout=layout, chips=chips, level=level, on_progress=on_progress
    )
    save(moved, output)
    return Transferred(output, _name(fused), patterns=False, fit=fit, threshold=threshold, evaluation=measured)


def transfer_to_answers(
    fused: ir.Model,
    base: Base,
    spec: InputSpec,
    data: Dataset,
    output: Path,
    *,
    early_loss: float | None = 0.01,
    level: Level = "all",
) -> Transferred:
    """Moves the evidence of a generator to a base that only answers; what is written is the front alone.

    Every other sample fits trust, and the others measure it. The base is asked for each of them once.

    Args:
        fused: The protected model that has the generator.
        base: The other base, in the state that it will work in.
        spec: Its input.
        data: Labelled samples that neither was trained on.
        output: Where to write the front.
        early_loss: Accuracy that early answers may cost, as a share; None for none.
        level: Optimisation level of the front.

    Raises:
        NfkitError: When they do not fit, or the base does not answer; nothing is written then.
    """
    fitting, measuring = split_in_two(data)
    return guard(
        base, spec, fitting, measuring, _evidence(fused, spec, fitting, level),
        lambda answer: front_of(fused, spec, answer, transform=False),
        output, _name(fused), early_loss=early_loss, level=level,
    )  # fmt: skip


def guard(
    base: Base,
    spec: InputSpec,
    fitting: Dataset,
    measuring: Dataset,
    evidence: npt.NDArray[np.float32],
    make: _Front,
    output: Path,
    generator: str,
    *,
    early_loss: float | None,
    level: Level,
) -> Transferred:
    """Fits how far a base that only answers and some evidence are trusted, writes the front, and measures it.

    Args:
        base: What answers.
        spec: Its input.
        fitting: Labelled samples to fit on.
        measuring: Labelled samples to measure on.
        evidence: z for the samples to fit on, [N, classes].
        make: Makes the front of the answer that was fitted.
        output: Where to write it.
        generator: Its name.
        early_loss: Accuracy that early answers may cost, as a share; None for none.
        level: Optimisation level of the front.
    """
    fitting.check_labels(base.about.classes)
    asked: Scores = base(spec.encode(fitting.x))
    form: ScoreForm = form_of(asked)
    fit, threshold = fit_both(form.log_scores(asked)[None], evidence, fitting, early_loss)
    front = make(Answer(form, fit.trust, threshold.threshold if threshold else None))
    before = measure_answers(base, measuring, spec)
    guarded = Guarded(front, base, level=level)
    after = measure_answers(guarded, measuring, spec)
    save(front, output)
    return Transferred(output, generator, False, fit, threshold, before, after, guarded.asked / len(measuring))


def _evidence(fused: ir.Model, spec: InputSpec, data: Dataset, level: Level) -> npt.NDArray[np.float32]:
    """What the generator says of some samples, [N, classes]."""
    model = evidence_model(fused)
    if model is None:
        raise ModelError(
            f"{_name(fused)} has no evidence of its own, so all that can be moved is its transform: give "
            "--keep-patterns, and measure what it does to the other base"
        )
    scores: npt.NDArray[np.float32] = Runner(model, level=level)(spec.encode(data.x))
    return scores


def _check_moved(moved: ir.Model, x: npt.NDArray[Any], evidence: npt.NDArray[np.float32], level: Level) -> None:
    """The evidence says in the new file what it said in the old one.

    Raises:
        ModelError: When it does not.
    """
    model = evidence_model(moved)
    assert model is not None
    few = x[:64]
    lost = float(np.abs(Runner(model, level=level)(few) - evidence[: len(few)]).max())
    if not lost <= _EXACT * max(1.0, float(np.abs(evidence).max())):
        raise ModelError(f"the evidence differs by {lost:.3g} after the move: please report the two models")


def _name(fused: ir.Model) -> str:
    return fused.metadata_props.get(GENERATOR_KEY, "generator")
