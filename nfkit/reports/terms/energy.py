"""Terms of voltages, accesses and what they cost."""

from __future__ import annotations

from nfkit.reports.terms.term import Term

TERMS = (
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
)
