"""Where data is looked for that nobody named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

from nfkit.data import load, load_for_training
from nfkit.data.found import DATA_KEY, describe_data, find_data, find_for_training, require_data
from nfkit.errors import DataError

X = np.arange(40 * 12, dtype=np.uint8).reshape(40, 2, 2, 3)


def arrays(path: Path, start: int = 0, **more: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, x=X + np.uint8(start), y=np.arange(40) % 2, **more)
    return path


def pictures(folder: Path, value: int) -> None:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        Image.new("L", (2, 2), value).save(folder / name / "0.png")


@pytest.mark.parametrize(
    ("files", "split", "taken"),
    [
        (["model.npz", "other.npz"], "test", "model.npz"),
        (["model.npz", "model.test.npz"], "test", "model.test.npz"),
        (["model.npz", "model.test.npz"], "train", "model.npz"),
        (["model.train.npz", "model.val.npz"], "test", "model.val.npz"),
        (["anything.npz"], "test", "anything.npz"),
        # What belongs to another model is not taken for this one's.
        (["anything.npz", "other.onnx", "other.npz", "other.test.npz"], "test", "anything.npz"),
    ],
)
@pytest.mark.parametrize("name", ["model.onnx", "model.nf.onnx"])
def test_files_beside_the_model(tmp_path: Path, files: list[str], split: str, taken: str, name: str) -> None:
    for number, file in enumerate(files):
        arrays(tmp_path / file, number) if file.endswith(".npz") else (tmp_path / file).touch()
    found = find_data(tmp_path / name, split)  # type: ignore[arg-type]
    assert found.data.sha256 == load(tmp_path / taken, split).sha256  # type: ignore[arg-type]
    assert found.sentence.startswith(f"data: {taken}:x, 40 samples ({taken}")
    assert "beside the model" in found.sentence
    assert found.source == str(tmp_path / taken)


def test_folders_beside_the_model(tmp_path: Path) -> None:
    pictures(tmp_path / "train", 1)
    pictures(tmp_path / "test", 2)
    assert np.unique(find_data(tmp_path / "m.onnx", "test").data.x).tolist() == [2]
    train, test, sentence = find_for_training(tmp_path / "m.onnx", 0)
    assert [np.unique(part.x).tolist() for part in (train, test)] == [[1], [2]]
    assert "the folder train beside the model" in sentence
    pictures(tmp_path / "data", 3)
    assert np.unique(find_data(tmp_path / "m.onnx", "test").data.x).tolist() == [3]
    arrays(tmp_path / "m.npz")
    assert len(find_data(tmp_path / "m.onnx", "test").data) == 40


@pytest.mark.parametrize("files", [[], ["a.npz", "b.npz"], ["model.train.npz"], ["other.npz", "other.onnx"]])
def test_nothing_found_shows_three_ways(tmp_path: Path, files: list[str]) -> None:
    for file in files:
        arrays(tmp_path / file) if file.endswith(".npz") else (tmp_path / file).touch()
    for call in (find_data, require_data):
        with pytest.raises(DataError) as caught:
            call(tmp_path / "model.onnx", "test")  # type: ignore[operator]
        lines = str(caught.value).splitlines()
        assert "no data to measure on" in lines[0]
        assert "model.test.npz, model.npz, data/, train/ and test/" in lines[0]
        assert [line.split()[:2] for line in lines[1:]] == [
            ["--data", "test.npz"], ["--data", "photos/"], ["--data", "mydata.py:load"],
        ]  # fmt: skip


def test_training_and_test_share_no_sample(tmp_path: Path) -> None:
    arrays(tmp_path / "model.npz")
    train, test, sentence = find_for_training(tmp_path / "model.onnx", 3)
    assert (len(train), len(test)) == (36, 4)
    assert sentence.startswith(
        "data: model.npz:x, 36 samples to train on (model.npz beside the model), 4 of model.npz:x"
    )
    arrays(tmp_path / "model.test.npz", 7)
    train, test, sentence = find_for_training(tmp_path / "model.onnx", 3)
    assert (len(train), len(test)) == (40, 40)
    assert "model.test.npz beside the model" in sentence


def test_what_was_found_and_is_unusable_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", z=X)
    with pytest.raises(
        DataError, match=r"no --data was given, and .*model\.npz, found beside the model, cannot be used"
    ):
        find_data(tmp_path / "model.onnx", "test")


@pytest.fixture
def protected(parse: Callable[..., ir.Model]) -> Callable[[str], ir.Model]:
    def build(record: str) -> ir.Model:
        model = parse('<ir_version: 8, opset_import: ["" : 18]> g (float[N, 2] x) => (float[N, 2] y) { y = Relu (x) }')
        model.metadata_props[DATA_KEY] = record
        return model

    return build


def test_a_record_finds_the_part_that_was_held_out(tmp_path: Path, protected: Callable[[str], ir.Model]) -> None:
    source = arrays(tmp_path / "elsewhere" / "set.npz")
    arrays(tmp_path / "out" / "m.npz", 9)  # the next rule would take it
    train, test = load_for_training(source, None, seed=5)
    record = describe_data(train, test, 5, tmp_path / "out" / "m.nf.onnx", 0.75)
    assert json.loads(record)["test"]["source"] == "../elsewhere/set.npz"
    assert json.loads(record)["clean_base"] == 0.75
    for split, part in (("train", train), ("test", test)):
        found = find_data(tmp_path / "out" / "m.nf.onnx", split, protected(record))  # type: ignore[arg-type]
        assert found.data.sha256 == part.sha256
        assert "the file's own record names them; digest verified" in found.sentence


def test_a_record_finds_data_that_moved_with_the_file(tmp_path: Path, protected: Callable[[str], ir.Model]) -> None:
    source = arrays(tmp_path / "a" / "set.npz")
    data = load(source, "test")
    record = describe_data(data, data, 0, tmp_path / "m.nf.onnx", 0.5)
    source.rename(tmp_path / "set.npz")
    arrays(tmp_path / "m.npz", 9)
    assert find_data(tmp_path / "m.nf.onnx", "test", protected(record)).data.sha256 == data.sha256


def test_data_that_has_changed_is_not_what_was_recorded(tmp_path: Path, protected: Callable[[str], ir.Model]) -> None:
    data = load(arrays(tmp_path / "set.npz"), "test")
    record = describe_data(data, data, 0, tmp_path / "m.nf.onnx", 0.5)
    arrays(tmp_path / "set.npz", 1)
    arrays(tmp_path / "m.npz", 2)
    found = find_data(tmp_path / "m.nf.onnx", "test", protected(record))
    assert found.source == str(tmp_path / "m.npz")
    assert "set.npz:x, which the file's own record names, has changed since" in found.sentence


def test_a_record_calls_no_function(tmp_path: Path, protected: Callable[[str], ir.Model]) -> None:
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    entry = {"source": "evil.py:load", "sha256": "0", "name": "n"}
    record = json.dumps({"train": entry, "test": entry, "seed": 0})
    with pytest.raises(DataError, match="no data to measure on"):
        find_data(tmp_path / "m.nf.onnx", "test", protected(record))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "record",
    ["", "[]", "{}", '{"test": 3, "seed": 0}', '{"test": {"source": "a\\u0000"}, "seed": 0}', '{"test": null}'],
)
def test_damaged_records_do_no_harm(tmp_path: Path, protected: Callable[[str], ir.Model], record: str) -> None:
    arrays(tmp_path / "m.npz")
    assert find_data(tmp_path / "m.nf.onnx", "test", protected(record)).source == str(tmp_path / "m.npz")
