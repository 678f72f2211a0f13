"""What an inference costs, and what lower voltage saves."""

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
