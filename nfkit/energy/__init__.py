"""What an inference costs, and what lower voltage saves.

`read` lists the layers of a graph (`layers`, by `shapes` and `unrolled`; `branches` of an If, `paper` for the published
conventions, `unruled` for what no rule knows), `systolic` says how often an array reads the weights of one, and `count`
adds up. `voltage` looks up what an access costs, on a curve that `curve_files` reads; `memory` adds cells that do not
follow the voltage, and `savings` sets a generator's cost against what is saved. `parameters` counts what was learned.
A new operator that multiplies is a rule of `read` and an entry in the table of operators. May import: `nfkit.graph`,
`nfkit.faults`.
"""

from nfkit.energy.count import PRESETS, Count, count, count_fused, count_macs
from nfkit.energy.curve_files import CURVES, DEFAULT_CURVE, PAPER_CURVE, load_curve
from nfkit.energy.memory import PLAIN, MemoryCells, memory_cells
from nfkit.energy.parameters import count_parameters
from nfkit.energy.read import Preset
from nfkit.energy.savings import Saving, compare, efficiency_ratio, energy_saving
from nfkit.energy.systolic import DATAFLOWS, Dataflow, SystolicArray, parse_array
from nfkit.energy.voltage import Curve, OperatingPoint

__all__ = [
    "CURVES",
    "DATAFLOWS",
    "DEFAULT_CURVE",
    "PAPER_CURVE",
    "PLAIN",
    "PRESETS",
    "Count",
    "Curve",
    "Dataflow",
    "MemoryCells",
    "OperatingPoint",
    "Preset",
    "Saving",
    "SystolicArray",
    "compare",
    "count",
    "count_fused",
    "count_macs",
    "count_parameters",
    "efficiency_ratio",
    "energy_saving",
    "load_curve",
    "memory_cells",
    "parse_array",
]
