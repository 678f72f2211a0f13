"""A front for a base that only answers: trust and threshold fitted on its answers, written, and measured by asking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.base import Base
from nfkit.access.guarded import Guarded
from nfkit.access.runtime import Level
from nfkit.data import Dataset
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.scores import form_of
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.answering import Answering, measure_answers
from nfkit.measure.threshold import Threshold
from nfkit.measure.trust import Fit
from nfkit.model import save
from nfkit.workflows.fitting import fit_both


@dataclass(frozen=True)
class Guarding:
    """A front, and what it is worth.

    Attributes:
        output: Its file.
        fit: How far base and evidence are trusted.
        threshold: From where on the evidence answers alone; None where the base is always asked.
        before: The base by itself, on samples that nothing was fitted on.
        after: The same behind the front.
        asked: Share of those samples that the base was asked for.
        transform: Whether the base is asked the image that the generator made of it.
    """

    output: Path
    fit: Fit
    threshold: Threshold | None
    before: Answering
    after: Answering
    asked: float
    transform: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The numbers for a record."""
        return {
            "fit": self.fit.to_dict(),
            "threshold": None if self.threshold is None else self.threshold.to_dict(),
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "asked": self.asked,
            "transform": self.transform,
        }

    def sentences(self) -> list[str]:
        """What was fitted, and what it is worth."""
        accuracy = self.after.accuracy
        return [
            describe_fit(self.fit),
            f"accuracy on {accuracy.samples} other samples: base {self.before.accuracy.percent()}, behind the front "
            + accuracy.percent(),
            f"the base was asked for {100 * self.asked:.1f} % of them",
        ]


def describe_fit(fit: Fit) -> str:
    """How trust was fitted, in words."""
    trust = fit.trust
    return (
        f"trust fitted on {fit.samples} samples and {fit.chips} chip{'s' * (fit.chips > 1)}: sharpness "
        f"{trust.sharpness:.2g}, doubt {trust.doubt:.2g}, weight of the evidence {trust.weight:.2g}, temperature "
        f"{trust.temperature:.2g}"
    )


@dataclass(frozen=True)
class View:
    """A way to ask the base.

    Attributes:
        x: The samples to fit on as the base is shown them, [N, *shape].
        make: Makes the front of the answer that was fitted.
        transform: Whether that front changes what the base is shown.
    """

    x: npt.NDArray[Any]
    make: Callable[[Answer], ir.Model]
    transform: bool = False


def guard(
    base: Base,
    spec: InputSpec,
    fitting: Dataset,
    measuring: Dataset,
    evidence: npt.NDArray[np.float32],
    views: Sequence[View],
    output: Path,
    *,
    early_loss: float | None,
    level: Level,
) -> Guarding:
    """Fits how far a base that only answers and some evidence are trusted, writes the front, and measures it.

    Args:
        base: What answers, in the state that it will work in.
        spec: Its input.
        fitting: Labelled samples to fit on.
        measuring: Labelled samples to measure on.
        evidence: z for the samples to fit on, [N, classes].
        views: Ways to ask the base; that with the likelier answers is taken. Each asks for all samples to fit on.
        output: Where to write the front.
        early_loss: Accuracy that early answers may cost, as a share; None for none.
        level: Optimisation level of the front.

    Raises:
        NfkitError: When they do not fit, or the base does not answer; nothing is written then.
    """
    fitting.check_labels(base.about.classes)
    tried = []
    for view in views:
        scores = base(view.x)
        form = form_of(scores)
        fit, threshold = fit_both(form.log_scores(scores)[None], evidence, fitting, early_loss)
        tried.append((view, form, fit, threshold))
    view, form, fit, threshold = min(tried, key=lambda entry: entry[2].nll)
    front = view.make(Answer(form, fit.trust, threshold.threshold if threshold else None))
    before = measure_answers(base, measuring, spec)
    guarded = Guarded(front, base, level=level)
    after = measure_answers(guarded, measuring, spec)
    save(front, output)
    return Guarding(output, fit, threshold, before, after, guarded.asked / len(measuring), view.transform)
