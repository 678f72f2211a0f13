"""A model looked at on single samples: inputs as the generator changes them, and answers with and without errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from scipy.special import softmax

from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.errors import NfkitError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fused import JOINT, is_fused
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.scores import form_of
from nfkit.graph.fusion.split import evidence_of, split
from nfkit.graph.injection.inject import with_codes
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.measure.calibration import calibrate
from nfkit.measure.plausibility import class_names
from nfkit.measure.score_map import map_scores
from nfkit.reports.single_samples import Answers, FlippedBits, Looks, ScoreMap, Which


def look(
    model: ir.Model,
    data: Dataset,
    spec: InputSpec,
    errors: BitErrors,
    chip: Chip,
    *,
    name: str,
    level: Level = "all",
    seed: int = 0,
) -> Looks:
    """Runs a model on some samples.

    Args:
        model: A base or a fused model without errors; not changed.
        data: Labelled samples; all of them are run.
        spec: The model's input.
        errors: Bit errors of the base's weights.
        chip: The chip that has them.
        name: What the model is called.
        level: Optimisation level of ONNX Runtime.
        seed: Seed of the map of scores.

    Raises:
        ModelError: When the model stores no weights as integers, or ONNX Runtime fails.
        DataError: When the samples do not fit.
    """
    refuse_faults(model)
    fused = is_fused(model)
    prefix, base = split(model) if fused else (None, model)
    x = spec.encode(data.x)
    clean = Runner(base, level=level)
    data.check_labels(clean.classes(x))
    sites = fault_sites(base)
    stored = {s.name: codes(base, s) for s in sites}
    read = {s.name: np.ascontiguousarray(chip.faults(s, errors).apply(stored[s.name])) for s in sites}

    def answers(of: str, role: Which, runner: Runner) -> Answers:
        return Answers(of, role, _shares(runner(x)))

    notes = []
    found = [
        answers("base without errors", "clean", clean),
        answers("base with errors", "base", Runner(with_codes(base, read), level=level)),
    ]
    protected = evidence = None
    transformed = None
    if prefix is not None:
        protected = answers("protected model with errors", "protected", Runner(with_codes(model, read), level=level))
        found.append(protected)
        if any(value.name == JOINT for value in prefix.graph.outputs):
            transformed = Runner(prefix, level=level).named(x, [JOINT])[JOINT]
        else:
            notes.append("the generator changes no input: it only looks, and answers together with the base")
        scores = evidence_of(prefix)
        if scores is not None:
            answer = read_answer(model)
            temperature = 1.0 if answer is None else answer.trust.temperature
            shares = np.asarray(softmax(np.asarray(Runner(scores, level=level)(x), np.float64) / temperature, axis=1))
            evidence = Answers("generator's evidence", "alone", shares)
    images, changed = _images(spec, x, transformed, notes)
    judged = [entry for entry in (*found[1:], evidence) if entry is not None]
    return Looks(
        model=name, data=data.name, names=_names(model, data, found[0].shares.shape[1]), y=data.y,
        errors=f"{errors.kind} errors at a bit error rate of {100 * errors.rate:.3g} %, chip {chip.seed}",
        images=images, transformed=changed, base=found[0], faulty=found[1], protected=protected, evidence=evidence,
        calibrations=tuple(calibrate(entry, data.y) for entry in judged),
        score_map=_map(found, seed, notes), notes=tuple(notes),
        flipped=_flipped([(s.name, s.bits, stored[s.name], read[s.name]) for s in sites]),
    )  # fmt: skip


def _flipped(memories: Sequence[tuple[str, int, npt.NDArray[Any], npt.NDArray[Any]]]) -> FlippedBits:
    """Bits that differ between what was stored and what is read, of (name, bits, stored, read) each."""
    widest = max(bits for _, bits, _, _ in memories)
    counts = np.full((len(memories), widest), -1, np.int64)
    for row, (_, bits, stored, read) in zip(counts, memories, strict=True):
        differing = stored.astype(np.int64) ^ read.astype(np.int64)
        row[:bits] = [int((differing >> bit & 1).sum()) for bit in range(bits)]
    return FlippedBits(tuple(name for name, *_ in memories), counts)


def _shares(outputs: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Probabilities [N, C] of outputs in whatever form a base states them."""
    scores = np.asarray(outputs, np.float32).reshape(len(outputs), -1)
    return np.asarray(softmax(form_of(scores).log_scores(scores), axis=1))


def _images(
    spec: InputSpec, x: npt.NDArray[Any], transformed: npt.NDArray[Any] | None, notes: list[str]
) -> tuple[npt.NDArray[Any] | None, npt.NDArray[Any] | None]:
    """Inputs, and what the generator makes of them, as images in [-1, 1]."""
    if spec.layout == "NC" or min(spec.image_shape[1:]) < 2:
        notes.append("the inputs are no images, so that none are shown")
        return None, None
    if spec.low is None:
        notes.append("the range of the input is not known, so that none are shown")
        return None, None
    return spec.normalise(x), None if transformed is None else spec.normalise(transformed)


def _map(answers: Sequence[Answers], seed: int, notes: list[str]) -> ScoreMap | None:
    try:
        return map_scores(answers, seed)
    except NfkitError as error:
        notes.append(str(error))
        return None


def _names(model: ir.Model, data: Dataset, classes: int) -> tuple[str, ...]:
    known = data.classes or class_names(model, classes) or ()
    return tuple(known) if len(known) == classes else tuple(map(str, range(classes)))
