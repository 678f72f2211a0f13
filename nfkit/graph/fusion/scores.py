"""The form in which a base states its scores, and in which a fused file has to state its answer.

Whether numbers are logits, log-probabilities or probabilities is told by the numbers: shares of a whole are positive
and add up to one, on any input, and no logits do. That holds for a Softmax written in any way, or hidden in another
operator. What scale integer codes have is told by the operator that makes them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import UnsupportedError
from nfkit.graph.memory.storage import constant
from nfkit.graph.operators.operands import DEQUANTIZE, ORT, QUANTIZE, key_of, operand

Kind = Literal["logits", "log-probabilities", "probabilities"]

FLOOR = 1e-7
"""Least probability that is told apart from none in float32."""

_TYPES = ("float32", "float16", "float64", "int8", "uint8", "int16", "uint16")
_PASSING = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast")

# Operators that give codes, and where they keep the scale of these; the zero point is the next operand.
_CODING: dict[tuple[str, str], int] = {
    **dict.fromkeys(QUANTIZE, 1),
    ("", "QLinearConv"): 6,
    ("", "QLinearMatMul"): 6,
    (ORT, "QLinearConv"): 6,
    (ORT, "QGemm"): 7,
    (ORT, "QLinearAdd"): 6,
    (ORT, "QLinearMul"): 6,
    (ORT, "QLinearSoftmax"): 3,
    (ORT, "QLinearSigmoid"): 3,
    (ORT, "QLinearGlobalAveragePool"): 3,
    (ORT, "QLinearAveragePool"): 3,
    (ORT, "QLinearReduceMean"): 3,
}


@dataclass(frozen=True)
class ScoreForm:
    """How a model's first output states its scores.

    Attributes:
        kind: What the numbers are.
        dtype: NumPy name of their type.
        shape: Extents of all axes but the batch; one score a class, so all but one are 1.
        scale: Scale of integer codes, also where these come as floats; None for scores that are floats themselves.
        zero_point: Their zero point.
        step: Distance of the values that the numbers can have, also where floats come out of codes; 0 if not known.
    """

    kind: Kind
    dtype: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int = 0
    step: float = 0.0

    @property
    def classes(self) -> int:
        """Number of classes, C."""
        return int(np.prod(self.shape))

    @property
    def quantises(self) -> bool:
        """Whether an answer in this form is made of integers."""
        return self.scale is not None and np.issubdtype(np.dtype(self.dtype), np.integer)

    @property
    def floor(self) -> float:
        """Least probability that a logarithm is taken of: a quarter of a step, since a code of 0 is a rounded one."""
        return max(FLOOR, self.step / 4)

    def log_scores(self, outputs: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The scores s in log form.

        Args:
            outputs: What the model gave, [N, *shape].

        Returns:
            [N, C], up to a summand a sample.
        """
        values = self._values(outputs)
        return np.log(np.maximum(values, self.floor)) if self.kind == "probabilities" else values

    def _values(self, outputs: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        values = np.asarray(outputs, np.float64).reshape(len(outputs), -1)
        return values if self.scale is None else (values - self.zero_point) * self.scale

    def to_dict(self) -> dict[str, Any]:
        """The form for a record."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> ScoreForm:
        """The inverse of `to_dict`."""
        return cls(**{**record, "shape": tuple(record["shape"])})


def find_form(model: ir.Model, outputs: npt.NDArray[Any]) -> ScoreForm:
    """Finds the form of a model's first output.

    Args:
        model: The model; not changed.
        outputs: What it gave on at least one sample, [N, ...]; more samples make the decision surer.

    Raises:
        UnsupportedError: When the output is no score a class, or of a type or scale that no answer can be put into.
    """
    output = model.graph.outputs[0]
    shape = tuple(int(extent) for extent in outputs.shape[1:])
    if not shape or int(np.prod(shape)) != max(shape) or max(shape) < 2:
        raise UnsupportedError(
            f"output '{output.name}' has shape {list(outputs.shape)}: an answer needs one score a class, [N, classes]"
        )
    dtype = str(outputs.dtype)
    if dtype not in _TYPES:
        raise UnsupportedError(f"output '{output.name}' is {dtype}: an answer needs floats, or codes of 8 or 16 bits")
    scale, zero_point, step = None, 0, 0.0
    coder = _maker(output)
    if np.issubdtype(outputs.dtype, np.integer):
        scale, zero_point = _coding(output, coder)
        step = scale
    elif coder is not None and key_of(coder) in DEQUANTIZE:
        stated = constant(coder.inputs[1]) if coder.inputs[1] is not None else None
        step = float(stated.ravel()[0]) if stated is not None and stated.size == 1 else 0.0
    values = ScoreForm("logits", dtype, shape, scale, zero_point, step)._values(outputs)
    return ScoreForm(_kind(values, step), dtype, shape, scale, zero_point, step)


def form_of(scores: npt.NDArray[np.float32]) -> ScoreForm:
    """The form of float scores [N, C] of which nothing but the numbers is known."""
    return ScoreForm(_kind(np.asarray(scores, np.float64), 0.0), "float32", scores.shape[1:])


def _kind(values: npt.NDArray[np.float64], step: float) -> Kind:
    classes = values.shape[1]
    # Each rounded share is at most half a step off; one that saturates at the top of its codes, a whole one.
    slack = max(2e-3, step * (classes / 2 + 1))
    if slack < 0.5 and values.min() >= -1e-6 and np.abs(values.sum(1) - 1).max() <= slack:
        return "probabilities"
    if values.max() <= slack and np.abs(np.exp(values).sum(1) - 1).max() <= slack and slack < 0.5:
        return "log-probabilities"
    return "logits"


def _maker(output: ir.Value) -> ir.Node | None:
    """The operator that gives an output its values, behind those that only pass them on."""
    node = output.producer()
    while node is not None and key_of(node) in {("", op) for op in _PASSING} and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node


def _coding(output: ir.Value, coder: ir.Node | None) -> tuple[float, int]:
    """Scale and zero point of integer scores."""
    at = None if coder is None else _CODING.get(key_of(coder))
    scale = zero_point = None
    if coder is not None and at is not None:
        stated, zero = operand(coder, at), operand(coder, at + 1)
        scale = None if stated is None else constant(stated)
        zero_point = np.array(0) if zero is None else constant(zero)
    if scale is None or zero_point is None or scale.size != 1 or zero_point.size != 1:
        made = "by nothing" if coder is None else f"by node '{coder.name or coder.op_type}' ({coder.op_type})"
        raise UnsupportedError(
            f"the scale of the integer output '{output.name}', made {made}, cannot be told: the base has to answer "
            "by itself (--answer base)"
        )
    return float(scale.ravel()[0]), int(zero_point.ravel()[0])
