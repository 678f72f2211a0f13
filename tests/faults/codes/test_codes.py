"""Held words: by hand for every code of every type, and what a chip makes of them."""

import hashlib
import itertools
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import pytest

from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Chip, flipped_bits
from nfkit.faults.codes import STORAGE_CODES, find_storage_code
from nfkit.faults.words import to_words


@dataclass(frozen=True)
class Memory:
    name: str
    count: int
    bits: int = 8


TYPES = [
    ("int8", 8), ("uint8", 8), ("int4", 4), ("uint4", 4), ("int2", 2), ("uint2", 2), ("uint16", 16),
    ("int8", 3), ("uint8", 3), ("int8", 5), ("int8", 6), ("uint8", 7), ("int16", 9), ("int32", 32),
]  # fmt: skip
CASES = [(name, dtype, bits) for name in STORAGE_CODES for dtype, bits in TYPES]


def as_type(name):
    return np.dtype(getattr(ml_dtypes, name, name))


def all_codes(dtype, bits):
    """Every code of a type, or the ends, the middle and some others of a wide one."""
    low, high = (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if bits == 32:
        return [low, low + 1, -65_536, -1, 0, 1, 7, 123_456_789, high - 1, high]
    return list(range(low, high + 1))


def word_of(name, code, dtype, bits):
    """The bits that hold a code, as text, highest first; written down independently of the library."""
    unsigned = dtype.startswith("u")
    number = code - 2 ** (bits - 1) if unsigned else code
    offset = f"{number + 2 ** (bits - 1):0{bits}b}"
    if name == "offset-binary" or (name == "as-stored" and unsigned):
        return offset
    if name in ("twos-complement", "as-stored"):
        return ("1" if offset[0] == "0" else "0") + offset[1:]
    if name == "gray":
        return offset[0] + "".join("01"[a != b] for a, b in itertools.pairwise(offset))
    assert name == "sign-magnitude", f"write down here how {name} holds a code"
    magnitude = min(abs(number), 2 ** (bits - 1) - 1)
    return ("1" if number < 0 else "0") + f"{magnitude:0{bits - 1}b}"


def text(held, bits):
    return [f"{int(word) & (2**bits - 1):0{bits}b}" for word in to_words(held)]


@pytest.mark.parametrize(("name", "dtype", "bits"), CASES)
def test_every_code_is_held_as_written_down(name, dtype, bits):
    codes = all_codes(dtype, bits)
    held = find_storage_code(name).hold(np.array(codes).astype(as_type(dtype)), bits)
    assert held.dtype == as_type(dtype)
    assert text(held, bits) == [word_of(name, code, dtype, bits) for code in codes]


@pytest.mark.parametrize(("name", "dtype", "bits"), CASES)
def test_what_is_held_comes_back(name, dtype, bits):
    codes = np.array(all_codes(dtype, bits)).astype(as_type(dtype))
    storage = find_storage_code(name)
    back = storage.release(storage.hold(codes, bits), bits)
    expected = codes.astype(np.int64)
    if name == "sign-magnitude":  # it has no word for the lowest number of all
        expected[0] += 1
    assert back.dtype == codes.dtype
    assert back.astype(np.int64).tolist() == expected.tolist()
    assert storage.inexact(codes, bits) == (1 if name == "sign-magnitude" else 0)


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_neighbours_differ_in_one_bit_of_a_gray_code(bits):
    words = text(find_storage_code("gray").hold(np.array(all_codes("int8", bits), np.int8), bits), bits)
    assert [sum(a != b for a, b in zip(*pair, strict=True)) for pair in itertools.pairwise(words)] == [1] * (
        2**bits - 1
    )


def test_both_zeros_of_sign_and_magnitude_are_0():
    assert find_storage_code("sign-magnitude").release(np.array([0, -128], np.int8), 8).tolist() == [0, 0]
    assert find_storage_code("sign-magnitude").release(np.array([0, 128], np.uint8), 8).tolist() == [128, 128]


def test_narrow_words_in_a_wide_type_are_read_by_their_own_bits():
    # -1 in 3 bits is 0b111 with the sign carried on; as sign and magnitude -3.
    assert find_storage_code("sign-magnitude").release(np.array([-1, 3, -4], np.int8), 3).tolist() == [-3, 3, 0]


def test_unsigned_codes_as_stored_are_offset_binary():
    codes = np.arange(256, dtype=np.uint8)
    assert find_storage_code("offset-binary").hold(codes, 8).tolist() == codes.tolist()
    signed = np.arange(-128, 128, dtype=np.int8)
    assert find_storage_code("twos-complement").hold(signed, 8).tolist() == signed.tolist()


def test_unknown_codes_are_refused_and_the_known_ones_are_named():
    with pytest.raises(
        OptionError, match="unknown storage code 'bcd': choose one of as-stored, twos-complement, sign-"
    ):
        BitErrors(0.01, storage="bcd")


# What chip 50000 makes of 5,000 int8 codes at rate 0.01: bits flipped in the held words, and sha256 of the codes.
GOLDEN = {
    "as-stored": (213, "94e536f103aff19609f8adddf8dffb5db68b69e281803a7af8aae97da69315ae"),
    "twos-complement": (213, "94e536f103aff19609f8adddf8dffb5db68b69e281803a7af8aae97da69315ae"),
    "sign-magnitude": (200, "8ebae861b7270f82beb4bd5d7fcd39071eb2913a801ff7c33530240420c4c0cf"),
    "offset-binary": (217, "020c2cc2a3ffeb2c1e6b1fe069eb903892bbed1d9b26047d5bf66e88fcef7286"),
    "gray": (217, "e32026a6995c504ca99d58a1cd3fae09f0127d97623fb838592063b46daff423"),
}


@pytest.mark.parametrize("name", STORAGE_CODES)
def test_golden_codes(name):
    codes = np.random.default_rng(11).integers(-127, 128, 5000).astype(np.int8)
    read = Chip(50000).faults(Memory("w", 5000), BitErrors(0.01, storage=name)).read(codes)
    found = (read.flipped, hashlib.sha256(read.codes.tobytes()).hexdigest())
    assert found == GOLDEN.get(name)


@pytest.mark.parametrize("name", STORAGE_CODES)
@pytest.mark.parametrize(("dtype", "bits"), [("int8", 8), ("uint8", 8), ("int4", 4), ("int8", 3), ("int32", 32)])
@pytest.mark.parametrize("kind", ["stuck", "flip", "asymmetric"])
def test_errors_hit_the_word_that_is_held(name, dtype, bits, kind):
    random = np.random.default_rng(3)
    stored = [int(c) for c in random.choice(all_codes(dtype, bits), 120)]
    codes = np.array(stored).astype(as_type(dtype)).reshape(10, 12)
    faults = Chip(50001).faults(Memory("w", 120, bits), BitErrors(0.1, kind, storage=name))
    setting, clearing = set(faults.setting.tolist()), set(faults.clearing.tolist())
    meaning = {word_of(name, code, dtype, bits): code for code in all_codes(dtype, bits) if bits < 32}
    if name == "sign-magnitude" and bits < 32:
        low = min(all_codes(dtype, bits))
        meaning |= {word_of(name, low + 1, dtype, bits): low + 1, "1" + "0" * (bits - 1): low + 2 ** (bits - 1)}
    expected, flipped = [], 0
    for index, code in enumerate(stored):
        word = list(word_of(name, code, dtype, bits))
        for bit in range(bits):
            place = bits - 1 - bit
            if index * bits + bit in (clearing if word[place] == "1" else setting):
                word[place] = "10"[int(word[place])]
                flipped += 1
        expected.append("".join(word))
    read = faults.read(codes)
    assert read.codes.shape == (10, 12)
    assert read.flipped == flipped
    assert faults.apply(codes).tobytes() == read.codes.tobytes()
    if bits < 32:
        assert read.codes.ravel().astype(int).tolist() == [meaning[word] for word in expected]
    else:  # too many words to list: what is read is held by the very words that were hit
        held = text(faults.storage.hold(read.codes.ravel(), bits), bits)
        minus_zero = "1" + "0" * 31
        wanted = ["0" * 32 if name == "sign-magnitude" and word == minus_zero else word for word in expected]
        assert held == wanted


@pytest.mark.parametrize("name", STORAGE_CODES)
def test_storage_moves_no_faulty_cell(name):
    plain = Chip(50002).faults(Memory("w", 900), BitErrors(0.05))
    held = Chip(50002).faults(Memory("w", 900), BitErrors(0.05, storage=name))
    assert held.setting.tolist() == plain.setting.tolist()
    assert held.clearing.tolist() == plain.clearing.tolist()


def test_without_errors_only_the_lowest_code_of_sign_and_magnitude_changes():
    codes = np.arange(-128, 128, dtype=np.int8)
    for name in STORAGE_CODES:
        read = Chip(1).faults(Memory("w", 256), BitErrors(0.0, storage=name)).read(codes)
        assert read.flipped == 0
        assert flipped_bits(codes, read.codes) == (1 if name == "sign-magnitude" else 0)
        assert read.codes[0] == (-127 if name == "sign-magnitude" else -128)


def test_a_robust_sign_keeps_the_sign():
    codes = np.random.default_rng(5).integers(-127, 128, 4000).astype(np.int8)
    errors = BitErrors(0.3, "flip", protected_top=1, storage="sign-magnitude")
    read = Chip(50000).faults(Memory("w", 4000), errors).apply(codes)
    assert (read != codes).mean() > 0.5
    assert not ((codes < 0) & (read > 0)).any()
    assert not ((codes > 0) & (read < 0)).any()
