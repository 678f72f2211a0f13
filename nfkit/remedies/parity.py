"""Whether torch computes the model that ONNX Runtime runs: gradients of another model would mislead.

The two sum in different orders, so a value on the edge between two codes may be rounded to either, and a quantised
network carries such a step to its output. Over fifty layers a step becomes anything, in ONNX Runtime's own levels of
optimisation as well. Hence three questions:

1. Are the outputs close? Then the two agree.
2. If not: by how much do ONNX Runtime's own levels differ on the same samples?
3. Does every node, given the very operands that ONNX Runtime gave it, return the same but for rounding? If so, what is
   seen at the output is rounding that accumulated. If not, the first node that does not is at fault, and is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.access.trace import trace
from nfkit.errors import ModelError
from nfkit.graph.canonical.rewrites import takes_codes

_CLOSE = 0.05  # mean difference, of the standard deviation of the outputs
_EQUAL_CLASSES = 0.95
_TRACED = 8  # samples, or one batch of fixed size, that are followed node by node
_UNEXPLAINED = 1e-3  # share of codes that no rounding explains, as where a runtime's kernel saturates
_FLOAT = {2: 1e-2, 4: 2e-3, 8: 2e-3}  # mean difference of a node's floats, of their largest, by bytes
_LOCAL = 0.1  # largest difference of a node's floats, of their largest: nodes on codes round inside


@dataclass(frozen=True)
class Parity:
    """How torch and ONNX Runtime agree.

    Attributes:
        largest: Largest absolute difference of the first output.
        mean: Mean absolute difference of it.
        equal_classes: Share of samples with the same highest output; None where outputs are no scores of classes.
        levels: Largest mean difference between two levels of ONNX Runtime itself; None where it was not needed.
        nodes: How many nodes were compared one by one; 0 where the outputs are close.
    """

    largest: float
    mean: float
    equal_classes: float | None
    levels: float | None = None
    nodes: int = 0

    def __str__(self) -> str:
        text = f"torch and ONNX Runtime differ by {self.largest:.3g} at most, {self.mean:.3g} on average"
        if self.equal_classes is None:
            text += "; the outputs are no scores of classes, so that values alone were compared"
        else:
            text += f", with {100 * self.equal_classes:.0f} % equal classes"
        if self.nodes:
            text += (
                f"; that is rounding that accumulates: each of {self.nodes} nodes agrees on the same operands, and "
                f"ONNX Runtime's own levels differ by {self.levels:.3g} on average"
            )
        return text


def check_parity(model: ir.Model, sample: npt.NDArray[Any]) -> Parity:
    """Compares the model in torch with ONNX Runtime; see the module's text.

    Raises:
        ModelError: When a node computes something else; the message names it.
    """
    from nfkit.learn.gradients.frozen import run

    levels: tuple[Level, ...] = ("none", "basic", "extended", "all")
    if takes_codes(model):  # whose products may saturate below on processors without VNNI
        levels = ("extended", "all")
    reference: Level = levels[0] if len(levels) == 2 else "basic"
    runner = Runner(model, level=reference)
    computed = run(model, sample, runner.fixed_batch or len(sample))
    scores = runner(sample[: len(computed)])
    is_class_scores = scores.ndim >= 2 and scores[0].size == max(scores.shape[1:]) and scores[0].size > 1
    expected = _flat(scores)
    difference = np.abs(computed - expected)
    agreement = float((computed.argmax(1) == expected.argmax(1)).mean()) if is_class_scores else None
    close = difference.mean() <= _CLOSE * (float(expected.std()) or 1.0)
    parity = Parity(float(difference.max()), float(difference.mean()), agreement)
    if close and (agreement is None or agreement >= _EQUAL_CLASSES):
        return parity
    own = {level: expected if level == reference else _flat(Runner(model, level=level)(sample)) for level in levels}
    spread = max(float(np.abs(one[: len(other)] - other).mean()) for one, other in combinations(own.values(), 2))
    nodes = _compare_nodes(model, sample[: runner.fixed_batch or _TRACED], reference, parity, spread)
    return Parity(parity.largest, parity.mean, agreement, spread, nodes)


def _compare_nodes(model: ir.Model, sample: npt.NDArray[Any], level: Level, parity: Parity, spread: float) -> int:
    """How many nodes agree, one by one.

    Raises:
        ModelError: With the first node that does not, or where there is none to compare.
    """
    from nfkit.learn.gradients.stepwise import differences

    name = next(str(v.name) for v in model.graph.inputs if v.name not in model.graph.initializers)
    values = {**trace(model, sample, level), name: sample}
    count = 0
    for node in differences(model, values):
        count += 1
        whole = np.issubdtype(node.dtype, np.integer) or node.dtype == np.bool_
        if whole:
            agrees = node.unexplained <= _UNEXPLAINED
            share = 100 * node.unexplained
            found = f"{node.mean:.3g} codes on average, {node.largest:.3g} at most, in {share:.2g} % of them"
        else:
            size = node.size or 1.0
            agrees = node.mean <= _FLOAT.get(node.dtype.itemsize, _FLOAT[4]) * size and node.largest <= _LOCAL * size
            found = f"{node.mean:.3g} on average and {node.largest:.3g} at most, at values up to {node.size:.3g}"
        if not agrees:
            raise ModelError(
                f"torch and ONNX Runtime disagree at node '{node.node}' ({node.op}): given the same operands, their "
                f"results differ by {found}, more than rounding. Gradients of this model would be wrong: replace "
                "that operator in the export, or report the node with its attributes"
            )
    if not count:
        raise ModelError(
            f"{parity}. ONNX Runtime's own levels differ by {spread:.3g} on average, and no node of the main graph can "
            "be compared by itself: inline the functions first (onnx.inliner)"
        )
    return count


def _flat(outputs: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return outputs.astype(np.float32).reshape(len(outputs), -1)
