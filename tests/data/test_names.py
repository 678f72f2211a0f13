from __future__ import annotations

import pytest

from nfkit.data.names import find_pair
from nfkit.errors import DataError


@pytest.mark.parametrize(
    ("names", "split", "pair"),
    [
        (["x", "y"], "train", ("x", "y", True)),
        (["X", "Y"], "test", ("X", "Y", True)),
        (["images", "labels", "notes"], "test", ("images", "labels", True)),
        (["data", "targets"], "train", ("data", "targets", True)),
        (["arr_0", "arr_1"], "train", ("arr_0", "arr_1", True)),
        (["x_train", "y_train", "x_test", "y_test"], "train", ("x_train", "y_train", False)),
        (["x_train", "y_train", "x_test", "y_test"], "test", ("x_test", "y_test", False)),
        (["X_train", "Y_train", "X_test", "Y_test"], "test", ("X_test", "Y_test", False)),
        (["train_images", "train_labels", "val_images", "val_labels"], "test", ("val_images", "val_labels", False)),
        # What is called test goes before validation.
        (["val_images", "test_images", "test_labels"], "test", ("test_images", "test_labels", False)),
        (["trainX", "trainY", "testX", "testY"], "test", ("testX", "testY", False)),
        (["xtrain", "ytrain", "x", "y"], "test", ("x", "y", True)),
        (["x_test"], "test", ("x_test", None, False)),
        (["images"], "test", ("images", None, True)),
        # x goes before other words for samples.
        (["features", "x", "y"], "test", ("x", "y", True)),
        (["x_train", "y_train"], "test", None),
        (["y"], "test", None),
        (["xylophone", "yes"], "test", None),
        ([], "train", None),
    ],
)
def test_pairs(names: list[str], split: str, pair: tuple[str, str | None, bool] | None) -> None:
    assert find_pair(names, split) == pair  # type: ignore[arg-type]


@pytest.mark.parametrize("names", [["x", "X", "y"], ["x_train", "train-x", "y_train"]])
def test_two_names_for_one_thing_are_refused(names: list[str]) -> None:
    with pytest.raises(DataError, match=f"'{names[0]}' and '{names[1]}' may both be meant"):
        find_pair(names, "train")
