"""Maps of a chip: frozen, independent of what else is asked, and applied exactly as their masks say."""

import hashlib
import itertools
from dataclasses import dataclass, replace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nfkit import parallel
from nfkit.errors import OptionError
from nfkit.faults import (
    EVALUATION_CHIPS,
    TRAINING_CHIPS,
    VALIDATION_CHIPS,
    Array,
    BitErrors,
    Chip,
    Iid,
    Reference,
    SiteFaults,
    flipped_bits,
    kinds,
    parse_layout,
)


@dataclass(frozen=True)
class Memory:
    name: str
    count: int
    bits: int = 8


def errors_of(kind, rate=0.01):
    return BitErrors.asymmetric(1.5 * rate, 0.5 * rate) if kind == "asymmetric" else BitErrors(rate, kind)


def cells_of(faults):
    return set(faults.setting.tolist()), set(faults.clearing.tolist())


CASES = [
    (kind, layout)
    for kind in ("stuck", "flip", "asymmetric")
    for layout in ("iid", "array", "array:64x128", "reference")
    if (kind, layout) != ("asymmetric", "reference")
]

# (kind, layout): cells that set, cells that clear, and sha256 of both masks of 5,000 bytes on chip 50000 at rate 0.01
# (asymmetric: 0.03 and 0.01).
GOLDEN = {
    ("stuck", "iid"): (209, 204, "94e520ed20d05530da5ff9df7e8ac23cb771f94e0f24680c5f8fc0e4bf7e6311"),
    ("stuck", "array"): (206, 195, "3809ab4914bb6ccf33f8d581f59a5538d97fddc3244fbd964736efcb24fab152"),
    ("stuck", "reference"): (256, 296, "6fe84268bd32562b3eeeb3a63af850e5963cb995e0ecb74a0ad1c197fbe4d3f6"),
    ("flip", "iid"): (413, 413, "e1791c6c20c1b0915cf5a8f90d65d14bc9031d7ccdb34ff50de69935139503f9"),
    ("flip", "array"): (401, 401, "a94de751f413ac249d55466ff75bcb3fcfc92b3a8d156033d8d4c1c62dfbe21f"),
    ("flip", "reference"): (552, 552, "3fd7b8de8524f13a6fa997b5c92c83e3ebebb028eb48f4bebf114521d9ed28ea"),
    ("asymmetric", "iid"): (1225, 413, "b7fd25b1e37f2e154430444541936ac2014626a8fd59e8988e4f1db19f359c43"),
    ("asymmetric", "array"): (1160, 401, "588e832c807824cecee1aee236d168c51b4de12ad5593486243f0a76b3964383"),
}


@pytest.mark.parametrize(("kind", "layout"), GOLDEN, ids=["-".join(case) for case in GOLDEN])
def test_golden_masks(kind, layout):
    errors = BitErrors.asymmetric(0.03, 0.01) if kind == "asymmetric" else BitErrors(0.01, kind)
    faults = Chip(50000, parse_layout(layout)).faults(Memory("w", 5000), errors)
    setting, clearing = faults.masks((5000,), np.uint8)
    counts = tuple(int(np.bitwise_count(mask).sum()) for mask in (setting, clearing))
    digest = hashlib.sha256(setting.tobytes() + clearing.tobytes()).hexdigest()
    assert (*counts, digest) == GOLDEN[kind, layout]


def test_every_kind_has_golden_masks():
    assert {kind for kind, _ in GOLDEN} == set(kinds.KINDS)


@given(st.sampled_from(CASES), st.floats(0, 0.25), st.floats(0, 0.25), st.integers(0, 2**32 - 2))
def test_faulty_cells_at_a_low_rate_are_a_subset(case, p, q, seed):
    kind, layout = case
    assume(layout != "reference" or seed % 4 == 0)  # drawing all its cells takes its time
    low, high = sorted((p, q))
    chip, memory = Chip(seed, parse_layout(layout)), Memory("w", 300)
    few, many = (cells_of(chip.faults(memory, errors_of(kind, rate))) for rate in (low, high))
    assert few[0] <= many[0]
    assert few[1] <= many[1]


