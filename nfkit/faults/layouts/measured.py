"""Cells of a chip that was measured.

The maps of a folder (`nfkit.faults.maps`) are one memory, which a model's weights stream through as in `array`. A chip
is a place on it: each site begins at a row that is drawn for chip and site, so that several chips come of one
measurement, and errors that crowd there crowd in the model. The bit error rate takes so many of the measured cells, the
weakest first; the values that they are stuck at are those measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nfkit.errors import OptionError
from nfkit.faults.bit_errors import BitErrors
from nfkit.faults.kinds import Stuck
from nfkit.faults.layouts.array import Array
from nfkit.faults.layouts.base import Memory, draw
from nfkit.faults.maps import MeasuredChip, read_measured_chip
from nfkit.faults.weakness import Cells, unit_marks


@dataclass(frozen=True)
class Measured:
    """Weights stream through a memory of which the faulty cells are known.

    Attributes:
        folder: Where the maps were read from.
        digest: What tells them from others.
        chip: The maps.
    """

    usage: ClassVar[tuple[str, ...]] = ("measured:FOLDER",)

    folder: str
    digest: str
    chip: MeasuredChip = field(compare=False, repr=False)

    @classmethod
    def parse(cls, settings: str) -> Measured:
        """Reads FOLDER, or FOLDER#DIGEST where the maps must be those of a record.

        Raises:
            ValueError: When no folder is given.
            DataError: When it holds no maps.
            OptionError: When it holds others than the digest says.
        """
        folder, mark, digest = settings.rpartition("#")
        if not mark:
            folder, digest = settings, ""
        if not folder:
            raise ValueError(settings)
        chip = read_measured_chip(Path(folder))
        if digest and digest != chip.digest:
            raise OptionError(f"'{folder}' holds the fault maps {chip.digest}, not {digest}: give the folder of those")
        return cls(folder, chip.digest, chip)

    @property
    def highest_rate(self) -> float:
        """The share of the cells that failed at the lowest voltage that was measured."""
        return len(self.chip.order) / self.chip.cells

    def faulty(self, seed: int, memory: Memory, errors: BitErrors) -> tuple[Cells, Cells]:
        """See `Layout.faulty`."""
        if not isinstance(errors.fault_kind, Stuck) or errors.set_share != 0.5:
            raise OptionError(
                "measured cells are stuck at what was measured: leave --kind at stuck and --set-share at 0.5"
            )
        array = Array(self.chip.rows, self.chip.columns)
        start = int(unit_marks(seed, f"{memory.name} in {self.digest}", 1)[0] * self.chip.rows)
        setting, clearing = draw(_Cells(self.chip), errors)
        return (
            array.spread(self._from(start, setting), memory, 1),
            array.spread(self._from(start, clearing), memory, 1),
        )

    def _from(self, start: int, cells: Cells) -> Cells:
        """The same cells, counted from another row on."""
        columns, rows = np.uint64(self.chip.columns), np.uint64(self.chip.rows)
        row, column = cells // columns, cells % columns
        turned: Cells = (row + rows - np.uint64(start)) % rows * columns + column
        return turned

    def __str__(self) -> str:
        return f"measured:{self.folder}#{self.digest}"


@dataclass(frozen=True)
class _Cells:
    chip: MeasuredChip

    def weakest(self, rate: float) -> Cells:
        count = round(rate * self.chip.cells)
        if count > len(self.chip.order):
            known = ", ".join(f"{100 * self.chip.rate_at(s.volts):.3g} % ({s.volts:g} V)" for s in self.chip.steps)
            raise OptionError(
                f"a bit error rate of {100 * rate:.3g} % is beyond the maps of {self.chip.name}, which have {known}: "
                "choose one of these rates, or one between them"
            )
        return self.chip.order[:count]

    def prefer_one(self, cells: Cells, share: float) -> npt.NDArray[np.bool_]:
        return self.chip.prefer_one(cells)
