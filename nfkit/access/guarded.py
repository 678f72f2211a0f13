"""A base behind its front: transform, base, answer of both, where the base is no file but something that answers.

    with nfkit.open_endpoint("https://host/v2/models/net") as base:
        guarded = nfkit.Guarded("net.front.onnx", base)
        scores = guarded(x)                     # samples as the base takes them; [N, classes]
        print(guarded.asked, guarded.spared)    # how often the base was asked, and was not

With early answers the base is asked only for those samples whose evidence is not sure; which these are does not depend
on what else is in the batch.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from scipy.special import log_softmax

from nfkit.access.base import Base, Description, Scores
from nfkit.access.runtime import Level, Runner
from nfkit.errors import ModelError
from nfkit.graph.fusion.front import SEEN
from nfkit.graph.fusion.fused import JOINT
from nfkit.graph.fusion.metadata import read_answer, read_input
from nfkit.graph.fusion.trust import combine
from nfkit.graph.fusion.two_files import SURE
from nfkit.model import ModelLike, load, sha256


class Guarded:
    """A front, and the base that it was made for. It is itself something that answers.

    Args:
        front: A front's file or model.
        base: What it stands in front of.
        level: Optimisation level of the front.
        nominal: Whether the base runs at the nominal voltage, so that it answers alone: it is asked for each sample
            as it is, and what it says stands. May be changed at any time.

    Attributes:
        asked: Samples that the base was asked for.
        spared: Samples that the front has answered by itself.

    Raises:
        ModelError: When the front is none, or of another input or other classes than the base.
    """

    graph: ir.Model | None = None

    def __init__(self, front: ModelLike, base: Base, *, level: Level = "all", nominal: bool = False) -> None:
        model = load(front)
        self.base, self.asked, self.spared, self.nominal = base, 0, 0, nominal
        self._outputs = [str(v.name) for v in model.graph.outputs]
        if JOINT not in self._outputs and SEEN not in self._outputs:
            raise ModelError(
                "this model is no front: take that of a protected model with nfkit split --front, or make one with "
                "nfkit protect ADDRESS"
            )
        self._answer, spec, taken = read_answer(model), read_input(model), base.about.input
        if (spec.dtype, spec.shape) != (taken.dtype, taken.sample):
            raise ModelError(
                f"the front takes {spec.dtype} {list(spec.shape)} a sample, {base.about.name} {taken}: it was made for "
                "another base"
            )
        if self._answer is not None and self._answer.form.classes != base.about.classes:
            raise ModelError(
                f"the front tells {self._answer.form.classes} classes apart, {base.about.name} {base.about.classes}: "
                "it was made for another base"
            )
        self._front = Runner(model, level=level)
        identity = hashlib.sha256(f"{sha256(model)} {base.about.identity}".encode()).hexdigest()
        self.about = Description(f"{base.about.name} behind its front", identity, taken, base.about.classes)

    def __call__(self, x: npt.NDArray[Any]) -> Scores:
        """Answers samples [N, ...] of the base's own input.

        Returns:
            Scores [N, classes]: the base's own where the front has no part in the answer, else logarithms.

        Raises:
            AccessError: When the base does not answer, or not as it should.
        """
        answers = np.zeros((len(x), self.about.classes), np.float32)
        if not len(x):
            return answers
        if self.nominal:
            self.asked += len(x)
            return self.base(x)
        wanted = [name for name in (JOINT, SEEN, SURE) if name in self._outputs]
        seen = self._front.named(x, wanted)
        sure = seen[SURE] if SURE in seen else np.zeros(len(x), np.bool_)
        open_ = np.flatnonzero(~sure)
        if len(open_):
            scores = self.base(seen[JOINT][open_] if JOINT in seen else x[open_])
            answers[open_] = self._join(scores, seen[SEEN][open_]) if self._answer is not None else scores
        if self._answer is not None and sure.any():
            answers[sure] = log_softmax(seen[SEEN][sure] / self._answer.trust.temperature, axis=1)
        self.asked += len(open_)
        self.spared += len(x) - len(open_)
        return answers

    def _join(self, scores: Scores, evidence: npt.NDArray[np.float32]) -> Scores:
        """What base and evidence say together."""
        if self._answer is None or self._answer.trust.weight == 0:
            return scores
        joined = combine(self._answer.form.log_scores(scores), evidence, self._answer.trust)
        return joined.astype(np.float32)
