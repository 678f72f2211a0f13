"""What low voltage does to SRAM cells: kinds of faults, chips, layouts. NumPy only."""

from nfkit.faults.chip import (
    EVALUATION_CHIPS,
    TRAINING_CHIPS,
    VALIDATION_CHIPS,
    Chip,
    SiteFaults,
    flipped_bits,
)
from nfkit.faults.kinds import BitErrors, Kind
from nfkit.faults.layouts import Array, Iid, Layout, Memory, Reference, parse_layout

__all__ = [
    "EVALUATION_CHIPS",
    "TRAINING_CHIPS",
    "VALIDATION_CHIPS",
    "Array",
    "BitErrors",
    "Chip",
    "Iid",
    "Kind",
    "Layout",
    "Memory",
    "Reference",
    "SiteFaults",
    "flipped_bits",
    "parse_layout",
]
