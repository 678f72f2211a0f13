"""What an inference costs, and what lower voltage saves."""

from nfkit.energy.count import Count, count, count_macs
from nfkit.energy.parameters import count_parameters
from nfkit.energy.systolic import SystolicArray, parse_array

__all__ = [
    "Count",
    "SystolicArray",
    "count",
    "count_macs",
    "count_parameters",
    "parse_array",
]
