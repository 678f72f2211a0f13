"""A trained generator for another base: its evidence moves, its patterns stay, trust is fitted anew.

The patterns of a generator drive the base that they were trained on, and mislead others; its evidence tells the classes
whatever stands behind it. So only the evidence moves, and joins the other base's scores at the output, trusted as far
as some labelled samples say. The other base may be a file, whose faulty chips are simulated for the fit, or something
that only answers: then it is asked as it is, and what comes out is a front (see `nfkit.graph.fusion.front`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.base import Base
from nfkit.access.chip import put_on_chip
from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.errors import ModelError
from nfkit.faults import VALIDATION_CHIPS, BitErrors, Chip, Layout
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.front import front_of
from nfkit.graph.fusion.fuse import transfer as move
from nfkit.graph.fusion.fused import GENERATOR_KEY
from nfkit.graph.fusion.scores import find_form
from nfkit.graph.fusion.split import evidence_model
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.trust import Fit
from nfkit.model import save, sha256
from nfkit.progress import OnProgress, silent
from nfkit.reports.evaluation import Evaluation
from nfkit.workflows.evaluation import evaluate
from nfkit.workflows.fitting import fit_both, split_in_two
from nfkit.workflows.guarding import Guarding, View, describe_fit, guard

FIT_CHIPS = VALIDATION_CHIPS[:4]
"""Chips that trust is fitted on: none that anything is trained on or measured on."""
_EXACT = 1e-3  # by how much evidence may differ after its graph was restated


@dataclass(frozen=True)
class Transferred:
    """What a transfer made.

    Attributes:
        output: The file.
        generator: Name of the generator.
        patterns: Whether its patterns came along.
        fit: How trust was fitted; None where nothing was.
        evaluation: A new file on chips and samples that nothing was fitted on; None where it was not measured.
        front: What a front is worth; None for a file.
    """

    output: Path
    generator: str
    patterns: bool
    fit: Fit | None = None
    evaluation: Evaluation | None = None
    front: Guarding | None = None

    def to_dict(self) -> dict[str, Any]:
        """The record `nfkit.transfer/2`."""
        record: dict[str, Any] = {
            "schema": "nfkit.transfer/2",
            "output": {"path": str(self.output), "sha256": sha256(self.output)},
            "generator": self.generator,
            "patterns": "kept" if self.patterns else "dropped",
        }
        if self.fit is not None:
            record["fit"] = self.fit.to_dict()
        if self.evaluation is not None:
            record["evaluate"] = msgspec.to_builtins(self.evaluation)
        return record | (self.front.to_dict() if self.front is not None else {})

    def sentences(self) -> list[str]:
        """What was done, and how good it is."""
        if self.patterns:
            what = f"{self.output}: {self.generator} as it was, patterns included, which may mislead this base"
            return [f"{what}: nothing was fitted, measure it"]
        lines = [f"{self.output}: the evidence of {self.generator}; its patterns, made for another base, were dropped"]
        if self.front is not None:
            return lines + self.front.sentences()
        lines += [describe_fit(self.fit)] if self.fit is not None else []
        return lines + ([str(self.evaluation)] if self.evaluation is not None else [])


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
    return Transferred(output, _name(fused), patterns=False, fit=fit, evaluation=measured)


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
    front = guard(
        base, spec, fitting, measuring, _evidence(fused, spec, fitting, level),
        [View(spec.encode(fitting.x), lambda answer: front_of(fused, spec, answer, transform=False))],
        output, early_loss=early_loss, level=level,
    )  # fmt: skip
    return Transferred(output, _name(fused), patterns=False, front=front)


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