@pytest.mark.parametrize(("kind", "layout"), CASES, ids=["-".join(case) for case in CASES])
def test_maps_depend_on_neither_order_nor_other_sites(kind, layout):
    memories = [Memory("a", 900), Memory("b", 700, 16), Memory("c", 500, 4)]
    chip, errors = Chip(50007, parse_layout(layout)), errors_of(kind, 0.1)
    forwards = {m: cells_of(chip.faults(m, errors)) for m in memories}
    backwards = {m: cells_of(chip.faults(m, errors)) for m in reversed(memories)}
    alone = cells_of(Chip(50007, parse_layout(layout)).faults(memories[1], errors))
    assert forwards == backwards
    assert alone == forwards[memories[1]]


@pytest.mark.parametrize("kind", ["stuck", "flip", "asymmetric"])
def test_sites_of_a_chip_differ(kind):
    one, other = (cells_of(Chip(50000).faults(Memory(name, 2000), errors_of(kind))) for name in ("a", "b"))
    assert one != other
    # About 160 of 16,000 cells each: fewer than 2 in common by chance.
    assert len(one[0] & other[0]) <= 15


@pytest.mark.parametrize(("kind", "layout"), CASES, ids=["-".join(case) for case in CASES])
def test_chips_differ(kind, layout):
    maps = {
        repr([sorted(c) for c in cells_of(Chip(seed, parse_layout(layout)).faults(Memory("w", 2000), errors_of(kind)))])
        for seed in range(50000, 50010)
    }
    assert len(maps) == 10


def test_map_does_not_depend_on_the_shape_but_on_the_bits():
    chip = Chip(50000)
    faults = chip.faults(Memory("w", 600), BitErrors(0.1))
    flat, _ = faults.masks((600,), np.int8)
    square, _ = faults.masks((20, 30), np.int8)
    assert square.shape == (20, 30)
    assert square.ravel().tolist() == flat.tolist()


@pytest.mark.parametrize("kind", ["stuck", "flip", "asymmetric"])
@pytest.mark.parametrize("layout", ["iid", "array"])
def test_share_of_faulty_cells(kind, layout):
    # The array of 8192 x 128 cells is filled exactly once.
    memory = Memory("w", 8192 * 16)
    cells, rate = memory.count * 8, 0.02
    faults = Chip(50001, parse_layout(layout)).faults(memory, errors_of(kind, rate))
    erring = 1.5 * rate if kind == "asymmetric" else rate  # the weaker direction's cells are among the others
    assert abs(faults.faulty_cells() - cells * erring) <= 5 * (cells * erring * (1 - erring)) ** 0.5


def test_half_of_the_stuck_cells_are_stuck_at_1():
    faults = Chip(50002).faults(Memory("w", 200_000), BitErrors(0.02))
    setting, clearing = cells_of(faults)
    assert not setting & clearing
    assert abs(len(setting) - len(clearing)) <= 5 * (len(setting) + len(clearing)) ** 0.5


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_set_share_of_the_stuck_cells(share):
    faults = Chip(50002).faults(Memory("w", 100_000), BitErrors(0.02, "stuck", share))
    setting, clearing = cells_of(faults)
    total = len(setting) + len(clearing)
    assert abs(len(setting) - total * share) <= 5 * (total * share * (1 - share)) ** 0.5


@pytest.mark.parametrize(("kind", "flips"), [("stuck", 0.5), ("flip", 1.0)])
def test_share_of_flipped_bits(kind, flips):
    rate, count = 0.02, 200_000
    codes = np.random.default_rng(3).integers(-128, 128, count, np.int8)
    faults = Chip(50003).faults(Memory("w", count), BitErrors(rate, kind))
    flipped, expected = flipped_bits(codes, faults.apply(codes)), count * 8 * rate * flips
    assert abs(flipped - expected) <= 5 * expected**0.5


@pytest.mark.parametrize(("rising", "falling"), [(0.03, 0.01), (0.01, 0.03), (0.02, 0.02), (0.0, 0.05), (0.05, 0.0)])
def test_asymmetric_rates_apart(rising, falling):
    count = 100_000
    faults = Chip(50004).faults(Memory("w", count), BitErrors.asymmetric(rising, falling))
    for stored, rate in ((0x00, rising), (0xFF, falling)):
        codes = np.full(count, stored, np.uint8)
        flipped = flipped_bits(codes, faults.apply(codes))
        assert abs(flipped - 8 * count * rate) <= 5 * (8 * count * rate * (1 - rate)) ** 0.5


