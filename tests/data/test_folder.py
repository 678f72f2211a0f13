from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nfkit.data import load
from nfkit.errors import DataError


def save(path: Path, value: int = 0, mode: str = "RGB", size: tuple[int, int] = (4, 3)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).convert(mode).save(path)


def test_class_subfolders_are_labels_in_sorted_order(tmp_path: Path) -> None:
    save(tmp_path / "dog" / "a.png", 3)
    save(tmp_path / "cat" / "b.png", 2)
    save(tmp_path / "cat" / "a.png", 1)
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / ".cache").mkdir()
    data = load(str(tmp_path), "test")
    assert data.x.shape == (3, 3, 4, 3)
    assert data.x[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert data.y.tolist() == [0, 0, 1]


def test_number_named_classes_are_in_numeric_order(tmp_path: Path) -> None:
    for label in (0, 2, 10):
        save(tmp_path / str(label) / "a.png", label)
    data = load(str(tmp_path), "test")
    assert data.x[:, 0, 0, 0].tolist() == [0, 2, 10]


def test_splits_number_their_classes_alike(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / "train" / name / "0.png")
    save(tmp_path / "test" / "c" / "0.png")
    assert load(str(tmp_path), "train").y.tolist() == [0, 1, 2]
    assert load(str(tmp_path), "test").y.tolist() == [2]


def test_missing_split(tmp_path: Path) -> None:
    save(tmp_path / "train" / "a" / "0.png")
    with pytest.raises(DataError, match=r"has a train subfolder, but none for test"):
        load(str(tmp_path), "test")


def test_train_beside_other_classes_is_a_class(tmp_path: Path) -> None:
    for name in ("car", "train"):
        save(tmp_path / name / "0.png")
    assert load(str(tmp_path), "test").y.tolist() == [0, 1]


def test_labels_csv(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", 1)
    save(tmp_path / "b.png", 2)
    (tmp_path / "labels.csv").write_text("file,label\nb.png,7\nimages/a.png, 0\n")
    data = load(str(tmp_path), "test")
    assert data.x[:, 0, 0, 0].tolist() == [2, 1]
    assert data.y.tolist() == [7, 0]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("name,class\na.png,0\n", "needs columns file and label, but has name, class"),
        ("", "but has none"),
        ("file,label\na.png,99999999999999999999\n", "line 2: label 99999999999999999999 is too large for a class"),
        ("file,label\na.png," + "9" * 5000 + "\n", "line 2: label 9+ is too large for a class"),
        ("file,label\na.png,0\na.png\n", "line 3: lacks a file or a label"),
        ("file,label\nabsent.png,0\n", "line 2: there is no file .*absent.png"),
        ("file,label\n", "no images in it"),
        ("file,label\na\0.png,1\n", "line 2: there is no file|line contains NUL"),
        ("file,label\n" + "a" * 300 + ".png,1\n", "line 2: there is no file"),
        (b"file,label\n\xff\xfe,0\n", "cannot be read as CSV"),
    ],
)
def test_malformed_labels_csv(tmp_path: Path, table: str | bytes, sentence: str) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(DataError, match=sentence):
        load(str(tmp_path), "test")


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    save(tmp_path / "a" / "0.png", 9, mode="L")
    assert load(str(tmp_path), "test").x.shape == (1, 3, 4, 1)


def test_grey_among_colour_becomes_colour(tmp_path: Path) -> None:
    for index, mode in enumerate(("L", "RGB", "RGBA", "P", "LA")):
        save(tmp_path / "a" / f"{index}.png", 200, mode=mode)
    x = load(str(tmp_path), "test").x
    assert x.shape == (5, 3, 4, 3)
    assert np.unique(x).tolist() == [200]


def test_sixteen_bit_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.fromarray(np.full((3, 4), 40000, dtype=np.uint16)).save(tmp_path / "a" / "0.png")
    with pytest.raises(DataError, match="more than 8 bits a channel"):
        load(str(tmp_path), "test")


def test_first_image_of_another_size_is_named(tmp_path: Path) -> None:
    for index, size in enumerate([(4, 3), (4, 3), (5, 3), (6, 6)]):
        save(tmp_path / "a" / f"{index}.png", size=size)
    with pytest.raises(DataError, match=r"2\.png: is 5 by 3 pixels, but .*0\.png is 4 by 3; resize"):
        load(str(tmp_path), "test")


def test_damaged_image_is_named(tmp_path: Path) -> None:
    save(tmp_path / "a" / "0.png")
    raw = (tmp_path / "a" / "0.png").read_bytes()
    (tmp_path / "a" / "0.png").write_bytes(raw[:40])
    with pytest.raises(DataError, match=r"0\.png: cannot be read as an image"):
        load(str(tmp_path), "test")


@pytest.mark.parametrize("inside", ["", "a", "train"])
def test_folder_without_images(tmp_path: Path, inside: str) -> None:
    (tmp_path / inside).mkdir(exist_ok=True)
    with pytest.raises(DataError, match="no images in it"):
        load(str(tmp_path), "train")


def test_without_pillow_the_message_names_the_extra(tmp_path: Path) -> None:
    save(tmp_path / "a" / "0.png")
    script = (
        "import sys; sys.modules['PIL'] = None\n"
        "from nfkit.data import load\n"
        "from nfkit.errors import DataError\n"
        "try:\n"
        "    load(sys.argv[1], 'test')\n"
        "except DataError as error:\n"
        "    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "pip install 'nfkit[images]'" in result.stdout


def test_images_of_any_size_are_fitted_to_the_model(tmp_path: Path) -> None:
    for index, size in enumerate([(4, 3), (8, 6), (5, 9)]):
        save(tmp_path / "a" / f"{index}.png", 9, size=size)
    data = load(tmp_path, "test", (3, 3, 4))
    assert data.x.shape == (3, 3, 4, 3)
    assert np.unique(data.x).tolist() == [9]
    assert data.notes == ("2 of 3 images were scaled and cropped to 4 by 3 pixels",)


def test_class_names_are_those_of_the_folders(tmp_path: Path) -> None:
    for name in ("owl", "cat"):
        save(tmp_path / name / "0.png")
    assert load(tmp_path, "test").classes == ("cat", "owl")


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    save(tmp_path / "b.png", 2)
    save(tmp_path / "a.png", 1)
    data = load(tmp_path, "test")
    assert not data.labelled
    assert data.x[:, 0, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize("word", ["val", "valid", "validation"])
def test_validation_is_measured_on_where_there_is_no_test(tmp_path: Path, word: str) -> None:
    for part, classes in (("train", "ab"), (word, "b")):
        for name in classes:
            save(tmp_path / part / name / "0.png")
    assert load(tmp_path, "test").y.tolist() == [1]
    assert load(tmp_path, "train").y.tolist() == [0, 1]


def test_a_loop_of_links_is_no_image(tmp_path: Path) -> None:
    save(tmp_path / "a" / "0.png", 3)
    (tmp_path / "a" / "1.png").symlink_to("2.png")
    (tmp_path / "a" / "2.png").symlink_to("1.png")
    (tmp_path / "b").symlink_to("b")
    assert load(tmp_path, "test").x[:, 0, 0, 0].tolist() == [3]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    save(odd / "0.png", size=(4, 3))
    save(odd / "1.png", size=(5, 3))
    assert load(tmp_path, "test", (3, 3, 4)).classes == ("caf\ufffd",)
    with pytest.raises(DataError) as caught:
        load(tmp_path, "test")
    assert "caf\ufffd/1.png: is 5 by 3" in str(caught.value)
    assert str(caught.value).encode()
