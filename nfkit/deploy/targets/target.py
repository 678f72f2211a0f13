"""What a runtime takes, as it states it of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from nfkit.graph.operators.operands import ORT, integer


@dataclass(frozen=True)
class Limit:
    """An operator that a runtime does not take, always or in some form.

    Attributes:
        op: Its name.
        why: What is wrong with it, to go on after "node 'x': ".
        way_out: What to do about it.
        applies: In which nodes; all of that name by default.
        domain: Its domain.
    """

    op: str
    why: str
    way_out: str
    applies: Callable[[ir.Node], bool] = lambda node: True
    domain: str = ""


@dataclass(frozen=True)
class Target:
    """A runtime that a file can be shipped for.

    Attributes:
        name: What `--target` calls it.
        sentence: What it is, in a few words.
        package: What to install to run it here.
        opsets: Lowest and highest version of the standard operators.
        contributed: Operators of ONNX Runtime's own domain that it takes; None for all.
        types: Names of element types that it does not take, such as INT4, whatever they are used for.
        limits: Operators that it does not take.
        branches: Whether it takes If.
        one_sample: Whether the batch must be fixed, to 1.
        spelt_softmax: Whether it computes Softmax wrongly between codes, so that it must be spelt out.
        spelt_padding: Whether it computes convolutions of codes wrongly where a window lies wholly in the padding, so
            that this must be a Pad of its own.
        suffix: How its files are called.
    """

    name: str
    sentence: str
    package: str
    opsets: tuple[int, int]
    contributed: frozenset[str] | None = None
    types: frozenset[str] = frozenset()
    limits: tuple[Limit, ...] = ()
    branches: bool = True
    one_sample: bool = False
    spelt_softmax: bool = False
    spelt_padding: bool = False
    suffix: str = ".onnx"

    def limit(self, node: ir.Node) -> Limit | None:
        """Why the runtime does not take a node; None where it does."""
        for limit in self.limits:
            if (node.domain, node.op_type) == (limit.domain, limit.op) and limit.applies(node):
                return limit
        if node.domain == ORT and self.contributed is not None and node.op_type not in self.contributed:
            why = f"{node.op_type} is an operator of ONNX Runtime's own"
            return Limit(node.op_type, why, "export the model as QDQ, in standard operators", domain=ORT)
        return None


def is_blocked(node: ir.Node) -> bool:
    """Whether a node dequantises by blocks."""
    return integer(node, "block_size", 0) > 0


def is_per_channel(node: ir.Node) -> bool:
    """Whether a QLinearConv has one weight scale a channel."""
    scale = node.inputs[4] if len(node.inputs) > 4 else None
    return scale is not None and scale.const_value is not None and scale.const_value.size > 1
