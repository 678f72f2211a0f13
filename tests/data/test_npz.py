from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from nfkit.data import load
from nfkit.errors import DataError

GREY = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)


def test_x_and_y_serve_either_split(tmp_path: Path) -> None:
    path = tmp_path / "all.npz"
    np.savez(path, x=GREY, y=[0, 1])
    for split in ("train", "test"):
        data = load(str(path), split)
        assert data.x.shape == (2, 3, 3, 1)
        assert data.name == "all.npz:x"
        assert not data.mirror


def test_split_picks_its_arrays(tmp_path: Path) -> None:
    path = tmp_path / "both.npz"
    np.savez_compressed(path, x_train=GREY, y_train=[0, 1], x_test=GREY[:1], y_test=[1], mirror=True)
    assert len(load(str(path), "train")) == 2
    assert load(str(path), "test").y.tolist() == [1]
    assert load(str(path), "test").mirror


def test_features_keep_their_shape(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3, 3), np.int8), y=[0, 1])
    assert load(str(tmp_path / "a.npz"), "test").x.shape == (2, 3, 3)


def test_missing_arrays_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "odd.npz"
    np.savez(path, x_train=GREY, y_train=[0, 1], extra=1)
    with pytest.raises(DataError, match=r"neither x_test and y_test nor x and y, but extra, x_train, y_train;"):
        load(str(path), "test")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load(str(tmp_path / "absent.npz"), "test")


def test_pickled_objects_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "objects.npz"
    np.savez(path, x=np.array([{}, {}], dtype=object), y=[0, 1])
    with pytest.raises(DataError, match=r"cannot be read as an \.npz file"):
        load(str(path), "test")


def damaged_files() -> dict[str, bytes]:
    whole, single = io.BytesIO(), io.BytesIO()
    np.savez_compressed(whole, x=np.random.default_rng(0).integers(0, 255, (9, 8, 8)), y=np.arange(9))
    np.save(single, GREY)
    raw = whole.getvalue()
    return {
        "empty": b"",
        "text": b"hello",
        "zip magic only": b"PK\x03\x04",
        "truncated": raw[: len(raw) // 2],
        "flipped": raw[:200] + bytes(byte ^ 0xFF for byte in raw[200:260]) + raw[260:],
        "single array": single.getvalue(),
    }


@pytest.mark.parametrize("content", damaged_files().values(), ids=damaged_files().keys())
def test_damaged_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read as an \.npz file"):
        load(str(path), "test")
