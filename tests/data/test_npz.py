from __future__ import annotations

import io
import zipfile
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
        assert data.mirror is None


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


@pytest.mark.parametrize(
    ("x", "y"), [("X", "Y"), ("images", "labels"), ("data", "targets"), ("arr_0", "arr_1"), ("test_images", "y_test")]
)
def test_common_names(tmp_path: Path, x: str, y: str) -> None:
    np.savez(tmp_path / "a.npz", **{x: GREY, y: [1, 0]})
    data = load(tmp_path / "a.npz", "test")
    assert data.x.tolist() == GREY[..., None].tolist()
    assert data.y.tolist() == [1, 0]


def test_samples_alone_have_no_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=GREY)
    data = load(tmp_path / "a.npz", "test")
    assert not data.labelled
    assert data.labels == "none"
    with pytest.raises(DataError, match=r"a\.npz:images: has no labels; .* --labels base"):
        _ = data.y


@pytest.mark.parametrize("y", [[[1], [0]], [[0, 1], [1, 0]], [[0.0, 1.0], [1.0, 0.0]]])
def test_labels_in_columns_and_one_hot(tmp_path: Path, y: list[list[float]]) -> None:
    np.savez(tmp_path / "a.npz", x=GREY, y=np.array(y))
    assert load(tmp_path / "a.npz", "test").y.tolist() == [1, 0]


def test_class_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=GREY, y=[1, 0], class_names=["cat", "dog"])
    assert load(tmp_path / "a.npz", "test").classes == ("cat", "dog")


def test_pickles_are_refused_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=GREY, y=np.array([{}, {}], dtype=object))
    with pytest.raises(DataError, match="'y' holds pickled Python objects, which could run any code"):
        load(tmp_path / "a.npz", "test")


def packed(path: Path, shape: tuple[int, ...]) -> None:
    """An archive of a few kilobytes whose header announces zeros without end."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    labels = io.BytesIO()
    np.save(labels, np.zeros(shape[0], np.int64))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(1000))
        archive.writestr("y.npy", labels.getvalue())


def test_sizes_are_looked_at_before_anything_is_unpacked(tmp_path: Path) -> None:
    packed(tmp_path / "model.npz", (13, 9400, 9400, 3))
    with pytest.raises(DataError, match=r"has shape \[9400, 9400, 3\], but the model takes images \[32, 32, 3\]"):
        load(tmp_path / "model.npz", "test", (3, 32, 32))
    packed(tmp_path / "memory.npz", (2**20, 1000, 1000, 3))
    with pytest.raises(DataError, match=r"take 2929\.7 GiB, more than half of this machine's memory"):
        load(tmp_path / "memory.npz", "test")


@pytest.mark.parametrize(
    ("files", "given", "found"),
    [
        (("x", "y"), "", ("x", "y")),
        (("x", "y"), "x.npy", ("x", "y")),
        (("mine_images", "mine_labels"), "mine_images.npy", ("mine_images", "mine_labels")),
        (("X-7", "Y-7", "X-8", "Y-8"), "X-8.npy", ("X-8", "Y-8")),
        (("x_train", "y_train", "x_test", "y_test"), "", ("x_test", "y_test")),
        (("x_train", "y_train", "x_test", "y_test"), "x_train.npy", ("x_train", "y_train")),
    ],
)
def test_npy_pairs(tmp_path: Path, files: tuple[str, ...], given: str, found: tuple[str, str]) -> None:
    for number, name in enumerate(files):
        np.save(tmp_path / f"{name}.npy", GREY + np.uint8(number) if number % 2 == 0 else np.array([number, 0]))
    data = load(tmp_path / given, "test")
    assert data.x.tolist() == np.load(tmp_path / f"{found[0]}.npy")[..., None].tolist()
    assert data.y.tolist() == [files.index(found[1]), 0]


def test_npy_without_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", GREY)
    np.save(tmp_path / "y.npy", [0, 1])
    assert not load(tmp_path / "pixels.npy", "test").labelled


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00v\x00{'descr'"])
def test_damaged_npy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.npy: cannot be read as an \.npy file"):
        load(tmp_path / "x.npy", "test")


def test_pickled_npy_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}, {}], dtype=object))
    with pytest.raises(DataError, match=r"cannot be read as an \.npy file"):
        load(tmp_path / "x.npy", "test")
