"""What every remedy says of itself.

A remedy changes the file that runs, the faults that its memory has, or both, and costs energy. Remedies that do not
exclude each other add up: `Combined` is one, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import onnx_ir as ir

from nfkit.energy import Count, MemoryCells, SystolicArray, count, memory_cells
from nfkit.errors import OptionError
from nfkit.faults import BitErrors
from nfkit.graph.memory.sites import fault_sites


class Remedy(ABC):
    """Something that is done against bit errors."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name with its settings, as `nfkit.remedies.registry.parse_remedy` reads it."""

    @property
    @abstractmethod
    def sentence(self) -> str:
        """What is done, as a sentence without a full stop."""

    @property
    def needs(self) -> frozenset[str]:
        """What the chip must be able to do: names of `nfkit.remedies.hardware.ABILITIES`."""
        return frozenset({"voltage"})

    def graph(self, base: ir.Model) -> ir.Model:
        """The file that runs in place of a base; the base itself, unchanged, unless the remedy is one of graphs."""
        return base

    def errors(self, errors: BitErrors) -> BitErrors:
        """The errors that are left in the memory where there were these."""
        return errors

    def added_accesses(self, array: SystolicArray) -> float:
        """Accesses of an inference that the remedy adds, at the nominal voltage."""
        return 0.0

    @property
    def extra_cells(self) -> float:
        """Cells at the low voltage that are read beside each cell of the memory, such as spare ones.

        Robust cells and check bits are none of them: those follow from the `errors` that are left.
        """
        return 0.0

    def cells(self, cells: MemoryCells) -> MemoryCells:
        """The memory's cells with those that the remedy adds."""
        return replace(cells, check=cells.check + self.extra_cells)

    def energy(self, base: Count, model: ir.Model, errors: BitErrors, low: float) -> float:
        """Energy of the weight memory for an inference, over that of the bare base at the nominal voltage.

        Args:
            base: What an inference of the base reads.
            model: The base.
            errors: Bit errors without the remedy.
            low: Energy of an access at the low voltage over that at the nominal one.

        Raises:
            ModelError: When no reads of weights could be counted.
        """
        cells = self.cells(memory_cells(base, fault_sites(model), self.errors(errors)))
        return cells.energy(low) + self.added_accesses(base.array) / base.accesses

    def saving(self, model: ir.Model, errors: BitErrors, low: float, array: SystolicArray | None = None) -> float:
        """Share of the weight memory's energy that a base with the remedy saves; see `energy`."""
        return 1 - self.energy(count(model, array), model, errors, low)

    def to_dict(self) -> dict[str, Any]:
        """The remedy for a record."""
        return {"name": self.name, "sentence": self.sentence, "needs": sorted(self.needs)}

    def __str__(self) -> str:
        return self.name


class Combined(Remedy):
    """Several remedies at once.

    Args:
        remedies: At least one; what each does is done to what those before it leave.

    Raises:
        OptionError: When there is none.
    """

    def __init__(self, remedies: Sequence[Remedy]) -> None:
        if not remedies:
            raise OptionError("nothing to combine: give at least one remedy")
        self.remedies = tuple(remedies)

    @property
    def name(self) -> str:
        """See `Remedy.name`."""
        return "+".join(remedy.name for remedy in self.remedies)

    @property
    def sentence(self) -> str:
        """See `Remedy.sentence`."""
        return "; ".join(remedy.sentence for remedy in self.remedies)

    @property
    def needs(self) -> frozenset[str]:
        """See `Remedy.needs`."""
        return frozenset().union(*(remedy.needs for remedy in self.remedies))

    def graph(self, base: ir.Model) -> ir.Model:
        """See `Remedy.graph`."""
        return reduce(lambda model, remedy: remedy.graph(model), self.remedies, base)

    def errors(self, errors: BitErrors) -> BitErrors:
        """See `Remedy.errors`."""
        return reduce(lambda left, remedy: remedy.errors(left), self.remedies, errors)

    def added_accesses(self, array: SystolicArray) -> float:
        """See `Remedy.added_accesses`."""
        return sum(remedy.added_accesses(array) for remedy in self.remedies)

    @property
    def extra_cells(self) -> float:
        """See `Remedy.extra_cells`."""
        return sum(remedy.extra_cells for remedy in self.remedies)
