"""Terms of what low voltage does to the memory of weights, and of how that may hold them."""

from __future__ import annotations

from nfkit.reports.terms.term import Term

TERMS = (
    Term(
        "bit error rate",
        "The probability that a memory cell is faulty at a voltage: 0.01 (1 %) makes one cell in a hundred faulty. "
        "Whether a faulty cell really flips its bit depends on the kind of fault: of stuck cells about half do. So "
        "every result states faulty cells and flipped bits besides.",
        ("BER", "rate", "bit error"),
        "faults.md",
    ),
    Term(
        "faulty cells",
        "Cells of the weight memory that do not return what was written, counted on one chip. Not every one of them"
        " shows: a cell stuck at 1 that holds a 1 does no harm.",
        ("faulty cell", "cells"),
        "faults.md",
    ),
    Term(
        "flipped bits",
        "Bits of the stored weights that read differently from what was written: what the model really suffers.",
        ("flips", "flipped bit"),
        "faults.md",
    ),
    Term(
        "stuck",
        "Kind of fault: a faulty cell holds 0 or 1, half of them each unless --set-share says otherwise, whatever "
        "is written. About half of the faulty cells hold the right bit by chance.",
        ("stuck-at", "stuck at"),
        "faults.md",
    ),
    Term(
        "flip",
        "Kind of fault: a faulty cell returns the opposite of what was written, so every faulty cell is a flipped bit.",
        ("flip fault",),
        "faults.md",
    ),
    Term(
        "asymmetric",
        "Kind of fault: 0 turns into 1 at one rate and 1 into 0 at another, as measured memories do. --set-share "
        "gives the share of the first.",
        (),
        "faults.md",
    ),
    Term(
        "chip",
        "One piece of silicon: a seed that says which of its cells fail first as the voltage falls. The same seed "
        "is the same chip on every machine, and its faulty cells at a low rate are among those at a higher one. "
        "Chips that a generator was trained or chosen on are never those it is measured on.",
        ("chips", "seed"),
        "faults.md",
    ),
    Term(
        "memory layout",
        "Which cell holds which bit of which weight. iid: every bit has a cell of its own. array: all weights pass "
        "through one array, so that they share its faulty cells. reference: as the published code tiles its map. "
        "The same rate costs very different accuracies under each.",
        ("layout", "iid", "array", "reference", "layout map"),
        "faults.md",
    ),
    Term(
        "storage code",
        "Which word of bits stands for which number: two's complement, sign and magnitude, offset binary or Gray. "
        "The same faulty cells cost more or less accuracy, depending on what a bit weighs.",
        ("two's complement", "sign and magnitude", "offset binary", "gray"),
        "faults.md",
    ),
    Term(
        "robust bits",
        "Bits held in cells that do not fail, by a supply of their own or larger cells. Their share of the cells is"
        " paid for at full energy, and the hardware must have them.",
        ("protected bits", "protect-top"),
        "faults.md",
    ),
    Term(
        "SECDED",
        "An error-correcting code: check bits beside each word correct one faulty bit of it and detect two. The "
        "check bits are cells that can fail as well, and that cost energy.",
        ("ecc", "error correction"),
        "faults.md",
    ),
)
