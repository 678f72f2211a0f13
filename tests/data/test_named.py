from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nfkit.data.cifar10 import load_cifar10
from nfkit.data.dataset import Split
from nfkit.data.download import Remote
from nfkit.data.fashion_mnist import FILES, load_fashion_mnist
from nfkit.data.gtsrb import load_gtsrb
from nfkit.errors import DataError

Publish = Callable[..., Remote]


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return gzip.compress(header + values.tobytes(), mtime=0)


CLOTHES = np.arange(2 * 28 * 28).astype(np.uint8).reshape(2, 28, 28)


def test_fashion_mnist_is_fetched(publish: Publish, tmp_path: Path) -> None:
    files = {
        "train": (publish("x.gz", idx(CLOTHES)), publish("y.gz", idx(np.array([9, 0], np.uint8)))),
    }
    data = load_fashion_mnist("train", tmp_path / "cache", files, system=tmp_path / "absent")
    np.testing.assert_array_equal(data.x[..., 0], CLOTHES)
    assert data.y.tolist() == [9, 0]
    assert data.mirror
    assert data.x.flags.writeable


def test_fashion_mnist_of_the_system_needs_no_network(tmp_path: Path) -> None:
    for remote, values in zip(FILES["test"], (CLOTHES, np.array([1, 2], np.uint8)), strict=True):
        (tmp_path / remote.url.rpartition("/")[2]).write_bytes(idx(values))
    data = load_fashion_mnist("test", tmp_path / "cache", system=tmp_path)
    assert data.y.tolist() == [1, 2]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"not gzip", "cannot be unpacked"),
        (idx(CLOTHES)[:-9], "cannot be unpacked"),
        (gzip.compress(b"\0\0\x0d\x01\0\0\0\0", mtime=0), "not an IDX file of unsigned bytes"),
        (gzip.compress(b"\0\0\x08\x03\0\0", mtime=0), "not an IDX file of unsigned bytes"),
        (
            gzip.compress(b"\0\0\x08\x01\0\0\0\x05abc", mtime=0),
            r"holds 3 values where its header announces \[5\]",
        ),
    ],
    ids=["no gzip", "truncated", "doubles", "short header", "short body"],
)
def test_damaged_idx(publish: Publish, tmp_path: Path, content: bytes, sentence: str) -> None:
    remote = publish("x.gz", content)
    files: dict[Split, tuple[Remote, Remote]] = {"train": (remote, remote)}
    with pytest.raises(DataError, match=sentence):
        load_fashion_mnist("train", tmp_path, files, system=tmp_path / "absent")


def tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def python2_batch(rows: np.ndarray, labels: list[int]) -> bytes:
    """The opcodes with which Python 2 and NumPy 1 wrote {'data': rows, 'labels': labels}."""

    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()

    def integer(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + b"K\0\x85" + text("b") + b"\x87R"
    dtype = b"cnumpy\ndtype\n" + text("u1") + b"K\0K\x01\x87R"
    dtype += b"(K\x03" + text("|") + b"NNN" + integer(-1) + integer(-1) + b"K\0tb"
    raw = b"T" + struct.pack("<i", rows.nbytes) + rows.tobytes()
    shape = b"".join(integer(length) for length in rows.shape) + b"\x86"
    array = empty + b"(K\x01" + shape + dtype + b"\x89" + raw + b"tb"
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text("data") + array + text("labels") + listed + b"u."


def test_cifar10_in_the_published_format(publish: Publish, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (10, 3072), dtype=np.uint8)
    batches = {f"data_batch_{i + 1}": python2_batch(rows[2 * i : 2 * i + 2], [i, 9 - i]) for i in range(5)}
    archive = publish("cifar.tar.gz", tar(batches | {"test_batch": python2_batch(rows[:1], [7])}), "sha256")
    data = load_cifar10("train", tmp_path / "cache", archive)
    assert data.x.shape == (10, 32, 32, 3)
    np.testing.assert_array_equal(data.x.transpose(0, 3, 1, 2).reshape(10, 3072), rows)
    assert data.y.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert data.mirror
    assert load_cifar10("test", tmp_path / "cache", archive).y.tolist() == [7]


def test_cifar10_pickled_by_todays_python(publish: Publish, tmp_path: Path) -> None:
    rows = np.arange(3072, dtype=np.uint8)[None]
    batch = pickle.dumps({"data": rows, "labels": [3]}, protocol=3)
    data = load_cifar10("test", tmp_path, publish("c.tar.gz", tar({"test_batch": batch})))
    np.testing.assert_array_equal(data.x[0, 0, :, 0], rows[0, :32])


class Intruder:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("intruded"),))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("batch", "sentence"),
    [
        (pickle.dumps(Intruder()), "asks for .*, which no batch needs"),
        (pickle.dumps({"data": np.array([{}], dtype=object), "labels": [0]}, protocol=3), "array of object"),
        (pickle.dumps([1, 2]), "lacks data or labels"),
        (b"\x80\x02}U", "test_batch is damaged"),
        (None, "lacks cifar-10-batches-py/test_batch"),
        (pickle.dumps({"data": [[1, 2], [3]], "labels": [0, 1]}, protocol=3), "no images of 3 x 32 x 32"),
        (pickle.dumps({"data": [[1, 2]], "labels": [0]}, protocol=3), "no images of 3 x 32 x 32"),
        (pickle.dumps({"data": [[0] * 3072], "labels": [10**30]}, protocol=3), "no images of 3 x 32 x 32"),
        (pickle.dumps({"data": [["a"] * 3072], "labels": [0]}, protocol=3), "no images of 3 x 32 x 32"),
    ],
    ids=["code", "objects", "list", "damaged", "missing", "ragged", "short", "huge label", "text"],
)
def test_cifar10_archive_that_is_not_one(publish: Publish, tmp_path: Path, batch: bytes | None, sentence: str) -> None:
    archive = publish("c.tar.gz", tar({} if batch is None else {"test_batch": batch}))
    with pytest.raises(DataError, match=sentence):
        load_cifar10("test", tmp_path, archive)


