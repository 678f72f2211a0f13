"""Data sets: what a generator is trained on, and what accuracy is measured on. Samples in, by form; no torch.

`sources` goes from what a user writes to a data set, `found` looks for data that nobody named, `plausibility` doubts
what loads. A new form is one module that reads it into a `Dataset`, and one entry of `sources.FORMS`; names of arrays,
rules for images, and limits of size are in `names`, `images` and `limits`, so that every form keeps them alike. May
import: `nfkit.model`, `nfkit.errors`; what the model takes is handed in as a shape.
"""

from nfkit.data.dataset import Dataset, Split
from nfkit.data.found import find_data
from nfkit.data.sources import load, load_for_training

__all__ = ["Dataset", "Split", "find_data", "load", "load_for_training"]
