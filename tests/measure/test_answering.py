"""A base as it is: shares of samples with their intervals."""

import numpy as np
import pytest

from nfkit.access.base import Description, FunctionBase, Tensor
from nfkit.data import Dataset
from nfkit.errors import DataError
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.answering import Share, measure_answers

SPEC = InputSpec("x", "float32", "NC", (3,), "N", (-9.0,), (9.0,), "given")


def base(change=lambda x: x):
    return FunctionBase(change, Description("id", "1", Tensor("x", "float32", (-1, 3)), 3))


def test_wilsons_interval():
    # By his formula: (p + z^2/2n ± z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).
    hits, n, z = 85, 100, 1.959963984540054
    p = hits / n
    centre, reach = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert Share(hits, n).ci95 == pytest.approx(((centre - reach) / (1 + z**2 / n), (centre + reach) / (1 + z**2 / n)))
    assert Share(0, 50).ci95[0] == 0
    assert Share(50, 50).ci95[1] == 1
    assert Share(85, 100).percent() == "85.0 % (76.7 to 90.7)"


def test_accuracy_and_agreement():
    x = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    data = Dataset("d", x, np.array([0, 1, 2, 1]))
    turned = base(lambda v: np.concatenate([v[:2], np.roll(v[2:], 1, axis=1)]))
    measured = measure_answers(turned, data, SPEC, base())
    assert measured.accuracy == Share(3, 4)  # the last one is right by its error
    assert measured.reference == Share(3, 4)
    assert measured.agreement == Share(2, 4)
    alone = measure_answers(base(), data, SPEC)
    assert (alone.agreement, alone.reference, list(alone.to_dict())) == (None, None, ["accuracy"])


def test_labels_beyond_the_classes():
    with pytest.raises(DataError, match="beyond the model's 3 classes"):
        measure_answers(base(), Dataset("d", np.zeros((1, 3), np.float32), np.array([3])), SPEC)
