"""What a user's function may return: arrays, torch data sets and loaders, rows, iterables; and where it may be."""

from __future__ import annotations

import itertools
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nfkit.data import load, load_for_training
from nfkit.data.dataset import Dataset
from nfkit.data.iterables import from_object
from nfkit.errors import DataError

torch = pytest.importorskip("torch")
DataLoader, TensorDataset = torch.utils.data.DataLoader, torch.utils.data.TensorDataset

X = np.random.default_rng(0).normal(size=(7, 3, 4, 4)).astype(np.float32)
Y = np.arange(7) % 3


class Rows(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """A torch Dataset that can only be indexed, as most are."""

    def __init__(self, item: Callable[[int], object]) -> None:
        self.item = item

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> object:
        return self.item(index)


TENSORS = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
FORMS = {
    "arrays": lambda: (X, Y),
    "lists": lambda: (X.tolist(), Y.tolist()),
    "tensors": lambda: (torch.from_numpy(X), torch.from_numpy(Y)),
    "tensors with gradients": lambda: (torch.from_numpy(X).requires_grad_(), torch.from_numpy(Y)),
    "mapping": lambda: {"images": X, "labels": Y},
    "torch data set": lambda: TENSORS,
    "torch data set of numbers": lambda: Rows(lambda i: (torch.from_numpy(X[i]), int(Y[i]))),
    "torch data set of mappings": lambda: Rows(lambda i: {"image": X[i], "label": int(Y[i])}),
    "loader": lambda: DataLoader(TENSORS, batch_size=3),
    "loader of one": lambda: DataLoader(TENSORS, batch_size=1),
    "loader of mappings": lambda: DataLoader(Rows(lambda i: {"image": X[i], "label": int(Y[i])}), batch_size=2),
    "generator": lambda: ((x, y) for x, y in zip(X, Y, strict=True)),
    "generator of batches": lambda: ((X[i : i + 3], Y[i : i + 3]) for i in range(0, 7, 3)),
    "list of rows": lambda: [(x, int(y)) for x, y in zip(X, Y, strict=True)],
    "one-hot": lambda: (X, np.eye(3)[Y]),
    "rows of one-hot": lambda: [(x, np.eye(3)[y]) for x, y in zip(X, Y, strict=True)],
    "train and test": lambda: ((X[:2], Y[:2]), (X, Y)),
    "mapping of splits": lambda: {"train": (X[:2], Y[:2]), "test": TENSORS},
}


@pytest.mark.parametrize("form", FORMS)
def test_labelled(form: str) -> None:
    data, _ = from_object("f", FORMS[form](), "test")
    assert np.array_equal(data.x, X)
    assert data.y.tolist() == Y.tolist()


@pytest.mark.parametrize(
    "result",
    [
        X,
        {"x": X},
        TensorDataset(torch.from_numpy(X)),
        DataLoader(TensorDataset(torch.from_numpy(X)), batch_size=3),
        DataLoader(Rows(lambda i: X[i]), batch_size=3),
        Rows(lambda i: X[i]),
        list(X),
    ],
    ids=["array", "mapping", "torch data set", "loader", "loader of arrays", "indexed", "list"],
)
def test_without_labels(result: object) -> None:
    data, _ = from_object("f", result, "test")
    assert np.array_equal(data.x, X)
    assert not data.labelled


def test_pictures_are_fitted_to_the_model() -> None:
    rows = Rows(lambda i: (Image.new("RGB", (10 + i, 8), (i, 0, 0)), i))
    data, _ = from_object("f", rows, "test", (3, 4, 4))
    assert data.x.shape == (7, 4, 4, 3)
    assert data.x[:, 0, 0, 0].tolist() == list(range(7))
    assert data.notes == ("7 of 7 images were scaled and cropped to 4 by 4 pixels",)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (3, "returned a int; return"),
        ("text", "returned a str; return"),
        ((X, Y, X, Y), "returned a tuple of 4; return"),
        (iter([]), "gave no samples"),
        ([(X[0], 0), (X[0, :2], 1)], "samples differ in shape"),
        ([(X[0], 0), X[1]], "gave 2 samples, but 1 labels"),
        ({"a": X}, "no key of a holds samples"),
        ([{"a": X}], "no key of a holds samples"),
        ([("text", 0)], "x is <U4, but inputs are numbers"),
    ],
)
def test_what_is_no_data_set_is_refused(result: object, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        from_object("f", result, "test")


def test_an_endless_iterable_is_refused_where_it_would_fill_the_memory() -> None:
    huge = np.lib.stride_tricks.as_strided(np.zeros(1), (2**20, 2**15), (0, 0))  # takes no memory by itself
    with pytest.raises(DataError, match="more than half of this machine's memory"):
        from_object("f", itertools.repeat(huge), "test")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def put(name: str, body: str) -> Path:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("import numpy as np\n" + body)
        return tmp_path / name

    return put


def test_a_file_as_typed(write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    body = "def get():\n    from nfkit_case_beside import X\n    return X, [0, 1]\n"
    write("scripts/json.py", body)  # called like a module that is imported long since
    write("scripts/nfkit_case_beside.py", "X = np.full((2, 3), 5.0)\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    for source in ("scripts/json.py:get", str(tmp_path / "scripts" / "json.py:get")):
        assert load(source, "test").x.tolist() == [[5.0] * 3] * 2
    assert sys.path == before
    with pytest.raises(DataError, match=r"scripts/absent\.py: there is no such file"):
        load("scripts/absent.py:get", "test")
    with pytest.raises(DataError, match=r"json\.py has no function other"):
        load("scripts/json.py:other", "test")


def test_a_source_without_splits_is_read_once_and_divided(write: Callable[[str, str], Path]) -> None:
    # In another order at every call: read twice, the two parts would share their samples.
    body = "count = 0\ndef get():\n    global count\n    count += 1\n    x = np.arange(40.0)[:, None]\n"
    path = write(f"shuffled_{zlib.crc32(b'a')}.py", body + "    return np.roll(x, count, axis=0), [0] * 40\n")
    train, test = load_for_training(f"{path}:get", None, seed=0)
    assert (len(train), len(test)) == (36, 4)
    assert sorted([*train.x[:, 0], *test.x[:, 0]]) == list(range(40))


def test_a_function_of_the_split_is_not_divided(write: Callable[[str, str], Path]) -> None:
    path = write(
        "parts.py", "def get(split):\n    n = {'train': 5, 'test': 3}[split]\n    return np.zeros((n, 2)), [0] * n\n"
    )
    assert [len(part) for part in load_for_training(f"{path}:get", None, seed=0)] == [5, 3]
    path = write("pairs.py", "def get():\n    return (np.zeros((5, 2)), [0] * 5), (np.ones((3, 2)), [0] * 3)\n")
    assert [len(part) for part in load_for_training(f"{path}:get", None, seed=0)] == [5, 3]


def test_a_data_set_keeps_what_it_says(write: Callable[[str, str], Path]) -> None:
    path = write(
        "own.py",
        "from nfkit.data import Dataset\n"
        "def get():\n    return Dataset('mine', np.zeros((2, 2)), None, classes=['a'])\n",
    )
    data = load(f"{path}:get", "test")
    assert isinstance(data, Dataset)
    assert (data.name, data.classes, data.source, data.whole) == ("mine", ("a",), f"{path}:get", True)
