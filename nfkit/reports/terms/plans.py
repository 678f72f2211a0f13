"""Terms of what a plan recommends, and of its table."""

from __future__ import annotations

from nfkit.reports.terms.term import Term

TERMS = (
    Term(
        "plan",
        "The way to run a model that takes the least energy within a tolerated loss of accuracy: voltage, remedy and, "
        "of a protected file, trust and threshold. One half of the images and chips chooses, the other confirms. The "
        "loss has to be within it with a confidence of 80 % (--confidence), and the plan says how sure it is.",
        ("max-loss", "tolerance", "within", "not confirmed", "not chosen", "beyond", "sure", "for sure", "confidence"),
        "plan.md",
    ),
    Term(
        "remedy",
        "What is done against bit errors, in a word that plans and campaigns take: bare (nothing but the voltage), "
        "neuralfuse:FILE, storage:CODE, robust-bits:N, ecc:CODE, mixed-voltage:SITE, several joined by +.",
        ("remedies", "bare", "neuralfuse", "mixed-voltage"),
        "remedies.md",
    ),
    Term(
        "verdict",
        "The first sentence of a result: what to run. A protected model has to be surely better than the faulty base, "
        "the generator alone and the bare base at a milder voltage; in a tie the simpler way is named.",
        ("rival", "rivals", "ahead", "behind", "undecided", "broken"),
        "statistics.md",
    ),
    Term(
        "loss",
        "Accuracy of the base without errors minus that under errors, in points, on the same images and chips. A plan "
        "holds it within what is tolerated, and says how sure that is.",
        ("lost", "points lost", "points"),
        "plan.md",
    ),
    Term(
        "worst chip",
        "The lowest accuracy among the chips that were measured, in %. More chips have a worse one; the interval is "
        "that of the mean.",
        ("worst",),
        "statistics.md",
    ),
    Term(
        "base runs",
        "Share of the images that need the base where a file answers early; the energy of the weight memory is then an "
        "expectation: the generator's reads for every image, and the base's for this share.",
        ("spared",),
        "plan.md",
    ),
    Term(
        "latency",
        "Time of an inference at batch 1 or another, of base and protected model by turns: mean, median and 95th "
        "percentile. With early answers it depends on the image, and its mean is what counts.",
        ("mean latency", "p50", "p95"),
        "plan.md",
    ),
    Term(
        "caution",
        "How fast a hint generator's patterns fade where it is unsure of the class. More of it leaves more to the "
        "base.",
        (),
        "training.md",
    ),
)
