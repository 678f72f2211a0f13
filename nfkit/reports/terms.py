"""What the words of a result mean: one short text a term, which `nfkit explain` prints.

A new word in an output is a new entry here.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from nfkit.errors import OptionError


@dataclass(frozen=True)
class Term:
    """A word of the field, or of nfkit.

    Attributes:
        name: The word as outputs have it.
        text: What it means, in two to four sentences.
        others: Other spellings that find it.
        see: The page that says more, beneath `docs/`.
    """

    name: str
    text: str
    others: tuple[str, ...] = ()
    see: str = ""


_TERMS = (
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
    Term(
        "operating point",
        "A supply voltage with the bit error rate and the energy an access that a voltage curve states for it.",
        ("point", "voltage curve", "curve"),
        "energy.md",
    ),
    Term(
        "Vmin",
        "The lowest voltage at which a memory makes no errors. Voltages are given as a share of it: 0.85 is 15 % "
        "below.",
        ("V/Vmin", "vdd"),
        "energy.md",
    ),
    Term(
        "energy per access",
        "Energy of one reading of the weight memory at a voltage, over that at Vmin. It falls about as the square "
        "of the voltage.",
        ("energy/access", "energy an access"),
        "energy.md",
    ),
    Term(
        "energy saved",
        "Share of the energy of the weight memory that is saved against the base alone at Vmin, what a generator "
        "reads at Vmin paid for. Activations, DRAM, leakage and arithmetic are not counted.",
        ("saved", "ES", "energy saving", "saving"),
        "energy.md",
    ),
    Term(
        "weight accesses",
        "How often a systolic array reads weights in one inference, counted from the graph. An array that holds few"
        " outputs at a time reads a weight again for each part of them.",
        ("accesses", "TWMA", "reads"),
        "energy.md",
    ),
    Term(
        "preset",
        "How reads and operations are counted: true as the graph says, paper as the published totals imply. Before it "
        "stand the array's cells and what stays in them: os the outputs, ws the weights, is the inputs.",
        ("os", "ws", "dataflow"),
        "energy.md",
    ),
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
    Term(
        "surrogate",
        "A model of the same task that can be opened, on which a generator is trained for a base that cannot.",
        (),
        "access.md",
    ),
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

TERMS: dict[str, Term] = {term.name: term for term in _TERMS}
"""All terms by name, in the order in which they build on each other."""


def find_term(word: str) -> Term:
    """The term that a word stands for, whatever its case.

    Raises:
        OptionError: When there is none; names those that are spelt much like it.
    """
    spellings = {spelling.lower(): term for term in _TERMS for spelling in (term.name, *term.others)}
    wanted = " ".join(word.lower().split())
    if wanted in spellings:
        return spellings[wanted]
    written = {spelling.lower(): spelling for term in _TERMS for spelling in (term.name, *term.others)}
    near = [written[match] for match in difflib.get_close_matches(wanted, spellings, 3, 0.6)]
    hint = f"did you mean {' or '.join(near)}?" if near else "nfkit explain lists all"
    raise OptionError(f"there is no entry for {word!r}: {hint}")