@pytest.mark.parametrize(("layout", "bits"), [("iid", 8), ("iid", 4), ("iid", 16), ("array", 8), ("reference", 8)])
def test_bit_positions_err_alike(layout, bits):
    memory = Memory("w", 100_000 if layout == "iid" else 8192 * 16, bits)
    repeats = 16 if layout == "reference" else 1
    faults = Chip(50005, parse_layout(layout)).faults(memory, BitErrors(0.02, "flip"))
    positions = np.bincount((np.unique(faults.setting) % np.uint64(bits)).astype(int), minlength=bits)
    expected = memory.count * 0.02
    # Rows of the reference layout hit 16 codes with the same cell, which widens the deviation by 4.
    deviation = (expected * 0.98 * repeats) ** 0.5
    assert np.abs(positions - expected).max() <= 5 * deviation


@pytest.mark.parametrize("layout", ["iid", "array"])
def test_codes_err_alike_wherever_they_lie(layout):
    # 64 stretches of the memory: chi-square with 63 degrees (deviation sqrt(126)), 5 sigma.
    memory = Memory("w", 8192 * 16)
    faults = Chip(50006, parse_layout(layout)).faults(memory, BitErrors(0.02, "flip"))
    stretches = np.bincount((np.unique(faults.setting) // np.uint64(8 * memory.count // 64)).astype(int), minlength=64)
    expected = 8 * memory.count // 64 * 0.02
    assert abs(((stretches - expected) ** 2 / (expected * 0.98)).sum() - 63) <= 5 * 126**0.5


@pytest.mark.parametrize(("kind", "layout"), CASES, ids=["-".join(case) for case in CASES])
def test_protected_bits_never_flip(kind, layout):
    memory = Memory("w", 4000)
    plain = errors_of(kind, 0.2)
    hard = BitErrors(plain.rate, plain.kind, plain.set_share, protected_bits=(7, 2))
    chip = Chip(50000, parse_layout(layout))
    for bare, kept in zip(
        chip.faults(memory, plain).masks((4000,), np.uint8),
        chip.faults(memory, hard).masks((4000,), np.uint8),
        strict=True,
    ):
        assert np.bitwise_or.reduce(bare) == 0xFF
        assert kept.tolist() == (bare & 0b01111011).tolist()


@pytest.mark.parametrize(("kind", "layout"), CASES, ids=["-".join(case) for case in CASES])
def test_protected_sites_never_flip(kind, layout):
    plain = errors_of(kind, 0.2)
    errors = BitErrors(plain.rate, plain.kind, plain.set_share, protected_sites=("conv*", "head"))
    chip = Chip(50000, parse_layout(layout))
    assert chip.faults(Memory("conv1.w", 500), errors).faulty_cells() == 0
    assert chip.faults(Memory("head", 500), errors).faulty_cells() == 0
    for got, want in zip(
        cells_of(chip.faults(Memory("w", 500), errors)), cells_of(chip.faults(Memory("w", 500), plain)), strict=True
    ):
        assert got == want


def test_protected_bits_beyond_the_code_are_refused():
    errors = BitErrors(0.1, protected_bits=(4,))
    assert Chip(1).faults(Memory("w", 10, 8), errors).bits == 8
    with pytest.raises(OptionError, match=r"protected bits \[4\]: 'w' has bits 0 to 3"):
        Chip(1).faults(Memory("w", 10, 4), errors)


@pytest.mark.parametrize(("kind", "layout"), CASES, ids=["-".join(case) for case in CASES])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_top_bits_are_counted_in_each_memory(kind, layout, bits):
    plain, memory = errors_of(kind, 0.2), Memory("w", 4000, bits)
    hard = BitErrors(plain.rate, plain.kind, plain.set_share, protected_top=2)
    chip = Chip(50000, parse_layout(layout))
    for bare, kept in zip(
        chip.faults(memory, plain).masks((4000,), np.uint8),
        chip.faults(memory, hard).masks((4000,), np.uint8),
        strict=True,
    ):
        assert np.bitwise_or.reduce(bare) == 2**bits - 1
        assert kept.tolist() == (bare & (2 ** (bits - 2) - 1)).tolist()


@pytest.mark.parametrize(("kind", "layout"), CASES, ids=["-".join(case) for case in CASES])
@pytest.mark.parametrize("bits", [2, 8])
def test_top_bits_have_a_rate_of_their_own(kind, layout, bits):
    plain, memory = errors_of(kind, 0.2), Memory("w", 4000, bits)
    mixed = replace(plain, top_rates=(0.25, 0.5), protected_bits=(1,) if bits == 8 else ())
    chip = Chip(50000, parse_layout(layout))
    rest = 2 ** (bits - 2) - 1
    for way, got in enumerate(chip.faults(memory, mixed).masks((4000,), np.uint8)):
        full, half, quarter = (
            chip.faults(memory, plain.at(plain.rate * share)).masks((4000,), np.uint8)[way] for share in (1, 0.5, 0.25)
        )
        expected = (full & rest) | (half & 2 ** (bits - 2)) | (quarter & 2 ** (bits - 1))
        assert got.tolist() == (expected & 0b11111101 if bits == 8 else expected).tolist()


# As above, with a top bit that errs a quarter as often and a next one that errs half as often.
GOLDEN_TOP_RATES = {
    ("stuck", "iid"): (168, 176, "9bcc3af00105ae9718f0193195e01017a2f8e34deda5acdf91e88687486e2271"),
    ("stuck", "array"): (178, 163, "7d1959d741bba308d34b207ab60fad94460cd8ddba6f3b8b3a50387eba7293c3"),
    ("stuck", "reference"): (256, 280, "a3a2302d7f998076672e9d4281c31b23d10b058f1812f72f660995d0c0190012"),
    ("flip", "iid"): (344, 344, "36e4565298b697fd87e1dbebaaff38027fda47c0994b2ae92a9b3315ff4dce9a"),
    ("asymmetric", "iid"): (1031, 344, "36d3e997b8993780097f9016fe7e0bc4e099029bcc9b8bfcc519689c234a295c"),
    ("asymmetric", "array"): (974, 341, "a75892e737a4f69e35463c684c35f88fea2f2a99b7d467759f15ffbfcbbd96db"),
}


@pytest.mark.parametrize(("kind", "layout"), GOLDEN_TOP_RATES, ids=["-".join(case) for case in GOLDEN_TOP_RATES])
def test_golden_masks_of_top_rates(kind, layout):
    errors = BitErrors.asymmetric(0.03, 0.01) if kind == "asymmetric" else BitErrors(0.01, kind)
    chip = Chip(50000, parse_layout(layout))
    setting, clearing = chip.faults(Memory("w", 5000), replace(errors, top_rates=(0.25, 0.5))).masks((5000,), np.uint8)
    counts = tuple(int(np.bitwise_count(mask).sum()) for mask in (setting, clearing))
    digest = hashlib.sha256(setting.tobytes() + clearing.tobytes()).hexdigest()
    assert (*counts, digest) == GOLDEN_TOP_RATES[kind, layout]


def test_a_memory_whose_every_bit_has_rate_0_is_sound():
    errors = BitErrors(0.4, top_rates=(0.0,) * 8, ecc="secded-64")
    assert Chip(50000).faults(Memory("w", 4000), errors).faulty_cells() == 0


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(OptionError, match="is no seed"):
        Chip(seed)


def test_ranges_of_chips_never_meet():
    ranges = sorted((EVALUATION_CHIPS, VALIDATION_CHIPS, TRAINING_CHIPS), key=lambda r: r.start)
    assert all(a.stop <= b.start for a, b in itertools.pairwise(ranges))
    Chip(TRAINING_CHIPS[-1], Reference()).faults(Memory("w", 1), BitErrors(0.1))


@pytest.mark.parametrize(("kind", "layout"), CASES, ids=["-".join(case) for case in CASES])
def test_rate_0_changes_nothing(kind, layout):
    codes = np.arange(-128, 128, dtype=np.int8)
    faults = Chip(50000, parse_layout(layout)).faults(Memory("w", 256), BitErrors(0.0, kind))
    assert faults.faulty_cells() == 0
    assert faults.apply(codes).tolist() == codes.tolist()


@st.composite
def memories(draw):
    """Codes as they are held: (codes, bits)."""
    bits, dtype = draw(
        st.sampled_from(
            [(8, "int8"), (8, "uint8"), (16, "int16"), (16, "uint16"), (4, "int8"), (4, "uint8"), (2, "int8")]
        )
    )
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.startswith("i") else (0, 2**bits - 1)
    codes = draw(st.lists(st.integers(low, high), min_size=1, max_size=60))
    return np.array(codes, dtype), bits


LAYOUTS = st.sampled_from([Iid(), Array(4, 32)])
KINDS = st.sampled_from(["stuck", "flip", "asymmetric"])


@given(memories(), KINDS, LAYOUTS, st.floats(0, 0.3), st.integers(0, 2**32 - 2))
def test_apply_is_what_the_masks_say(memory, kind, layout, rate, seed):
    codes, bits = memory
    faults = Chip(seed, layout).faults(Memory("w", codes.size, bits), errors_of(kind, rate))
    setting, clearing = faults.masks(codes.shape, codes.dtype)
    before = codes.copy()
    read = faults.apply(codes)
    assert read.dtype == codes.dtype == setting.dtype == clearing.dtype
    assert read.tolist() == (codes ^ ((codes & clearing) | (~codes & setting))).tolist()
    assert codes.tolist() == before.tolist()  # and what was stored is left alone


@st.composite
def faulty_memories(draw):
    """Codes, and faults whose cells repeat, share codes, and may be among both: (codes, faults)."""
    codes, bits = draw(memories())
    cells = st.lists(st.integers(0, codes.size * bits - 1), max_size=200)
    setting, clearing = draw(cells), draw(cells)
    exclusive = draw(st.booleans())
    if exclusive:
        clearing = [cell for cell in clearing if cell not in setting]
    return codes, SiteFaults(bits, np.array(setting, np.uint64), np.array(clearing, np.uint64), exclusive)


@given(faulty_memories())
def test_every_cell_decides_by_what_is_stored_in_it(memory):
    codes, faults = memory
    setting, clearing = cells_of(faults)
    expected = []
    for code, value in enumerate(codes.tolist()):
        cells = range(code * faults.bits, (code + 1) * faults.bits)
        stored = [value >> bit & 1 for bit in range(faults.bits)]
        read = [bit ^ (cell in (clearing if bit else setting)) for cell, bit in zip(cells, stored, strict=True)]
        result = sum(bit << place for place, bit in enumerate(read))
        expected.append(result - 2**faults.bits if codes.dtype.kind == "i" and read[-1] else result)
    assert faults.apply(codes).tolist() == expected


@pytest.mark.parametrize(("kind", "layout"), CASES, ids=["-".join(case) for case in CASES])
def test_the_number_of_threads_changes_nothing(kind, layout, monkeypatch):
    codes = np.random.default_rng(5).integers(-128, 128, 120_000, np.int8)  # about 96,000 faulty cells
    read = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(parallel, "cores", lambda threads=threads: threads)
        parallel._pool.cache_clear()
        faults = Chip(50008, parse_layout(layout)).faults(Memory("w", codes.size), errors_of(kind, 0.1))
        read.append((faults.setting.tolist(), faults.clearing.tolist(), faults.apply(codes).tolist()))
    parallel._pool.cache_clear()
    assert read[1:] == read[:1] * 2


@given(memories(), KINDS, LAYOUTS, st.integers(0, 2**32 - 2))
def test_narrow_codes_stay_narrow(memory, kind, layout, seed):
    codes, bits = memory
    read = Chip(seed, layout).faults(Memory("w", codes.size, bits), errors_of(kind, 0.3)).apply(codes)
    signed = np.issubdtype(codes.dtype, np.signedinteger)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    assert low <= read.min()
    assert read.max() <= high


@given(memories(), LAYOUTS, st.integers(0, 2**32 - 2))
def test_flipping_twice_is_the_identity(memory, layout, seed):
    codes, bits = memory
    faults = Chip(seed, layout).faults(Memory("w", codes.size, bits), BitErrors(0.3, "flip"))
    assert faults.apply(faults.apply(codes)).tolist() == codes.tolist()


@given(memories(), LAYOUTS, st.integers(0, 2**32 - 2))
def test_stuck_cells_hold_their_value_however_often_written(memory, layout, seed):
    codes, bits = memory
    faults = Chip(seed, layout).faults(Memory("w", codes.size, bits), BitErrors(0.4))
    assert faults.apply(faults.apply(codes)).tolist() == faults.apply(codes).tolist()


def test_apply_by_hand():
    def cells(*numbers):
        return np.array(numbers, np.uint64)

    codes = np.array([0b00000000, 0b01111111, -1], np.int8)
    stuck = SiteFaults(8, setting=cells(0, 7, 8), clearing=cells(9, 16, 16))
    assert stuck.apply(codes).tolist() == [-127, 0b01111101, -2]
    assert [m.tolist() for m in stuck.masks((3,), np.int8)] == [[-127, 1, 0], [0, 2, 1]]
    assert stuck.faulty_cells() == 5
    narrow = SiteFaults(4, setting=cells(3), clearing=cells(7))
    assert narrow.apply(np.array([1, -8], np.int8)).tolist() == [-7, 0]
    assert narrow.apply(np.array([1, 8], np.uint8)).tolist() == [9, 0]


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3), (2, 0, 3)])
def test_shapes_are_kept(shape):
    codes = np.zeros(shape, np.int8)
    faults = Chip(50000).faults(Memory("w", codes.size), BitErrors(0.5, "flip"))
    assert faults.apply(codes).shape == shape
    assert [mask.shape for mask in faults.masks(shape, np.int8)] == [shape, shape]


