"""Data sets: what a generator is trained on, and what accuracy is measured on."""

from nfkit.data.dataset import Dataset, Split
from nfkit.data.sources import load, load_for_training

__all__ = ["Dataset", "Split", "load", "load_for_training"]
