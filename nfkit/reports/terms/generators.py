"""Terms of a base, of what may run with it, and of how the two answer."""

from __future__ import annotations

from nfkit.reports.terms.term import Term

TERMS = (
    Term(
        "base",
        "The frozen model that is to be protected. nfkit never changes it: a protected file holds it node by node "
        "and byte by byte.",
        ("base model",),
        "artifact.md",
    ),
    Term(
        "generator",
        "A small trained network beside the untouched base. It runs at nominal voltage, without errors. By default it "
        "only looks, and its evidence joins the base's answer or spares it; in the published form it changes the "
        "base's input: F(x) = clip(x + G(x), -1, 1).",
        ("G", "hint-32", "auto"),
        "training.md",
    ),
    Term(
        "residual",
        "What a generator adds to the base's input, G(x). One that only looks adds nothing; --residual makes one that "
        "does both.",
        ("pattern", "F(x)"),
        "training.md",
    ),
    Term(
        "pair",
        "Generator and base together: what a protected file in the published form computes.",
        ("protected", "protected model"),
        "training.md",
    ),
    Term(
        "generator alone",
        "What the generator's own class scores would classify without any base. Where that is as good as the pair, "
        "the base adds nothing.",
        ("alone",),
        "training.md",
    ),
    Term(
        "evidence",
        "The class scores that a generator finds out for itself on its way to a pattern. A protected file can let "
        "them take part in the answer.",
        ("hint",),
        "training.md",
    ),
    Term(
        "both ends",
        "The form of a protected file whose answer joins the base's scores with the generator's evidence, each as "
        "far as it is to be trusted.",
        ("answer", "answer stage", "evidence at the output"),
        "artifact.md",
    ),
    Term(
        "trust",
        "Four numbers (t, e, b, T) that say how much the base's scores and the generator's evidence count in the "
        "answer. They are fitted on held-out images and chips; nfkit tune changes them.",
        ("trust numbers",),
        "artifact.md",
    ),
    Term(
        "early answers",
        "Where the evidence is surer than a threshold its answer stands, and the base does not run for that image.",
        ("early", "threshold"),
        "artifact.md",
    ),
    Term(
        "surrogate",
        "A model of the same task that can be opened, on which a generator is trained for a base that cannot.",
        (),
        "access.md",
    ),
)
