from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from nfkit.data import load


def save(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), value).save(path)


@pytest.mark.parametrize(
    ("table", "y", "classes"),
    [
        ("file,label\na.png,1\nb.png,0\n", [1, 0], None),
        ("filename,class\na.png,dog\nb.png,cat\n", [1, 0], ("cat", "dog")),
        ("image_id,target\na,dog\nb,cat\n", [1, 0], ("cat", "dog")),
        ("id,breed,Label\na,x,7\nb,y,10\n", [7, 10], None),
        # One name among the labels makes all of them names.
        ("file,label\na.png,1\nb.png,one\n", [0, 1], ("1", "one")),
    ],
)
def test_columns_and_labels(tmp_path: Path, table: str, y: list[int], classes: tuple[str, ...] | None) -> None:
    save(tmp_path / "a.png", 1)
    save(tmp_path / "b.png", 2)
    (tmp_path / "anything.csv").write_text(table)
    data = load(tmp_path, "test")
    assert data.x[:, 0, 0, 0].tolist() == [1, 2]
    assert data.y.tolist() == y
    assert data.classes == classes


@pytest.mark.parametrize("where", ["", "images", "test"])
def test_where_images_are_looked_for(tmp_path: Path, where: str) -> None:
    save(tmp_path / where / "a.png", 5)
    (tmp_path / "labels.csv").write_text("file,label\na.png,0\n")
    assert load(tmp_path, "test").x[0, 0, 0].tolist() == [5]


def test_names_are_numbered_over_both_splits(tmp_path: Path) -> None:
    for part, names in (("train", ["owl", "cat", "dog"]), ("test", ["owl"])):
        rows = [f"{i}.png,{name}" for i, name in enumerate(names)]
        for i in range(len(names)):
            save(tmp_path / part / f"{i}.png", i)
        (tmp_path / part / "labels.csv").write_text("\n".join(["file,label", *rows]))
    assert load(tmp_path, "train").y.tolist() == [2, 0, 1]
    assert load(tmp_path, "test").y.tolist() == [2]
    assert load(tmp_path, "test").classes == ("cat", "dog", "owl")


def test_a_table_for_each_split(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 1)
    (tmp_path / "train.csv").write_text("file,label\na.png,3\n")
    (tmp_path / "test.csv").write_text("file,label\na.png,4\n")
    assert load(tmp_path, "train").y.tolist() == [3]
    assert load(tmp_path, "test").y.tolist() == [4]