def test_cifar10_damaged_archive(publish: Publish, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be unpacked"):
        load_cifar10("test", tmp_path, publish("c.tar.gz", b"no archive"))


def test_cifar10_archive_with_a_loop_of_links(publish: Publish, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, target in (("test_batch", "other"), ("other", "test_batch")):
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    with pytest.raises(DataError, match=r"cannot be unpacked|lacks"):
        load_cifar10("test", tmp_path, publish("c.tar.gz", buffer.getvalue()))


def sign(value: int, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (value, 0, 0)).save(buffer, format="PPM")
    return buffer.getvalue()


def archive_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


TEST_SIGNS = {
    "GTSRB/Final_Test/Images/00001.ppm": sign(11, (20, 40)),
    "GTSRB/Final_Test/Images/00000.ppm": sign(10, (33, 31)),
}


def test_gtsrb_training_signs_are_labelled_by_folder(publish: Publish, tmp_path: Path) -> None:
    content = archive_of(
        {
            "GTSRB/Readme.txt": b"",
            "GTSRB/Training/00042/00000_00000.ppm": sign(2, (50, 60)),
            "GTSRB/Training/00000/00000_00000.ppm": sign(1, (15, 15)),
        }
    )
    data = load_gtsrb("train", tmp_path, {"train": (publish("train.zip", content),)})
    assert data.x.shape == (2, 32, 32, 3)
    assert data.x[:, 5, 5, 0].tolist() == [1, 2]
    assert data.y.tolist() == [0, 42]
    assert data.mirror is False


def test_gtsrb_test_signs_are_labelled_by_table(publish: Publish, tmp_path: Path) -> None:
    table = b"Filename;Width;ClassId\r\n00000.ppm;33;16\r\n00001.ppm;20;1\r\n"
    files = (
        publish("test.zip", archive_of(TEST_SIGNS)),
        publish("labels.zip", archive_of({"GT-final_test.csv": table})),
    )
    data = load_gtsrb("test", tmp_path, {"test": files})
    assert data.x[:, 0, 0, 0].tolist() == [10, 11]
    assert data.y.tolist() == [16, 1]


SIGNS = archive_of(TEST_SIGNS)


@pytest.mark.parametrize(
    ("signs", "table", "sentence"),
    [
        (SIGNS, {"a.csv": b"Filename;ClassId\n00000.ppm;1\n"}, r"00001\.ppm has no label"),
        (SIGNS, {"a.csv": b"Name;Class\na;b\n"}, "not a table with Filename"),
        (SIGNS, {"a.csv": b"Filename;ClassId\na;b\n"}, "not a table with Filename"),
        (SIGNS, {}, r"no \.csv of labels"),
        (archive_of({}), {"a.csv": b"Filename;ClassId\n"}, r"no \.ppm images"),
        (b"no archive", {"a.csv": b"Filename;ClassId\n"}, "cannot be unpacked"),
    ],
    ids=["image without label", "columns", "label", "no table", "no images", "no archive"],
)
def test_gtsrb_archives_that_do_not_fit(
    publish: Publish, tmp_path: Path, signs: bytes, table: dict[str, bytes], sentence: str
) -> None:
    files = (publish("test.zip", signs), publish("labels.zip", archive_of(table)))
    with pytest.raises(DataError, match=sentence):
        load_gtsrb("test", tmp_path, {"test": files})
