"""Parquet files in the layout of Hugging Face, and data sets that its library saved."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from nfkit.data import load
from nfkit.errors import DataError

NAMES = ["cat", "dog", "owl"]
FEATURES = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), np.uint8)


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def table(indices: range, features: dict[str, Any] | None = FEATURES, **columns: Any) -> pa.Table:
    """Images and labels as `datasets` 5.2 writes them."""
    images = [{"bytes": encoded(PIXELS[i]), "path": None} for i in indices]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    content = {"image": pa.array(images, kind), "label": pa.array([i % 3 for i in indices])} | columns
    result = pa.table(content)
    if features is None:
        return result
    return result.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def test_one_file(tmp_path: Path) -> None:
    pq.write_table(table(range(6)), tmp_path / "a.parquet")
    data = load(tmp_path / "a.parquet", "test")
    assert data.x.tolist() == PIXELS.tolist()
    assert data.y.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.classes == ("cat", "dog", "owl")
    assert data.whole


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (["data/train-00000-of-00002", "data/train-00001-of-00002"], "data/test-00000-of-00001"),
        (["train-0", "train-1"], "validation-0"),
        (["mnist/train/0000", "mnist/train/0001"], "mnist/test/0000"),
    ],
)
def test_shards_of_a_split(tmp_path: Path, train: list[str], test: str) -> None:
    for name, part in zip([*train, test], (range(2), range(2, 4), range(4, 6)), strict=True):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(part), tmp_path / f"{name}.parquet")
    assert load(tmp_path, "train").x.tolist() == PIXELS[:4].tolist()
    assert load(tmp_path, "test").x.tolist() == PIXELS[4:].tolist()
    assert load(tmp_path, "test").y.tolist() == [1, 2]


def test_shards_that_say_no_split_serve_either(tmp_path: Path) -> None:
    for i in range(2):
        pq.write_table(table(range(3 * i, 3 * i + 3)), tmp_path / f"part-{i}.parquet")
    assert load(tmp_path, "train").sha256 == load(tmp_path, "test").sha256
    assert load(tmp_path, "test").x.tolist() == PIXELS.tolist()


def test_split_that_is_not_there(tmp_path: Path) -> None:
    pq.write_table(table(range(6)), tmp_path / "train-0.parquet")
    with pytest.raises(DataError, match="has Parquet files for train, but none for test"):
        load(tmp_path, "test")


@pytest.mark.parametrize(
    ("columns", "y", "classes"),
    [
        ({"label": pa.array(["owl", "cat"] * 3)}, [1, 0] * 3, ("cat", "owl")),
        ({"label": pa.array([-1] * 6)}, None, None),
        ({"label": pa.array([None] * 6, pa.int64())}, None, None),
    ],
)
def test_labels_of_other_kinds(
    tmp_path: Path, columns: dict[str, Any], y: list[int] | None, classes: tuple[str, ...] | None
) -> None:
    pq.write_table(table(range(6), None, **columns), tmp_path / "a.parquet")
    data = load(tmp_path / "a.parquet", "test")
    assert data.labelled == (y is not None)
    assert y is None or data.y.tolist() == y
    assert data.classes == classes


def test_plain_bytes_and_other_names(tmp_path: Path) -> None:
    content = {"photo": pa.array([encoded(p) for p in PIXELS]), "fine_label": pa.array([5] * 6)}
    pq.write_table(pa.table(content), tmp_path / "a.parquet")
    data = load(tmp_path / "a.parquet", "test")
    assert data.x.tolist() == PIXELS.tolist()
    assert data.y.tolist() == [5] * 6


def test_numbers_in_nested_lists(tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).normal(size=(6, 3, 4)).astype(np.float32)
    content = {"x": pa.array(numbers.tolist(), pa.list_(pa.list_(pa.float32()))), "y": pa.array([0, 1] * 3)}
    pq.write_table(pa.table(content), tmp_path / "a.parquet")
    data = load(tmp_path / "a.parquet", "test")
    assert data.x.dtype == np.float32
    assert data.x.tolist() == numbers.tolist()
    with pytest.raises(DataError, match=r"has shape \[3, 4\], but the model takes images \[8, 8, 3\]"):
        load(tmp_path / "a.parquet", "test", (3, 8, 8))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"x": pa.array([[1.0], [1.0, 2.0]])}, "samples differ in length"),
        ({"x": pa.array([[1.0, None], [1.0, 2.0]])}, "a value of a sample is missing"),
        ({"x": pa.array([[1.0], None])}, "a sample is missing"),
        ({"x": pa.array([["a"], ["b"]])}, "samples are string"),
        ({"text": pa.array(["a", "b"])}, "no column holds samples, of text"),
        ({"image": pa.array([b"no image", b"x"])}, "row 0: cannot be read as an image"),
        ({"image": pa.array([None, b"x"])}, "row 0: holds no image"),
        ({"x": pa.array([[1.0], [2.0]]), "y": pa.array([0, None])}, "row 1 has no label"),
        ({"x": pa.array([], pa.list_(pa.float32()))}, "holds no rows"),
    ],
)
def test_tables_that_are_no_data_set(tmp_path: Path, content: dict[str, pa.Array], sentence: str) -> None:
    pq.write_table(pa.table(content), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=sentence):
        load(tmp_path / "a.parquet", "test")


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd"])
def test_images_outside_the_folder_are_not_read(tmp_path: Path, path: str) -> None:
    Image.fromarray(PIXELS[0]).save(tmp_path / "secret.png")
    (tmp_path / "in").mkdir()
    Image.fromarray(PIXELS[1]).save(tmp_path / "in" / "a.png")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for name, value in (("good", "a.png"), ("bad", path)):
        images = pa.array([{"bytes": None, "path": value}], kind)
        pq.write_table(pa.table({"image": images}), tmp_path / "in" / f"{name}.parquet")
    assert load(tmp_path / "in" / "good.parquet", "test").x.tolist() == PIXELS[1:2].tolist()
    with pytest.raises(DataError, match="names an image outside its folder"):
        load(tmp_path / "in" / "bad.parquet", "test")


@pytest.mark.parametrize("cut", [0, 4, 100, -20])
def test_damaged_file(tmp_path: Path, cut: int) -> None:
    pq.write_table(table(range(6)), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:cut])
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read as Parquet"):
        load(tmp_path / "a.parquet", "test")


def save_to_disk(folder: Path, content: pa.Table) -> None:
    """A folder as `Dataset.save_to_disk` of datasets 5.2 leaves it, in two shards."""
    folder.mkdir(parents=True)
    names = [f"data-0000{i}-of-00002.arrow" for i in range(2)]
    for name, part in zip(names, (content[:2], content[2:]), strict=True):
        with pa.ipc.new_stream(str(folder / name), content.schema) as stream:
            stream.write_table(part)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))


def test_saved_data_set(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "one", table(range(6)))
    data = load(tmp_path / "one", "train")
    assert data.x.tolist() == PIXELS.tolist()
    assert data.y.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.classes == ("cat", "dog", "owl")


def test_saved_data_set_with_splits(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "both" / "train", table(range(3)))
    save_to_disk(tmp_path / "both" / "test", table(range(3, 6)))
    (tmp_path / "both" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert load(tmp_path / "both", "train").x.tolist() == PIXELS[:3].tolist()
    assert load(tmp_path / "both", "test").x.tolist() == PIXELS[3:].tolist()
    (tmp_path / "both" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(DataError, match="holds train, but nothing for test"):
        load(tmp_path / "both", "test")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("state.json", "{}"),
        ("state.json", "["),
        ("state.json", '{"_data_files": [{"filename": "absent.arrow"}]}'),
        ("dataset_info.json", "[]"),
        ("data-00001-of-00002.arrow", "no stream"),
    ],
)
def test_damaged_saved_data_set(tmp_path: Path, name: str, content: str) -> None:
    save_to_disk(tmp_path / "one", table(range(6)))
    (tmp_path / "one" / name).write_text(content)
    with pytest.raises(DataError, match="one: cannot be read as a saved data set"):
        load(tmp_path / "one", "train")


def test_without_pyarrow_the_message_names_the_extra(tmp_path: Path) -> None:
    pq.write_table(table(range(6)), tmp_path / "a.parquet")
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from nfkit.data import load\n"
        "from nfkit.errors import DataError\n"
        "try:\n"
        "    load(sys.argv[1], 'test')\n"
        "except DataError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a.parquet")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "pip install 'nfkit[parquet]'" in result.stdout
