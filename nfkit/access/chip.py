"""A graph whose weights one chip returns: a base as a device at low voltage runs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nfkit.access.base import GraphBase
from nfkit.access.runtime import Level
from nfkit.faults import BitErrors, Chip
from nfkit.graph.injection.inject import with_codes
from nfkit.graph.memory.sites import codes, fault_sites


@dataclass(frozen=True)
class OnChip:
    """A base on a chip.

    Attributes:
        base: What answers.
        faulty_cells: Cells of its weights that err.
        flipped_bits: Bits that they return wrongly.
    """

    base: GraphBase
    faulty_cells: int
    flipped_bits: int


def put_on_chip(
    model: ir.Model, chip: Chip, errors: BitErrors, *, level: Level = "all", threads: int | None = None
) -> OnChip:
    """A model as it answers on a chip; of a protected one, the generator runs without errors.

    Args:
        model: The model; not changed.
        chip: The chip that holds its weights.
        errors: Rate and kind.
        level: Optimisation level of ONNX Runtime.
        threads: Threads of one run; all cores by default.

    Raises:
        ModelError: When the model stores no weights as integers, or ONNX Runtime refuses it.
    """
    read, cells, bits = {}, 0, 0
    for site in fault_sites(model):
        faults = chip.faults(site, errors)
        returned = faults.read(codes(model, site))
        read[site.name] = np.ascontiguousarray(returned.codes)
        cells += faults.faulty_cells()
        bits += returned.flipped
    return OnChip(GraphBase(with_codes(model, read), level=level, threads=threads), cells, bits)
