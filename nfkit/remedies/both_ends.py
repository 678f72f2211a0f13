"""The answer of both ends: whether a base and a generator can give one, and its numbers, fitted after training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.errors import ModelError, OptionError, UnsupportedError
from nfkit.faults import VALIDATION_CHIPS, BitErrors, Layout
from nfkit.faults.kinds import MAX_RATE
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.early import check_branch
from nfkit.graph.fusion.scores import ScoreForm, find_form
from nfkit.graph.fusion.split import evidence_model, split
from nfkit.graph.fusion.trust import Trust, combine
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.early import choose_threshold
from nfkit.measure.faulty_scores import faulty_scores
from nfkit.measure.trust import Fit, fit_trust, unseen_weights

FIT_SAMPLES = 1000
"""Images that trust is fitted on, at most: its four numbers settle far earlier than an accuracy does."""
_PROBES = 32  # random images that the form of an output is told by
_CHIPS = VALIDATION_CHIPS[100:108]  # none that the best state of a generator is chosen on
_NEIGHBOUR_CHIPS = 4  # where trust is recorded for another voltage only
_FACTORS = (0.1, 0.2, 0.5, 1, 2)  # of the rate of operation
_SEEN = 0.02  # by how much a base may be better on the data of the fit than on others before it is suspected


def probe_form(base: ir.Model, spec: InputSpec) -> ScoreForm:
    """The form of a base's output, told by what it makes of random images.

    Raises:
        UnsupportedError: When no answer can be put into it.
        OptionError: When the valid range of the input is not known.
    """
    count = spec.batch if isinstance(spec.batch, int) else _PROBES
    levels = np.random.default_rng(0).uniform(-1, 1, (count, *spec.image_shape)).astype(np.float32)
    return find_form(base, Runner(base)(spec.denormalise(levels)))


def choose_answer(wanted: str, base: ir.Model, spec: InputSpec, has_evidence: bool, early: bool) -> tuple[str, str]:
    """Who answers, and why, as a sentence.

    Args:
        wanted: `base`, `both`, or `auto`: both where that is possible.
        base: The base.
        spec: Its input.
        has_evidence: Whether the generator has evidence by default.
        early: Whether early answers are wanted, which need both.

    Raises:
        OptionError: When there is no such answer, or early answers are wanted of the base alone.
        UnsupportedError: When both are wanted and the base's output takes no answer.
    """
    if wanted not in ("auto", "base", "both"):
        raise OptionError(f"unknown answer {wanted!r}: choose auto, base or both")
    if wanted == "base" and early:
        raise OptionError("--early needs the generator's answer: give --answer both, or leave out --early")
    if wanted == "base":
        return "base", "the base answers, by an input that the generator changes"
    if wanted == "auto" and not has_evidence and not early:
        return "base", "the base answers: this generator has evidence only where --answer both gives it a head"
    try:
        form = probe_form(base, spec)
    except UnsupportedError as error:
        if wanted == "both" or early:
            raise
        return "base", f"the base answers by itself: {error}"
    return "both", f"base and generator answer together, as {form.kind} of type {form.dtype}"


@dataclass(frozen=True)
class FittedAnswer:
    """The answer of a file, and what it was fitted on.

    Attributes:
        answer: Form, trust at the rate of operation, and threshold of early answers.
        fits: Fits by bit error rate; 0 is the nominal voltage.
        base_accuracy: Accuracy of the base without errors on the images of the fit.
        data: Name of these images.
    """

    answer: Answer
    fits: dict[float, Fit]
    base_accuracy: float
    data: str

    @property
    def trusts(self) -> dict[float, Trust]:
        """Trust by bit error rate."""
        return {rate: fit.trust for rate, fit in self.fits.items()}

    def suspicion(self, unseen: float) -> str | None:
        """A sentence where the base is so much better on the images of the fit that it was trained on them.

        Args:
            unseen: Its accuracy on other images.
        """
        if self.base_accuracy - unseen <= _SEEN:
            return None
        return (
            f"the base scores {100 * self.base_accuracy:.1f} % on {self.data}, on which its trust was fitted, and "
            f"{100 * unseen:.1f} % on the test data: it was trained on them, and is trusted too far. Give --trust-data "
            f"that it has not seen, or what it scores on such data as --base-accuracy"
        )

    def to_dict(self) -> dict[str, Any]:
        """The answer for a record."""
        return {
            **self.answer.to_dict(),
            "fits": [{"ber": rate, **fit.to_dict()} for rate, fit in sorted(self.fits.items())],
            "fitted_on": {"name": self.data, "base_accuracy": self.base_accuracy},
        }


@dataclass(frozen=True)
class TrustData:
    """What trust is fitted on, and for what.

    Attributes:
        data: Labelled samples that neither generator nor base has seen; None for what is held out of the training
            data.
        base_accuracy: Accuracy of the base on images that it has not seen, where it has seen these.
        early_loss: Accuracy, a share, that early answers may cost; None for no early answers.
    """

    data: Dataset | None = None
    base_accuracy: float | None = None
    early_loss: float | None = None

    def check(self, base: ir.Model, answer: str) -> None:
        """Refuses, before anything is trained, what cannot be made of a base.

        Raises:
            OptionError: When early answers are wanted of a base that answers alone.
            UnsupportedError: When the base cannot stand in a branch.
        """
        if self.early_loss is None:
            return
        if answer == "base":
            raise OptionError("--early needs the generator's answer: give --answer both, or leave out --early")
        check_branch(list(base.graph.outputs[1:]), list(base.graph.initializers.values()))

    def fit(
        self,
        fused: ir.Model,
        form: ScoreForm,
        held_out: Dataset,
        spec: InputSpec,
        errors: BitErrors,
        *,
        layout: Layout,
        level: Level = "all",
        on_stage: Callable[[str], None] = lambda stage: None,
    ) -> FittedAnswer:
        """Fits trust at the rate of operation and around it, and the threshold of early answers.

        Args:
            fused: The fused model, with any trust.
            form: The form of its base's output.
            held_out: Samples that the generator has not seen, where there are no others.
            spec: The input.
            errors: Bit errors at the rate of operation.
            layout: How chips hold the weights.
            level: Optimisation level of ONNX Runtime.
            on_stage: Called with a sentence when a stage begins.
        """
        data = self.data or held_out
        data = data.take(min(len(data), FIT_SAMPLES))
        x, y = spec.encode(data.x), data.y
        prefix, base = split(fused)
        changes = len(prefix.graph.outputs) > 1
        seen = Runner(prefix, level=level)(x) if changes else x  # what the base reads
        evidence_part = evidence_model(fused)
        assert evidence_part is not None, "an answer of both ends has evidence"
        evidence = Runner(evidence_part, level=level)(x)
        clean = faulty_scores(base, form, seen, errors.at(0.0), (), layout=layout, level=level)
        correct = clean[0].argmax(1) == y
        weights = None if self.base_accuracy is None else unseen_weights(correct, self.base_accuracy)
        on_stage(f"fitting trust on {len(data)} samples of {data.name}, at several bit error rates")
        fits, scores = {0.0: fit_trust(clean, evidence, y, weights)}, clean
        for factor in _FACTORS:
            rate = float(f"{factor * errors.rate:.3g}")
            if rate > MAX_RATE / 2 and factor != 1:
                continue
            chips = _CHIPS if factor == 1 else _CHIPS[:_NEIGHBOUR_CHIPS]
            at = errors if factor == 1 else errors.at(rate)
            scored = faulty_scores(base, form, seen, at, chips, layout=layout, level=level)
            fits[at.rate] = fit_trust(scored, evidence, y, weights)
            scores = scored if factor == 1 else scores
        trust = fits[errors.rate].trust
        threshold = None
        if self.early_loss is not None:
            threshold = choose_threshold(scores, evidence, y, trust, self.early_loss)
        return FittedAnswer(Answer(form, trust, threshold), fits, float(correct.mean()), data.name)


def check_answer(fused: ir.Model, base: ir.Model, answer: Answer, sample: npt.NDArray[Any]) -> float:
    """Compares the answer of a file, always run, with the formula in NumPy, at level `basic`.

    Returns:
        Share of samples that the two classify differently: near ties, which float32 may decide otherwise.

    Raises:
        ModelError: When they are more than one in twenty.
    """
    prefix, _ = split(fused)
    evidence_part = evidence_model(fused)
    assert evidence_part is not None
    seen = Runner(prefix, level="basic")(sample) if len(prefix.graph.outputs) > 1 else sample
    scores = answer.form.log_scores(Runner(base, level="basic")(seen))
    evidence = Runner(evidence_part, level="basic")(sample)
    wanted = combine(scores, evidence, answer.trust).argmax(1)
    got = Runner(fused, level="basic")(sample)
    different = float((got.reshape(len(got), -1).argmax(1) != wanted).mean())
    if different > 0.05:
        raise ModelError(
            f"the answer of the file differs from its formula on {100 * different:.0f} % of the samples: please report "
            "the model"
        )
    return different
