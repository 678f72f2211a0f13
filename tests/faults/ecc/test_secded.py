"""SECDED: every single and double error, and whole memories against a decoder in plain Python."""

import hashlib
import itertools
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Chip
from nfkit.faults.ecc import CORRECTIONS, Secded, find_correction


@dataclass(frozen=True)
class Memory:
    name: str
    count: int
    bits: int = 8


def columns_of(data_bits):
    """The parity check matrix's data columns, built differently: by weight, each weight by its combinations."""
    check = {32: 7, 64: 8}[data_bits]
    columns = []
    for weight in (3, 5):
        columns += sorted(sum(1 << bit for bit in chosen) for chosen in itertools.combinations(range(check), weight))
    return columns[:data_bits]


def decode(data, check, columns, zeroing):
    """What a reader gets of a word: (bits, whether it was zeroed). `data` and `check` are lists of bits as read."""
    syndrome = sum(bit << place for place, bit in enumerate(check))
    for bit, column in zip(data, columns, strict=False):
        syndrome ^= column if bit else 0
    if syndrome == 0 or syndrome.bit_count() == 1:
        return data, False
    if syndrome in columns[: len(data)]:
        place = columns.index(syndrome)
        return [bit ^ (index == place) for index, bit in enumerate(data)], False
    return data, zeroing


def encode(data, columns, check_bits):
    parity = 0
    for bit, column in zip(data, columns, strict=False):
        parity ^= column if bit else 0
    return [parity >> place & 1 for place in range(check_bits)]


@pytest.mark.parametrize("data_bits", [32, 64])
def test_columns_are_hsiaos(data_bits):
    columns = Secded(data_bits).columns.tolist()
    assert columns == columns_of(data_bits)
    assert len(set(columns)) == data_bits
    assert all(column.bit_count() % 2 for column in columns)


# sha256 of the columns: the maps of all chips with ECC hang on them.
@pytest.mark.parametrize(
    ("data_bits", "digest"),
    [
        (32, "f839082c96e53a875b38f672f6cfc8effc690a9bd4bd5fc71ff249418b3650f4"),
        (64, "14eac62144d677971e8f75200adfd2cbdb931444a2d5c6e74c660a05178bd92b"),
    ],
)
def test_columns_are_frozen(data_bits, digest):
    assert hashlib.sha256(Secded(data_bits).columns.tobytes()).hexdigest() == digest


