"""Whether mirrored images keep their labels, as a base that has learned it says."""

import numpy as np
import pytest

from nfkit.data import Dataset
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.symmetry import GAP, Symmetry, look_in_mirror


def spec(*shape):
    return InputSpec("image", "float32", "NCHW", shape, "N", (0.0,), (1.0,), "stated")


SPEC = spec(3, 8, 10)


def pictures(n=40):
    """One bright column a picture: left of the middle in class 0, right of it in class 1."""
    x = np.zeros((n, 8, 10, 3), np.uint8)
    columns = np.arange(n) % 10
    x[np.arange(n), :, columns] = 255
    return Dataset("columns", x, (columns >= 5).astype(np.int64)), columns


def test_a_base_that_tells_left_from_right_knows_no_mirrored_sample():
    data, _ = pictures()
    seen = look_in_mirror(lambda x: (x[:, 0, 0].argmax(1) >= 5).astype(np.int64), data, SPEC)
    assert seen == Symmetry(1.0, 0.0, 40)
    assert not seen.keeps_labels


def test_a_base_that_looks_at_brightness_knows_them_all():
    data, _ = pictures()
    brightness = data.changed(y=np.zeros(40, np.int64))
    seen = look_in_mirror(lambda x: (x.mean((1, 2, 3)) > 0.5).astype(np.int64), brightness, SPEC)
    assert seen == Symmetry(1.0, 1.0, 40)
    assert seen.keeps_labels
    assert "half of the images are mirrored" in str(seen)


def test_the_gap_decides():
    assert Symmetry(0.9, 0.9 - GAP, 500).keeps_labels
    assert not Symmetry(0.9, 0.89 - GAP, 500).keeps_labels


@pytest.mark.parametrize("shape", [(1, 1, 64), (1, 49, 4)])
def test_what_is_no_picture_is_not_asked_about(shape):
    data = Dataset("features", np.zeros((4, *shape), np.float32), np.zeros(4, np.int64))
    assert look_in_mirror(lambda x: x, data, spec(*shape)) is None
