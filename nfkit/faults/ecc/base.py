"""What an error correction says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from nfkit.faults.words import Words


class Correction(ABC):
    """Check bits for every so many data bits, and a decoder at the read port.

    Codes fill memory words in the order of the tensor and never straddle two of them. The last word of a tensor may
    hold fewer codes; what it lacks is no memory and never errs. Check bits are cells like others, in a memory of their
    own beside the site's, and err like them.

    Attributes:
        name: What it is called in options and records.
        data_bits: Data bits of a memory word.
        check_bits: Check bits that are stored for each.
    """

    name: str
    data_bits: int
    check_bits: int

    def codes_per_word(self, bits: int) -> int:
        """Codes of so many bits that a memory word holds."""
        return self.data_bits // bits

    def count_words(self, codes: int, bits: int) -> int:
        """Memory words for so many codes."""
        return -(-codes // self.codes_per_word(bits))

    def check_cells_per_bit(self, bits: int) -> float:
        """Check cells for each data cell of codes of so many bits, where words are full."""
        return self.check_bits / (self.codes_per_word(bits) * bits)

    @abstractmethod
    def correct(
        self,
        held: Words,
        read: Words,
        bits: int,
        setting: npt.NDArray[np.uint8],
        clearing: npt.NDArray[np.uint8],
        neutral: int,
    ) -> Words:
        """What the decoder makes of words that were read.

        Args:
            held: What was written, one code an element, flat.
            read: What the cells return.
            bits: Bits of a code.
            setting: For each memory word, ones where the cells of its check bits turn a stored 0 into 1.
            clearing: The same where they turn a stored 1 into 0.
            neutral: The word that holds the number 0.

        Returns:
            What a reader gets: a new array.
        """