def correct(correction, held, errors, bits=8):
    """What a reader gets of full memory words [word, code], and what the cells return.

    Args:
        correction: The code.
        held: What was written.
        errors: For each word the bits that err, check bits behind those of data.
        bits: Bits of a code.
    """
    data = held.shape[1] * bits
    read, check = held.copy(), np.zeros(len(held), np.uint8)
    for word, places in enumerate(errors):
        for place in places:
            if place < data:
                read[word, place // bits] ^= held.dtype.type(1 << place % bits)
            else:  # whichever is stored, it is read wrongly
                check[word] |= np.uint8(1 << (place - data))
    got = correction.correct(held.ravel(), read.ravel(), bits, check, check, 0)
    return got.reshape(held.shape), read


def words_for(correction, count):
    return np.random.default_rng(count).integers(0, 256, (count, correction.data_bits // 8)).astype(np.uint8)


@pytest.mark.parametrize("name", CORRECTIONS)
def test_every_single_error_is_corrected(name):
    correction = find_correction(name)
    errors = [(place,) for place in range(correction.data_bits + correction.check_bits)]
    held = words_for(correction, len(errors))
    got, read = correct(correction, held, errors)
    assert (read != held).any(axis=1).sum() == correction.data_bits
    assert got.tolist() == held.tolist()


@pytest.mark.parametrize("name", CORRECTIONS)
def test_every_double_error_is_detected(name):
    correction = find_correction(name)
    errors = list(itertools.combinations(range(correction.data_bits + correction.check_bits), 2))
    held = words_for(correction, len(errors))
    got, read = correct(correction, held, errors)
    assert got.tolist() == (np.zeros_like(held) if name.endswith("zero") else read).tolist()


def test_sizes():
    assert [(c.data_bits, c.check_bits) for c in CORRECTIONS.values()] == [(32, 7), (64, 8), (32, 7), (64, 8)]
    assert find_correction("none") is None
    with pytest.raises(
        OptionError, match="unknown ECC 'crc': choose one of none, secded-32, secded-64, secded-32-zero"
    ):
        BitErrors(0.1, ecc="crc")
    with pytest.raises(OptionError, match="choose 32 or 64"):
        Secded(16)


def test_cells_of_check_bits():
    code = Secded(64)
    assert code.check_cells_per_bit(8) == 8 / 64
    assert code.check_cells_per_bit(4) == 8 / 64
    assert code.check_cells_per_bit(3) == 8 / 63  # 21 codes of 3 bits a word, one cell unused
    assert Secded(32).check_cells_per_bit(8) == 7 / 32
    assert [code.count_words(n, 8) for n in (0, 1, 8, 9)] == [0, 1, 1, 2]


def by_hand(faults, codes, bits, correction, zeroing, held_zero):
    """The held words that a reader gets, cell by cell in plain Python."""
    setting, clearing = set(faults.setting.tolist()), set(faults.clearing.tolist())
    check_set, check_clear = set(faults.check.setting.tolist()), set(faults.check.clearing.tolist())
    columns, each = columns_of(correction.data_bits), correction.codes_per_word(bits)
    result = []
    for word, start in enumerate(range(0, len(codes), each)):
        part = codes[start : start + each]
        data = [value >> bit & 1 for value in part for bit in range(bits)]
        check = encode(data, columns, correction.check_bits)
        first = start * bits
        read = [b ^ (first + i in (clearing if b else setting)) for i, b in enumerate(data)]
        own = word * correction.check_bits
        check_read = [b ^ (own + i in (check_clear if b else check_set)) for i, b in enumerate(check)]
        got, zeroed = decode(read, check_read, columns, zeroing)
        values = [sum(got[i * bits + b] << b for b in range(bits)) for i in range(len(part))]
        result += [held_zero] * len(part) if zeroed else values
    return result


CASES = st.sampled_from(
    [("int8", 8), ("uint8", 8), ("int16", 16), ("int4", 4), ("uint2", 2), ("int8", 3), ("uint8", 5), ("int8", 7)]
)


@settings(max_examples=60)
@given(
    CASES, st.integers(1, 90), st.sampled_from(list(CORRECTIONS)), st.sampled_from(["stuck", "flip", "asymmetric"]),
    st.floats(0.001, 0.1), st.integers(0, 2**32 - 2),
)  # fmt: skip
def test_memories_are_read_as_by_hand(case, count, name, kind, rate, seed):
    dtype, bits = case
    words = np.random.default_rng(seed).integers(0, 2**bits, count)
    signed = not dtype.startswith("u")
    numbers = np.where(words >= 2 ** (bits - 1), words - 2**bits, words) if signed else words
    codes = numbers.astype(getattr(ml_dtypes, dtype, dtype))
    faults = Chip(seed).faults(Memory("w", count, bits), BitErrors(rate, kind, ecc=name))
    zero = 0 if signed else 2 ** (bits - 1)
    expected = by_hand(faults, words.tolist(), bits, find_correction(name), name.endswith("zero"), zero)
    read = faults.read(codes)
    assert (read.codes.astype(int) & (2**bits - 1)).tolist() == expected
    assert read.codes.dtype == codes.dtype
    assert read.flipped == sum((a ^ b).bit_count() for a, b in zip(words.tolist(), expected, strict=True))
    own = set(faults.setting.tolist()) | set(faults.clearing.tolist())
    check = set(faults.check.setting.tolist()) | set(faults.check.clearing.tolist())
    assert faults.faulty_cells() == len(own) + len(check)


def test_words_that_hold_other_codes_are_corrected_as_held():
    codes = np.random.default_rng(2).integers(-127, 128, 200).astype(np.int8)
    errors = BitErrors(0.02, "flip", storage="sign-magnitude", ecc="secded-32-zero")
    faults = Chip(50003).faults(Memory("w", 200), errors)
    held = [(abs(c) | 128) if c < 0 else c for c in codes.tolist()]
    expected = by_hand(faults, held, 8, find_correction("secded-32"), True, 0)
    assert faults.apply(codes).tolist() == [-(w - 128) if w >= 128 else w for w in expected]


def test_the_middle_of_an_unsigned_type_is_its_zero():
    codes = np.full(8, 200, np.uint8)
    seen = {
        tuple(Chip(seed).faults(Memory("w", 8), BitErrors(0.02, "flip", ecc="secded-64-zero")).apply(codes).tolist())
        for seed in range(50000, 50100)
    }
    assert (128,) * 8 in seen


@pytest.mark.parametrize("data_bits", [32, 64])
def test_share_of_words_that_stay_wrong(data_bits):
    # Fewer than two errors among data and check bits are corrected, all else is not (or is seen as something else).
    rate, words = 0.01, 20_000
    codes = np.random.default_rng(4).integers(-128, 128, words * data_bits // 8).astype(np.int8)
    errors = BitErrors(rate, "flip", ecc=f"secded-{data_bits}")
    read = Chip(50004).faults(Memory("w", codes.size), errors).apply(codes)
    wrong = int((read != codes).reshape(words, -1).any(axis=1).sum())
    total = data_bits + Secded(data_bits).check_bits
    several = 1 - (1 - rate) ** total - total * rate * (1 - rate) ** (total - 1)
    check_only = Secded(data_bits).check_bits * (Secded(data_bits).check_bits - 1) / 2 * rate**2
    assert abs(wrong - words * several) <= 5 * (words * several) ** 0.5 + words * check_only


def test_robust_cells_and_correction_go_together():
    codes = np.random.default_rng(6).integers(-128, 128, 4000).astype(np.int8)
    errors = BitErrors(0.05, "flip", protected_top=2, ecc="secded-64")
    faults = Chip(50005).faults(Memory("w", 4000), errors)
    assert not (faults.setting % 8 >= 6).any()
    assert faults.check.faulty_cells() > 0
    whole = Chip(50005).faults(Memory("w", 4000), BitErrors(0.05, protected_top=8, ecc="secded-64"))
    assert whole.faulty_cells() == 0
    assert whole.apply(codes).tolist() == codes.tolist()


@pytest.mark.parametrize("kind", ["stuck", "flip", "asymmetric"])
def test_data_cells_are_those_of_the_bare_memory(kind):
    plain = Chip(50006).faults(Memory("w", 700), BitErrors(0.05, kind))
    with_check = Chip(50006).faults(Memory("w", 700), BitErrors(0.05, kind, ecc="secded-64"))
    assert with_check.setting.tolist() == plain.setting.tolist()
    assert with_check.clearing.tolist() == plain.clearing.tolist()
    assert with_check.check.bits == 8
    assert with_check.check.setting.max() < 88 * 8


# What chip 50000 makes of 5,000 int8 codes at rate 0.01: wrong bits behind the decoder, and sha256 of the codes.
GOLDEN = {
    "secded-32": (48, "8e208b6b4faaed08d0cb0ff9d3362fd89787cc318080a33a07a9f9d8cae0043b"),
    "secded-64": (85, "ebee1724a72510a3d231db91f859bb745bfcac46dba285ccbd4ceb6dc25a23f9"),
    "secded-32-zero": (388, "eccda4936ea0953a56aac2c4e65c4e240a58d8c5962b9d738db02ce0bfd42f65"),
    "secded-64-zero": (1208, "4cb00aa6e486224a9c1b491578a7e00b7bc1036a78432c0d5a00f5c9f0ee348d"),
}


@pytest.mark.parametrize("name", CORRECTIONS)
def test_golden_codes(name):
    codes = np.random.default_rng(11).integers(-127, 128, 5000).astype(np.int8)
    read = Chip(50000).faults(Memory("w", 5000), BitErrors(0.01, ecc=name)).read(codes)
    assert (read.flipped, hashlib.sha256(read.codes.tobytes()).hexdigest()) == GOLDEN[name]
