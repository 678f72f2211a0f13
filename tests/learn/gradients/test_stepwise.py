"""Node by node on another runtime's operands: what rounding explains, and what it does not."""

import numpy as np
import pytest

from nfkit.access.trace import trace
from nfkit.learn.gradients.stepwise import differences

# Sums of two codes in steps of half a code: every other one is a tie, which a runtime rounds to either side.
TIES = """
<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>
g (float[N, 64] x) => (float[N, 64] y)
<float s = {0.01}, float t = {0.02}, uint8 z = {128}>
{
    a = QuantizeLinear (x, s, z)
    [sum] c = com.microsoft.QLinearAdd (a, s, z, b, s, z, t, z)
    y = DequantizeLinear (c, t, z)
}
"""


@pytest.fixture
def model(parse):
    """The model, with the operand that it stores."""
    return parse(TIES, b=np.random.default_rng(0).integers(0, 256, 64, np.uint8))


@pytest.fixture
def x():
    """Samples that fill the range of their codes."""
    return np.random.default_rng(1).uniform(-1.2, 1.2, (50, 64)).astype(np.float32)


def of(found, name):
    return next(node for node in found if node.node == name)


def test_ties_are_explained_whichever_way_they_fall(model, x):
    node = of(differences(model, {**trace(model, x, "extended"), "x": x}), "sum")
    assert (node.op, node.unexplained) == ("QLinearAdd", 0.0)
    assert node.largest <= 1


@pytest.mark.parametrize("rule", [np.floor, np.ceil])
def test_another_rule_of_rounding_is_not(model, x, rule):
    values = {**trace(model, x, "extended"), "x": x}
    values["a"] = np.clip(rule(x / np.float32(0.01)) + 128, 0, 255).astype(np.uint8)
    found = list(differences(model, values))
    assert found[0].largest == 1  # never more than rounding could do
    assert found[0].unexplained > 0.3


def test_a_value_of_another_shape_agrees_with_nothing(model, x):
    values = {**trace(model, x, "extended"), "x": x}
    values["a"] = values["a"][:, :1]
    assert next(iter(differences(model, values))).unexplained == 1.0


def test_what_is_given_takes_the_place_of_what_was_computed(model, x):
    values = {**trace(model, x, "extended"), "x": x}
    values["a"] = 255 - values["a"]
    first, *others = differences(model, values)
    assert first.unexplained > 0.9  # it is wrong, and what follows is judged by it alone
    assert of(others, "sum").unexplained > 0.9
    assert others[-1].largest == 0
