"""What low voltage does to SRAM cells. NumPy only; may import nothing of nfkit but what all rooms stand on.

`kinds` says what an erroneous cell does, `codes` how a code is held, `ecc` what a reader corrects, `layouts` which cell
holds which bit, `chip` which cells of a chip err; `BitErrors` is what a user says of all that. Each of the first four
has a registry: a new one is a file and a line.
"""

from nfkit.faults.bit_errors import BitErrors
from nfkit.faults.chip import EVALUATION_CHIPS, TRAINING_CHIPS, VALIDATION_CHIPS, Chip
from nfkit.faults.layouts import Array, Clustered, Iid, Layout, Measured, Memory, Reference, parse_layout
from nfkit.faults.site_faults import Read, SiteFaults
from nfkit.faults.words import flipped_bits

__all__ = [
    "EVALUATION_CHIPS",
    "TRAINING_CHIPS",
    "VALIDATION_CHIPS",
    "Array",
    "BitErrors",
    "Chip",
    "Clustered",
    "Iid",
    "Layout",
    "Measured",
    "Memory",
    "Read",
    "Reference",
    "SiteFaults",
    "flipped_bits",
    "parse_layout",
]
