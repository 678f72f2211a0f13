"""The answer stage behind a base: its scores and the generator's evidence, in the form of the base's own output.

    base scores ──> log form ──> log((1 - e) softmax(t s) + e / C) ──┐
                                                                     + ──> form of the output
    evidence ─────> b log softmax(z / T) ────────────────────────────┘

The numbers t, e, b and T are scalar initializers, `nfkit/answer/...`, that may be changed in the finished file. With
b = 0 the output is the base's own, bit for bit; with e = 1 it ranks the classes as the evidence does.

With a threshold, an image whose evidence is at least that sure gets the evidence's answer, whatever other images are
in its batch; see `nfkit.graph.fusion.early`.

Integer outputs are rounded to the base's own scale. The winner is lifted a step above all others, so that rounding
makes no ties of what was none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from nfkit.graph.fusion.build import Builder
from nfkit.graph.fusion.fused import ANSWER_PREFIX, ROLE_ANSWER, THRESHOLD
from nfkit.graph.fusion.scores import ScoreForm
from nfkit.graph.fusion.trust import Trust
from nfkit.graph.memory.sites import ROLE_KEY

_TINY = 1e-30  # far below every share that matters, far above what float32 denormalises
_STEP = 1.01  # of a scale: half a step is rounded to the even code, so exactly one step might be none


@dataclass(frozen=True)
class Answer:
    """How a fused file answers.

    Attributes:
        form: The base's output.
        trust: How far base and evidence are trusted.
        threshold: Probability from which on the evidence answers alone and the base need not run; None for never.
    """

    form: ScoreForm
    trust: Trust
    threshold: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The answer for a record."""
        record = {"form": self.form.to_dict(), "trust": self.trust.to_dict(), "threshold": self.threshold}
        return {key: value for key, value in record.items() if value is not None}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Answer:
        """The inverse of `to_dict`."""
        form, trust = ScoreForm.from_dict(record["form"]), Trust(**record["trust"])
        return cls(form, trust, record.get("threshold"))

    def with_trust(self, trust: Trust) -> Answer:
        """The same with other numbers."""
        return replace(self, trust=trust)

    def always(self) -> Answer:
        """The same without early answers."""
        return replace(self, threshold=None)


