"""Terms of what stands in a file, and of how it runs."""

from __future__ import annotations

from nfkit.reports.terms.term import Term

TERMS = (
    Term(
        "seal",
        "Digests of the parts of a protected file, in its own metadata. By them nfkit verify sees every later change "
        "of what the file computes or says, and blames none that only writes it anew. It is no signature: whoever can "
        "change a file can seal it again.",
        ("sealed",),
        "deploy.md",
    ),
    Term(
        "canary",
        "A few stored inputs with their error-free answers, and what simulated chips show and are worth on them. A "
        "device that is asked them tells its bit error rate, its accuracy and its best mode, without labels.",
        ("health",),
        "deploy.md",
    ),
    Term(
        "mode",
        "One of the ways in which a file of nfkit modes runs. In the mode nominal the base answers, bit for bit, and "
        "no generator runs; each level of low voltage has the trust that was fitted for its bit error rate.",
        ("modes", "nominal mode"),
        "deploy.md",
    ),
    Term(
        "parity",
        "How far two ways to compute the same file differ: here torch, in which a generator is trained, and ONNX "
        "Runtime, in which the file runs. A quantised network may differ by single steps of its output.",
        ("parity with torch",),
        "training.md",
    ),
    Term(
        "optimisation level",
        "How far ONNX Runtime rewrites a graph before it runs it. The same int8 file may give other answers for one"
        " image in a hundred at another level, so results name theirs.",
        ("level", "optimization"),
        "forms.md",
    ),
    Term(
        "weight site",
        "A stored tensor of integers that an operator reads as a weight: the memory that faults hit.",
        ("site", "sites"),
        "forms.md",
    ),
    Term(
        "quantisation scale",
        "A code q stands for the number scale * (q - zero point); one scale a tensor or one a channel.",
        ("scale", "zero point"),
        "quantisation.md",
    ),
)
