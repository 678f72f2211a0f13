"""What every kind of fault says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from nfkit.errors import OptionError
from nfkit.faults.weakness import Cells

MAX_RATE = 0.5
"""Rates above this mean nothing for memory: at 0.5 flips a cell carries no information."""


class Population(Protocol):
    """The cells of one physical memory of one chip."""

    def weakest(self, rate: float) -> Cells:
        """Cells that are faulty at a rate, possibly repeated; those of a lower rate are the first of these."""

    def prefer_one(self, cells: Cells, share: float) -> npt.NDArray[np.bool_]:
        """Which of some cells hold a 1 when they are stuck: a fixed property of the cell."""


class FaultKind(ABC):
    """A kind of fault, at whatever rate.

    Attributes:
        name: What it is called in options and records.
        sentence: What a faulty cell does, to go on after "a faulty cell".
        exclusive: Whether no cell is ever among both those that set and those that clear.
        published: Whether the fault map of the published NeuralFuse code knows this kind.
        function: The ONNX function that injects it, in ONNX's text form: the stored word and the masks, in the order
            of `operands`, to the word that is read. All have the shape and integer type of the weight, since some
            runtimes compute bitwise operators wrongly where one operand is broadcast.
    """

    name: ClassVar[str]
    sentence: ClassVar[str]
    exclusive: ClassVar[bool] = False
    published: ClassVar[bool] = True
    function: ClassVar[str]

    def check(self, rate: float, set_share: float) -> None:
        """Refuses a rate or a share that the kind cannot have.

        Raises:
            OptionError: Saying what it can have.
        """
        if not 0.0 <= set_share <= 1.0:
            raise OptionError(f"set share {set_share} is no share: give a number from 0 to 1")
        if not max(rate, *self.directed_rates(rate, set_share)) <= MAX_RATE or rate < 0:  # also refuses NaN
            raise OptionError(
                f"bit error rate {rate} ({self.name}) is out of range: rates per cell go from 0 to {MAX_RATE}"
            )

    @abstractmethod
    def directed_rates(self, rate: float, set_share: float) -> tuple[float, float]:
        """Shares of the cells that set (turn a stored 0 into 1) and that clear (turn a stored 1 into 0)."""

    def flips_per_cell(self, rate: float, set_share: float, ones: float = 0.5) -> float:
        """Expected share of the stored bits that are read wrongly.

        Args:
            rate: Bit error rate.
            set_share: Share of the errors that write a 1.
            ones: Share of the stored bits that are 1.
        """
        rising, falling = self.directed_rates(rate, set_share)
        return (1 - ones) * rising + ones * falling

    @abstractmethod
    def draw(self, cells: Population, rate: float, set_share: float) -> tuple[Cells, Cells]:
        """The cells of a memory that set and that clear; the same array twice where these are the same cells."""

    @abstractmethod
    def operands(self, setting: npt.NDArray[Any], clearing: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """The masks that the ONNX function takes, by suffix and in order.

        Args:
            setting: Ones where a stored 0 turns into 1.
            clearing: Ones where a stored 1 turns into 0.
        """