class AnswerStage:
    """Writes the nodes of an answer stage, part by part.

    Args:
        graph: Where the constants go.
        opset: Version of the standard operators.
        answer: What to write.
    """

    def __init__(self, graph: ir.Graph, opset: int, answer: Answer) -> None:
        self.builder = Builder(graph, opset, ANSWER_PREFIX)
        self.answer = answer
        numbers = {**answer.trust.to_dict(), THRESHOLD: answer.threshold}
        self._numbers = {
            name: self.builder.constant(name, number) for name, number in numbers.items() if number is not None
        }

    @property
    def nodes(self) -> list[ir.Node]:
        """What was written so far, marked as an answer stage."""
        for node in self.builder.nodes:
            node.metadata_props[ROLE_KEY] = ROLE_ANSWER
        return self.builder.nodes

    def shares(self, evidence: ir.Value) -> ir.Value:
        """Evidence z [N, C] -> log softmax(z / T)."""
        build = self.builder
        return build.log_softmax(build.node("Div", evidence, self._numbers["temperature"]))

    def sure(self, shares: ir.Value) -> ir.Value:
        """Whether the evidence answers alone, [N, 1], of its logarithmic shares."""
        build = self.builder
        least = build.node("Log", self._numbers[THRESHOLD])
        return build.node("GreaterOrEqual", build.reduce("ReduceMax", shares), least, output="sure")

    def output(self, scores: ir.Value, shares: ir.Value, sure: ir.Value | None) -> ir.Value:
        """The base's output [N, *shape], log shares [N, C], and who is sure [N, 1] -> the answer, [N, *shape]."""
        build = self.builder
        values = self._values(scores)
        weighed = build.node("Mul", shares, self._numbers["weight"])
        combined = build.node("Add", self._base_term(values), weighed)
        alone = build.node("Equal", self._numbers["weight"], build.constant("zero", 0))
        if sure is not None:
            combined = build.node("Where", sure, shares, combined)
            alone = build.node("And", alone, build.node("Not", sure))
        stated = build.node("Where", alone, values, self._stated(combined))
        return self._typed(stated)

    def early(self, shares: ir.Value) -> ir.Value:
        """Log shares [N, C] -> the evidence's own answer, [N, *shape]."""
        return self._typed(self._stated(shares))

    def _values(self, scores: ir.Value) -> ir.Value:
        """The base's output in its own type and shape -> float32 [N, C]."""
        build, form = self.builder, self.answer.form
        if form.quantises:
            scores = build.node("DequantizeLinear", scores, *self._quantisation())
        elif form.dtype != "float32":
            scores = build.node("Cast", scores, to=int(ir.DataType.FLOAT))
        if form.scale is not None and not form.quantises:  # codes, which came as floats
            steps = build.node("Sub", scores, build.constant("output_zero_point", form.zero_point))
            scores = build.node("Mul", steps, build.constant("output_scale", form.scale))
        if len(form.shape) == 1:
            return scores
        return build.node("Reshape", scores, build.constant("rows", [-1, form.classes], np.int64))

    def _base_term(self, values: ir.Value) -> ir.Value:
        """log((1 - e) softmax(t s) + e / C), less its largest: 0 for all classes, exactly, where e is 1."""
        build, doubt = self.builder, self._numbers["doubt"]
        if self.answer.form.kind == "probabilities":
            values = build.node("Log", build.node("Max", values, build.constant("floor", self.answer.form.floor)))
        shares = build.softmax(build.node("Mul", values, self._numbers["sharpness"]))
        kept = build.node("Mul", shares, build.node("Sub", build.constant("one", 1), doubt))
        doubted = build.node("Div", doubt, build.constant("classes", self.answer.form.classes))
        mixed = build.node("Add", kept, doubted)
        relative = build.node("Div", mixed, build.reduce("ReduceMax", mixed))
        return build.node("Log", build.node("Max", relative, build.constant("tiny", _TINY)))

    def _stated(self, logs: ir.Value) -> ir.Value:
        """Logarithms [N, C] -> numbers of the base's kind, as floats that the type of its output can hold."""
        build, form = self.builder, self.answer.form
        if form.kind == "probabilities":
            stated = build.softmax(logs)
        elif form.kind == "log-probabilities":
            stated = build.log_softmax(logs)
        else:
            stated = logs
        if form.scale is None or not form.quantises:
            return stated
        low, high = self._range()
        top = build.reduce("ReduceMax", stated)
        if form.kind == "logits":  # they have no level of their own: the winner takes the largest code
            stated = build.node("Add", build.node("Sub", stated, top), build.constant("largest", high))
            top = build.reduce("ReduceMax", stated)
        winner = build.node("Max", top, build.constant("least_winner", low + form.scale))
        others = build.node("Sub", winner, build.constant("step", _STEP * form.scale))
        return build.node("Where", build.node("Equal", stated, top), winner, build.node("Min", stated, others))

    def _typed(self, stated: ir.Value) -> ir.Value:
        """float32 [N, C] -> the type and shape of the base's output."""
        build, form = self.builder, self.answer.form
        stated = self._reshaped(stated)
        if form.quantises:
            return build.node("QuantizeLinear", stated, *self._quantisation())
        if form.dtype != "float32":
            return build.node("Cast", stated, to=_element(form.dtype))
        return stated

    def _reshaped(self, rows: ir.Value) -> ir.Value:
        build, shape = self.builder, self.answer.form.shape
        if len(shape) == 1:
            return rows
        return build.node("Reshape", rows, build.constant("output_shape", [-1, *shape], np.int64))

    def _quantisation(self) -> tuple[ir.Value, ir.Value]:
        build, form = self.builder, self.answer.form
        zero = build.constant("output_zero_point", form.zero_point, np.dtype(form.dtype))
        return build.constant("output_scale", form.scale or 1.0), zero

    def _range(self) -> tuple[float, float]:
        form = self.answer.form
        info = np.iinfo(np.dtype(form.dtype))
        scale = form.scale or 1.0
        return (info.min - form.zero_point) * scale, (info.max - form.zero_point) * scale


def _element(dtype: str) -> int:
    return int(ir.DataType.from_numpy(np.dtype(dtype)))
