"""How often a systolic array reads its weight memory: the closed forms.

A layer multiplies [positions P, depth K] by [K, outputs N] for each of its groups. An array of R x C cells works it off
in folds, and each fold reads the weights that it needs, once (the counting of SCALE-Sim):

* output-stationary: a fold keeps R positions x C outputs and streams all K weights of its outputs through; the folds
  over the outputs share the weights out, those over the positions read them again: ceil(P / R) * K * N.
* weight-stationary: a fold keeps R x C weights and streams all positions past them: K * N.
* input-stationary: a fold keeps R inputs of each of C positions and streams the weights of all outputs through:
  ceil(P / C) * K * N.

A group is a product of its own with its own inputs, so it is worked off on its own; groups add up. Filling idle columns
with other groups would leave these counts as they are: no two groups share a weight.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from nfkit.energy.layers import Layer
from nfkit.errors import OptionError

Dataflow = Literal["os", "ws", "is"]
DATAFLOWS: tuple[Dataflow, ...] = get_args(Dataflow)


@dataclass(frozen=True)
class SystolicArray:
    """An array of multipliers in front of a weight memory.

    Attributes:
        rows: R.
        columns: C.
        dataflow: What stays in the cells: outputs, weights or inputs.
        word_bits: Bits that one access to the memory delivers.
    """

    rows: int = 32
    columns: int = 32
    dataflow: Dataflow = "os"
    word_bits: int = 64

    def __post_init__(self) -> None:
        if min(self.rows, self.columns, self.word_bits) < 1:
            raise OptionError(
                f"an array of {self.rows}x{self.columns} with words of {self.word_bits} bits does not exist: "
                "give numbers from 1 on"
            )
        if self.dataflow not in DATAFLOWS:
            raise OptionError(f"unknown dataflow {self.dataflow!r}: choose one of {', '.join(DATAFLOWS)}")

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns} {self.dataflow}, words of {self.word_bits} bits"

    def weight_reads(self, layer: Layer) -> int:
        """Weights that one inference reads, each as often as it is read."""
        if self.dataflow == "ws":
            passes = 1
        else:
            passes = -(-layer.positions // (self.rows if self.dataflow == "os" else self.columns))
        return layer.repeats * passes * layer.weights

    def accesses(self, layer: Layer) -> float:
        """Words that one inference reads from the weight memory; the last word of a layer may be a fraction."""
        return self.weight_reads(layer) * layer.bits / self.word_bits

    def to_dict(self) -> dict[str, Any]:
        """The array for a record."""
        return dict(vars(self))


def parse_array(text: str, dataflow: str = "os", word_bits: int = 64) -> SystolicArray:
    """Reads the extent of an array.

    Args:
        text: `ROWSxCOLUMNS`, such as `32x32`.
        dataflow: One of `DATAFLOWS`.
        word_bits: Bits that one access delivers.

    Raises:
        OptionError: When there is no such array.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text.strip().lower())
    if match is None:
        raise OptionError(f"array {text!r}: give rows and columns, such as 32x32")
    return SystolicArray(int(match[1]), int(match[2]), dataflow, word_bits)  # type: ignore[arg-type]
