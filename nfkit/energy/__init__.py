"""What a graph costs to run."""

from nfkit.energy.macs import count_macs, count_parameters

__all__ = ["count_macs", "count_parameters"]
