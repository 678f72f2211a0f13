"""The examples of docs/data.md run, its transcript is what is printed, and its tables hold what the code does."""

import re
from pathlib import Path
from typing import get_args

import pytest

from nfkit.data import load
from nfkit.data.found import require_data
from nfkit.data.label_table import FILE_COLUMNS, LABEL_COLUMNS
from nfkit.data.named import NAMED
from nfkit.data.names import LABELS, SAMPLES, SPLITS
from nfkit.data.plausibility import FEW_TO_MEASURE, FEW_TO_TRAIN, MEASURING_FLOOR, TRAINING_FLOOR, Kind
from nfkit.errors import DataError

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_examples_run_and_load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays, function = BLOCKS
    exec(compile(arrays, "docs/data.md", "exec"), {})
    Path("mydata.py").write_text(function)
    for source in ("train.npz", "photos_images.npy", "mydata.py:load"):
        train = load(source, "train")
        assert train.x.shape == (40, 28, 28, 1)
        assert train.y.tolist() == [i % 10 for i in range(40)]
    assert len(load("mydata.py:load", "test")) == 20


def test_the_transcript_of_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        require_data("model.onnx", "test")
    printed = f"nfkit: {caught.value}".splitlines()
    start = PAGE.splitlines().index("    $ nfkit evaluate model.onnx") + 1
    assert PAGE.splitlines()[start : start + len(printed)] == [f"    {line}" for line in printed]


def test_tables_name_what_the_code_knows():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    doubts = [row.split("|")[1].strip() for row in rows[rows.index("| doubt | where |") + 1 :]]
    assert sorted(doubts) == sorted(get_args(Kind))
    assert all(f"`{name}`" in PAGE for name in NAMED)
    floors = f"refused below {TRAINING_FLOOR} to train on and {MEASURING_FLOOR} to measure on"
    assert floors in PAGE
    assert f"noted below {FEW_TO_TRAIN} and {FEW_TO_MEASURE} |" in PAGE
    documented = set(re.findall(r"`([^`]+)`", PAGE))
    assert documented >= {"x", "images", "data", "features", "arr_0", "y", "labels", "targets", "arr_1"}
    assert documented >= {"val", "valid", "validation"} <= set(SPLITS["test"])
    named = re.search(r"\*\*Names\.\*\* Samples: (.*?); labels: (.*?);", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", named[1])) <= set(SAMPLES)
    assert set(re.findall(r"`(\w+)`", named[2])) <= set(LABELS)
    columns = re.search(r"`file`, `filename`.*?or `id`", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", columns[0])) <= set(FILE_COLUMNS)
    assert {"label", "class", "target", "category", "y"} <= set(LABEL_COLUMNS)
