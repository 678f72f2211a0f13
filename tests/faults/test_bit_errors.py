"""What may be said about bit errors, and what is refused."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Chip
from nfkit.faults.kinds import KINDS


@dataclass(frozen=True)
class Memory:
    name: str
    count: int
    bits: int = 8


NAN = float("nan")


@pytest.mark.parametrize("rate", [-0.01, -1e-12, 0.5000001, 1.0, math.inf, -math.inf, NAN])
@pytest.mark.parametrize("kind", ["stuck", "flip", "asymmetric"])
def test_rates_out_of_range_are_refused(rate, kind):
    with pytest.raises(OptionError, match=r"bit error rate .* is out of range: rates per cell go from 0 to 0\.5"):
        BitErrors(rate, kind)


@pytest.mark.parametrize("rate", [0, 0.0, 1e-12, 0.5])
@pytest.mark.parametrize("kind", ["stuck", "flip", "asymmetric"])
def test_both_ends_of_the_range_are_rates(rate, kind):
    assert BitErrors(rate, kind).rate == rate


def test_rate_of_a_single_direction_counts_for_the_range():
    assert BitErrors(0.25, "asymmetric", 1.0).directed_rates() == (0.5, 0.0)
    with pytest.raises(OptionError, match="out of range"):
        BitErrors(0.26, "asymmetric", 1.0)


def test_unknown_kind_is_refused_and_the_known_ones_are_named():
    with pytest.raises(OptionError, match=r"unknown fault kind 'drift': choose one of stuck, flip, asymmetric"):
        BitErrors(0.1, "drift")


@pytest.mark.parametrize("share", [-0.1, 1.1, NAN])
def test_set_share_must_be_a_share(share):
    with pytest.raises(OptionError, match="is no share"):
        BitErrors(0.1, "stuck", share)


def test_flips_take_no_set_share():
    with pytest.raises(OptionError, match="flips go both ways"):
        BitErrors(0.1, "flip", 0.4)


def test_negative_bit_positions_are_refused():
    with pytest.raises(OptionError, match="positions count up from 0"):
        BitErrors(0.1, protected_bits=(3, -1))


def test_directed_rates_of_each_kind():
    assert BitErrors(0.1, "stuck").directed_rates() == (0.05, 0.05)
    assert BitErrors(0.1, "stuck", 0.25).directed_rates() == (0.025, 0.1 * 0.75)
    assert BitErrors(0.1, "flip").directed_rates() == (0.1, 0.1)
    assert BitErrors(0.1, "asymmetric", 0.0).directed_rates() == (0.0, 0.2)


@given(st.floats(0, 0.499), st.floats(0, 0.499))
def test_asymmetric_keeps_both_rates(rising, falling):
    # Going through mean and share rounds each rate a few times: 4 units in the last place of their sum.
    slack = 4 * math.ulp(rising + falling)
    got = BitErrors.asymmetric(rising, falling).directed_rates()
    assert abs(got[0] - rising) <= slack
    assert abs(got[1] - falling) <= slack


@given(st.floats(0, 0.5))
def test_asymmetric_takes_the_largest_rate(falling):
    assert BitErrors.asymmetric(0.5, falling).kind == "asymmetric"
    assert BitErrors.asymmetric(falling, 0.5).kind == "asymmetric"


@pytest.mark.parametrize(("rising", "falling"), [(-0.1, 0.1), (0.1, -0.1), (-0.1, 0.3), (-0.2, -0.2), (NAN, 0.1)])
def test_asymmetric_refuses_what_is_no_rate(rising, falling):
    with pytest.raises(OptionError):
        BitErrors.asymmetric(rising, falling)


def test_patterns_protect_sites_by_whole_name_and_case():
    errors = BitErrors(0.1, protected_sites=("conv*", "head.w"))
    assert [errors.protects(n) for n in ("conv1.w", "head.w", "head.w2", "Conv1", "my.conv")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_at_changes_the_rate_alone():
    errors = BitErrors(0.1, "stuck", 0.25, (7,), ("w",))
    assert errors.at(0.02) == BitErrors(0.02, "stuck", 0.25, (7,), ("w",))


def test_records_hold_all_but_the_rate():
    assert BitErrors(0.1, "stuck", 0.25, (7,), ("w",)).to_dict() == {
        "kind": "stuck",
        "set_share": 0.25,
        "protected_bits": [7],
        "protected_sites": ["w"],
    }


def test_repr_can_be_pasted_back():
    errors = BitErrors(0.1, "stuck", 0.25, (7,), ("w",))
    assert eval(repr(errors)) == errors


def test_robust_bits_of_a_site():
    errors = BitErrors(0.1, protected_bits=(0, 2), protected_sites=("head*",), protected_top=2)
    assert errors.robust_bits("w", 8) == {0, 2, 6, 7}
    assert errors.robust_bits("w", 4) == {0, 2, 3}
    assert errors.robust_bits("head.w", 4) == {0, 1, 2, 3}
    assert BitErrors(0.1).robust_bits("w", 8) == frozenset()


def test_more_top_bits_than_a_code_has_protect_it_as_a_whole():
    assert BitErrors(0.1, protected_top=5).robust_bits("w", 4) == {0, 1, 2, 3}
    assert BitErrors(0.1, protected_top=5).robust_bits("w", 8) == {3, 4, 5, 6, 7}


def test_rates_of_top_bits_are_counted_from_each_top():
    errors = BitErrors(0.1, protected_bits=(0,), protected_sites=("head*",), top_rates=(0.25, 0.5))
    assert errors.rate_shares("w", 4) == (0, 1, 0.5, 0.25)
    assert errors.rate_shares("w", 8) == (0, 1, 1, 1, 1, 1, 0.5, 0.25)
    assert errors.rate_shares("head.w", 4) == (0, 0, 0, 0)
    assert BitErrors(0.1, top_rates=(0.25, 0.5, 0.75)).rate_shares("w", 2) == (0.5, 0.25)
    assert BitErrors(0.1, protected_top=1, top_rates=(0.25, 0.5)).rate_shares("w", 4) == (1, 1, 0.5, 0)
    assert BitErrors(0.1).rate_shares("w", 4) == (1, 1, 1, 1)


@pytest.mark.parametrize("shares", [(-0.1,), (0.5, 1.1), (float("nan"),)])
def test_top_rates_are_shares(shares):
    with pytest.raises(OptionError, match="give shares of the bit error rate, each from 0 to 1"):
        BitErrors(0.1, top_rates=shares)


def test_top_bits_count_from_0():
    with pytest.raises(OptionError, match="give how many top bits never err"):
        BitErrors(0.1, protected_top=-1)


def test_more_top_bits_than_any_code_has_are_refused():
    with pytest.raises(OptionError, match="no code has more than 32 bits, so nothing errs"):
        BitErrors(0.1, protected_top=33)


def test_records_hold_what_is_newer_where_it_is_set():
    errors = BitErrors(0.1, protected_top=2, storage="gray", ecc="secded-64", top_rates=(0.5,))
    newer = {"protected_top": 2, "storage": "gray", "ecc": "secded-64", "top_rates": [0.5]}
    assert errors.to_dict() == BitErrors(0.1).to_dict() | newer


@pytest.mark.parametrize("ones", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize(
    "errors",
    [BitErrors(0.04), BitErrors(0.04, "stuck", 0.2), BitErrors(0.04, "flip"), BitErrors.asymmetric(0.06, 0.01)],
    ids=str,
)
def test_expected_flips_are_those_of_chips(errors, ones):
    count = 200_000
    bits = np.random.default_rng(0).random((count, 8)) < ones
    codes = np.packbits(bits, axis=1).ravel()
    flipped = Chip(50000).faults(Memory("w", count), errors).read(codes).flipped
    expected = 8 * count * errors.flips_per_cell(ones)
    assert abs(flipped - expected) <= 5 * expected**0.5


def test_every_kind_is_complete():
    for name, kind in KINDS.items():
        assert kind.name == name
        assert kind.sentence
        masks = kind.operands(np.array([1], np.uint8), np.array([2], np.uint8))
        assert kind.function.split("=>")[0].count(",") == len(masks)  # the masks follow the weight
