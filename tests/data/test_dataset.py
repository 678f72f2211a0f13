from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfkit.data import Dataset
from nfkit.errors import DataError, OptionError

HELD_OUT_OF_20 = [0, 2, 11, 17]


def make(n: int = 6, **changes: object) -> Dataset:
    parts: dict[str, object] = {
        "name": "toy",
        "x": np.arange(n * 12, dtype=np.uint8).reshape(n, 2, 2, 3),
        "y": np.arange(n) % 3,
    }
    return Dataset(**(parts | changes))  # type: ignore[arg-type]


def test_labels_become_int64() -> None:
    assert make(y=np.zeros(6, dtype=np.uint8)).y.dtype == np.int64


def test_len_and_repr() -> None:
    data = make()
    assert len(data) == 6
    assert repr(data) == "Dataset(name='toy', x=uint8[6, 2, 2, 3], labels=0..2, mirror=None)"


@pytest.mark.parametrize("dtype", [np.int8, np.float32, np.float16, np.bool_])
def test_features_in_the_models_own_dtype(dtype: type[np.generic]) -> None:
    x = np.ones((6, 4), dtype=dtype)
    assert make(x=x).x is x


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"y": np.zeros(5, dtype=int)}, r"x holds 6 inputs, but y holds 5 labels"),
        ({"x": np.zeros((0, 3)), "y": np.zeros(0, dtype=int)}, r"no inputs in it"),
        ({"y": np.zeros(6)}, r"y is float64.*astype"),
        ({"y": np.eye(6, dtype=int)}, r"shape \[6, 6\].*argmax"),
        ({"y": np.array([0, 1, -1, 0, -2, 0])}, r"label -1 at index 2 is negative"),
        ({"x": np.zeros(6)}, r"x has shape \[6\]"),
        ({"x": np.full((6, 2), "a")}, r"x is <U1, but inputs are numbers"),
        ({"x": np.array([[0, 0], [0, np.nan]] * 3)}, r"3 values that are NaN or infinite, .* \[1, 1\]"),
        ({"x": np.array([[0, np.inf]] * 6, np.float16)}, r"6 values that are NaN or infinite, .* \[0, 1\]"),
    ],
)
def test_malformed_arrays_are_refused_with_a_reason(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(DataError, match=f"^toy: .*{sentence}"):
        make(**changes)


def test_digest_depends_on_content_only() -> None:
    data = make()
    assert data.sha256 == make(name="other").sha256
    assert data.sha256 == make(x=np.asfortranarray(data.x)).sha256
    wide = data.x.astype("<u2")
    assert make(x=wide).sha256 == make(x=wide.astype(">u2")).sha256
    others = [
        make(y=np.zeros(6, int)),
        make(x=data.x.reshape(6, 4, 3)),
        make(x=data.x.view(np.int8)),
        make(x=data.x + np.uint8(1)),
    ]
    assert len({data.sha256, *(other.sha256 for other in others)}) == 5


def test_take_and_select() -> None:
    data = make(mirror=True)
    assert data.take(2).y.tolist() == [0, 1]
    assert len(data.take(100)) == 6
    chosen = data.select([5, 0])
    np.testing.assert_array_equal(chosen.x, data.x[[5, 0]])
    assert chosen.mirror
    assert chosen.name == "toy"


def test_take_of_nothing_is_refused() -> None:
    with pytest.raises(OptionError, match="at least 1"):
        make().take(0)


@given(n=st.integers(2, 40), fraction=st.floats(0.001, 0.999), seed=st.integers(0, 2**32))
def test_hold_out_partitions_the_inputs(n: int, fraction: float, seed: int) -> None:
    data = Dataset("toy", np.arange(n, dtype=np.int32)[:, None], np.zeros(n, dtype=np.int64))
    rest, held_out = data.hold_out(fraction, seed)
    kept, held = rest.x[:, 0].tolist(), held_out.x[:, 0].tolist()
    assert sorted(kept + held) == list(range(n))
    assert kept == sorted(kept)
    assert held == sorted(held)
    assert abs(len(held) - fraction * n) <= 1


def test_hold_out_is_the_same_on_every_machine() -> None:
    data = Dataset("toy", np.arange(20, dtype=np.int32)[:, None], np.zeros(20, dtype=np.int64))
    assert data.hold_out(0.2, seed=0)[1].x[:, 0].tolist() == HELD_OUT_OF_20
    assert data.hold_out(0.2, seed=1)[1].x[:, 0].tolist() != HELD_OUT_OF_20


@pytest.mark.parametrize(("fraction", "seed"), [(0.0, 0), (1.0, 0), (-0.1, 0), (0.5, -1)])
def test_hold_out_refuses_impossible_options(fraction: float, seed: int) -> None:
    with pytest.raises(OptionError):
        make().hold_out(fraction, seed)


def test_hold_out_refuses_a_single_input() -> None:
    with pytest.raises(DataError, match="at least two"):
        make(1).hold_out(0.5, 0)


def test_check_labels_names_the_first_offender() -> None:
    make().check_labels(3)
    with pytest.raises(DataError, match=r"label 2 at index 2 is beyond the model's 2 classes \(0 to 1\)"):
        make().check_labels(2)
