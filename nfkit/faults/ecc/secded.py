"""SECDED: single errors of a memory word are corrected, double errors detected.

The code is Hsiao's (A class of optimal minimum odd-weight-column SEC-DED codes, IBM J. Res. Dev. 14, 1970): each data
bit has a column of check bits of odd weight, the lightest columns first and within a weight by rising value, and each
check bit has itself. A reader computes the syndrome, the sum of the columns of all bits that err:

* 0: the word is taken as it is;
* a column: that bit is turned over. With one error that is the right one; three or more may look like one, and then a
  sound bit is turned over in addition;
* anything else, such as every double error: detected. The word comes as read, or (`zeroing`) each code of it as the
  number 0.

All words are decoded as a device would, whatever the number of errors.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from itertools import count

import numpy as np
import numpy.typing as npt

from nfkit.errors import OptionError
from nfkit.faults.ecc.base import Correction
from nfkit.faults.words import Words
from nfkit.parallel import blocks
from nfkit.parallel import each as share_out

_CHECK_BITS = {32: 7, 64: 8}
_NOTHING, _DETECTED, _CHECK = -1, -2, -3
_BLOCK = 1 << 14  # memory words at once: their bits stay in the processor's cache


class Secded(Correction):
    """Single error correction, double error detection.

    Args:
        data_bits: Data bits of a memory word, 32 or 64; 7 or 8 check bits are stored with them.
        zeroing: Whether the codes of a word in which an error is detected that cannot be corrected are read as the
            number 0 (of an unsigned type: the middle of the range) instead of as they are.

    Raises:
        OptionError: When there is no code of this size.
    """

    def __init__(self, data_bits: int, *, zeroing: bool = False) -> None:
        if data_bits not in _CHECK_BITS:
            raise OptionError(f"SECDED for words of {data_bits} bits: choose 32 or 64")
        self.data_bits, self.check_bits, self.zeroing = data_bits, _CHECK_BITS[data_bits], zeroing
        self.name = f"secded-{data_bits}" + ("-zero" if zeroing else "")

    @cached_property
    def columns(self) -> npt.NDArray[np.uint8]:
        """Check bits that each data bit has a part in, lowest data bit first."""
        odd = [c for c in range(2**self.check_bits) if c.bit_count() % 2 and c.bit_count() > 1]
        odd.sort(key=lambda column: (column.bit_count(), column))
        return np.array(odd[: self.data_bits], np.uint8)

    @cached_property
    def _verdicts(self) -> npt.NDArray[np.int64]:
        """What each syndrome means: a data bit to turn over, or one of the constants."""
        verdicts = np.full(2**self.check_bits, _DETECTED)
        verdicts[0] = _NOTHING
        verdicts[[1 << bit for bit in range(self.check_bits)]] = _CHECK
        for bit, column in zip(count(), self.columns, strict=False):
            verdicts[column] = bit
        return verdicts

    def correct(
        self,
        held: Words,
        read: Words,
        bits: int,
        setting: npt.NDArray[np.uint8],
        clearing: npt.NDArray[np.uint8],
        neutral: int,
    ) -> Words:
        """See `Correction.correct`."""
        each = self.codes_per_word(bits)
        erring = np.flatnonzero((held ^ read) & held.dtype.type(2**bits - 1)) // each
        dubious = (setting | clearing) != 0
        suspect = dubious.copy()
        suspect[erring] = True
        touched, result = np.flatnonzero(suspect), read.copy()

        def work(block: slice) -> None:  # no two blocks share a memory word
            words = touched[block]
            codes = words[:, None] * each + np.arange(each)
            real = codes < len(held)
            codes = np.where(real, codes, 0)
            written, got = np.where(real, held[codes], 0), np.where(real, read[codes], 0)
            syndrome = self._checks(written ^ got, bits)
            doubted = dubious[words]
            checks, at = self._checks(written[doubted], bits), words[doubted]
            syndrome[doubted] ^= (~checks & setting[at]) | (checks & clearing[at])
            result[codes[real]] = self._decode(got, real, syndrome, bits, neutral)[real]

        share_out(work, blocks(len(touched), _BLOCK))
        return result

    def _checks(self, words: Words, bits: int) -> npt.NDArray[np.uint8]:
        """Check bits of memory words [word, code]."""
        checks = np.zeros(len(words), np.uint8)
        for code in range(words.shape[1]):
            for low in range(0, bits, 8):
                part = (words[:, code] >> words.dtype.type(low)).astype(np.uint8)
                first = code * bits + low
                checks ^= _sums(self.columns[first : first + min(8, bits - low)].tobytes()).take(part)
        return checks

    def _decode(
        self, got: Words, real: npt.NDArray[np.bool_], syndrome: npt.NDArray[np.uint8], bits: int, neutral: int
    ) -> Words:
        """Memory words [word, code] after the decoder."""
        verdict = self._verdicts[syndrome]
        fixed, each = got.copy(), got.shape[1]
        found = np.flatnonzero(verdict >= 0)
        code, bit = verdict[found] // bits, verdict[found] % bits
        # What points behind the last code points at no cell: an error that cannot be corrected.
        within = code < each
        within[within] = real[found[within], code[within]]
        fixed[found[within], code[within]] ^= np.left_shift(1, bit[within]).astype(got.dtype)
        if self.zeroing:
            beyond = np.zeros(len(got), np.bool_)
            beyond[found[~within]] = True
            fixed[(verdict == _DETECTED) | beyond] = neutral
        return fixed


@lru_cache(maxsize=1024)
def _sums(columns: bytes) -> npt.NDArray[np.uint8]:
    """For each byte, the sum of the columns (of bits 0, 1, ...) of the bits that it has on."""
    sums = np.zeros(256, np.uint8)
    for bit, column in enumerate(columns):
        sums ^= np.where(np.arange(256) >> bit & 1, np.uint8(column), np.uint8(0))
    return sums
