"""Terms of many measurements, and of what they tell besides."""

from __future__ import annotations

from nfkit.reports.terms.term import Term

TERMS = (
    Term(
        "campaign",
        "A plan of many cells, measured on many chips and kept measurement by measurement: what was ended goes on.",
        ("nfkit campaign", "store"),
        "campaigns.md",
    ),
    Term(
        "campaign cell",
        "One combination of a plan: model, data, remedy, kind, layout, storage code and rate. All cells of a campaign "
        "are measured on the same chips.",
        ("cell",),
        "campaigns.md",
    ),
    Term(
        "silent corruption",
        "Answers that errors change against the same file without errors. Nothing tells that such an answer is other: "
        "it is counted by comparing, and split into right to wrong and wrong to right.",
        ("changed", "right>wrong", "wrong>right", "SDC", "right to wrong", "wrong to right"),
        "campaigns.md",
    ),
    Term(
        "vulnerability",
        "What errors in one bit position of one weight site cost, while all other cells hold what was written. Losses "
        "of single bits do not add up to that of errors everywhere.",
        ("vulnerability map",),
        "campaigns.md",
    ),
    Term(
        "stop rule",
        "With --until, a cell of a campaign ends when its interval is narrow enough. Each look has a higher confidence "
        "than the one before, so that all of them together miss the truth in at most 5 % of the cases.",
        ("until", "looks", "settled"),
        "campaigns.md",
    ),
    Term(
        "labels of the base",
        "With --labels base the clean base's own answers stand for labels: accuracy then means agreement with it.",
        ("agreement",),
        "data.md",
    ),
)