def test_strided_codes_are_read_in_their_own_order():
    codes = np.arange(60, dtype=np.int8).reshape(6, 10)
    faults = Chip(50000).faults(Memory("w", 60), BitErrors(0.3, "flip"))
    assert faults.apply(codes.T).tolist() == faults.apply(np.ascontiguousarray(codes.T)).tolist()


def test_flipped_bits_counts_bits():
    before = np.array([0, -1, 5], np.int8)
    assert flipped_bits(before, before) == 0
    assert flipped_bits(before, np.array([-1, 0, 4], np.int8)) == 17
    assert flipped_bits(np.array([0], np.uint16), np.array([0xFFFF], np.uint16)) == 16


@pytest.mark.parametrize("name", ["int4", "uint4", "int2", "uint2"])
@pytest.mark.parametrize("kind", ["stuck", "flip", "asymmetric"])
def test_packed_types_are_faulted_on_their_own_bits(name, kind):
    dtype, bits = np.dtype(getattr(ml_dtypes, name)), int(name[-1])
    info = ml_dtypes.iinfo(dtype)
    stored = np.random.default_rng(0).integers(info.min, info.max + 1, (20, 10)).astype(dtype)
    faults = Chip(50_001).faults(Memory("w", stored.size, bits), errors_of(kind, 0.1))
    read = faults.apply(stored)
    setting, clearing = cells_of(faults)
    # By hand, on the bits of each code as a whole number without sign.
    expected, flips = [], 0
    for code, value in enumerate(stored.ravel().astype(int) % 2**bits):
        result = int(value)
        for bit in range(bits):
            was = value >> bit & 1
            if (code * bits + bit) in (clearing if was else setting):
                result ^= 1 << bit
                flips += 1
        expected.append(result - 2**bits if name.startswith("i") and result >= 2 ** (bits - 1) else result)
    assert read.dtype == dtype
    assert read.ravel().astype(int).tolist() == expected
    assert (flipped_bits(stored, read), flips > 0) == (flips, True)
    sets, clears = (mask.view(np.uint8).ravel() for mask in faults.masks(stored.shape, dtype))
    for mask, cells in ((sets, setting), (clears, clearing)):
        assert {int(i) * bits + b for i, m in enumerate(mask) for b in range(8) if m >> b & 1} == cells


def test_what_lies_above_the_bits_of_a_packed_type_does_not_count():
    stored = np.array([0x0D, 0xFD], np.uint8).view(ml_dtypes.int4)  # both are -3
    assert flipped_bits(stored[:1], stored[1:]) == 0
    none = np.empty(0, np.uint64)
    assert SiteFaults(4, none, none).apply(stored).view(np.uint8).tolist() == [0x0D, 0x0D]


def test_a_repeated_sign_is_no_flipped_bit():
    stored = np.array([1, -2, 3], np.int8)  # of 3 bits
    read = SiteFaults(3, np.array([2], np.uint64), np.array([5], np.uint64)).apply(stored)
    assert read.tolist() == [-3, 2, 3]
    assert flipped_bits(stored, read, 3) == 2
    assert flipped_bits(stored, read) == 12
