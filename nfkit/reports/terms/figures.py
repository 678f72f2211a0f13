"""Terms of what is measured, and of how sure it is."""

from __future__ import annotations

from nfkit.reports.terms.term import Term

TERMS = (
    Term(
        "CA",
        "Clean accuracy: of the base without errors. CA (NF): of the protected model without errors.",
        ("CA (NF)",),
    ),
    Term(
        "PA",
        "Perturbed accuracy: mean over chips under errors, of the base. PA (NF): of the protected model.",
        ("PA (NF)", "perturbed accuracy"),
    ),
    Term(
        "RP",
        "Recovered points: PA (NF) minus PA, chip by chip.",
        ("recovered", "recovery"),
    ),
    Term(
        "EOPM",
        "Expectation over perturbed models: a generator is trained on the clean base and on copies of it with fresh"
        " bit errors in every step.",
        ("perturbed copies", "copies"),
        "training.md",
    ),
    Term(
        "interval",
        "A 95 % interval of a mean accuracy covers what other chips and other images of the same kind would have "
        "given. The interval of a difference is paired: both systems saw the same chips and images. That of an "
        "accuracy without errors is Wilson's, over images alone.",
        ("95 % interval", "confidence interval", "two-way interval", "Wilson"),
        "statistics.md",
    ),
)
