from __future__ import annotations

import sys
import zlib
from pathlib import Path

import pytest

from nfkit.data import load
from nfkit.errors import DataError, OptionError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_module(folder: Path, name: str, body: str) -> None:
    (folder / f"{name}.py").write_text("import numpy as np\n" + body)


def test_function_with_split(here: Path) -> None:
    write_module(
        here,
        "nfkit_case_split",
        "def get(split):\n    n = {'train': 3, 'test': 2}[split]\n    return np.zeros((n, 4)), np.arange(n)\n",
    )
    before = list(sys.path)
    assert len(load("nfkit_case_split:get", "train")) == 3
    assert len(load("nfkit_case_split:get", "test")) == 2
    assert sys.path == before


def test_function_without_split(here: Path) -> None:
    write_module(
        here,
        "nfkit_case_plain",
        "def get():\n    return [np.zeros((2, 8, 8), np.uint8), [0, 1]]\n"
        "def keywords(**kw):\n    return np.zeros((2, 1)), [len(kw)] * 2\n",
    )
    data = load("nfkit_case_plain:get", "test")
    assert data.x.shape == (2, 8, 8, 1)
    assert data.name == "nfkit_case_plain:get"
    assert load("nfkit_case_plain:keywords", "test").y.tolist() == [1, 1]


def test_function_that_returns_a_dataset(here: Path) -> None:
    write_module(
        here,
        "nfkit_case_dataset",
        "from nfkit.data import Dataset\n"
        "def get():\n    return Dataset('mine', np.zeros((1, 2)), np.array([0]), mirror=True)\n",
    )
    assert load("nfkit_case_dataset:get", "test").name == "mine"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("import nfkit_absent_module\n", "Cannot import .*No module named 'nfkit_absent_module'"),
        ("1 / 0\n", r"Cannot import .*ZeroDivisionError.*\.py, line 2\)"),
        ("other = 1\n", "has no function get"),
        ("get = 1\n", "has no function get"),
        ("def get():\n    raise KeyError('lost')\n", r"failed with KeyError: 'lost' \(.*\.py, line 3\)"),
        ("import sys\nsys.exit(3)\n", r"Cannot import .*SystemExit: 3 \(.*\.py, line 3\)"),
        ("def get():\n    raise SystemExit\n", r"failed with SystemExit \(.*\.py, line 3\)"),
        ("def get():\n    return 1\n", r"returned a int; return \(x, y\)"),
        ("def get():\n    return [[1], [1, 2]], [0]\n", "makes no array"),
        ("def get():\n    return np.zeros((2, 2)), np.zeros(2)\n", "y is float64"),
        ("from nfkit.errors import DataError\ndef get():\n    raise DataError('own words')\n", "^own words$"),
    ],
)
def test_function_that_fails(here: Path, request: pytest.FixtureRequest, body: str, sentence: str) -> None:
    name = f"nfkit_case_{zlib.crc32(request.node.name.encode())}"
    write_module(here, name, body)
    with pytest.raises(DataError, match=sentence):
        load(f"{name}:get", "test")


def test_module_that_is_not_there(here: Path) -> None:
    with pytest.raises(DataError, match=r"Cannot import nfkit_nowhere .*run from the folder"):
        load("nfkit_nowhere:get", "test")


def test_anything_else_lists_the_four_kinds(here: Path) -> None:
    (here / "table.csv").write_text("")
    for source, problem in [
        ("fashion", "names no data"),
        ("table.csv", "is a file of no known form"),
        ("", "names no data"),
    ]:
        with pytest.raises(DataError, match=problem) as caught:
            load(source, "test")
        for kind in (".npz", "folder of images", "cifar10, fashion-mnist, gtsrb", "module:function"):
            assert kind in str(caught.value)


def test_unknown_split(here: Path) -> None:
    with pytest.raises(OptionError, match="'val'; choose train or test"):
        load("cifar10", "val")  # type: ignore[arg-type]
