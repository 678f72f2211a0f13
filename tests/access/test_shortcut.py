"""Going on from what no error reaches, against the whole model with the same codes."""

import numpy as np
import pytest

from nfkit.access.runtime import Runner
from nfkit.access.shortcut import Shortcut
from nfkit.graph.injection.cutting import cuts
from nfkit.graph.injection.inject import with_codes
from nfkit.graph.memory.sites import codes, fault_sites

X = np.random.default_rng(1).normal(size=(300, 2, 4, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def block(blocks):
    return blocks()


def stored(model):
    return {site.name: codes(model, site) for site in fault_sites(model)}


def other(model, changing):
    random, known = np.random.default_rng(7), stored(model)
    return known | {name: random.permuted(known[name].reshape(-1)).reshape(known[name].shape) for name in changing}


@pytest.mark.parametrize("level", ["basic", "all"])
@pytest.mark.parametrize("changing", [["second"], ["third"], ["second", "third"]])
def test_it_gives_the_bits_of_the_whole_model(block, changing, level):
    """In more than one batch, and on more samples than those that both were compared on."""
    shortcut = Shortcut.find(block, changing, stored(block), X, level=level, room=1 << 20)
    chip = other(block, changing)
    whole = Runner(with_codes(block, chip), level=level)(X)
    np.testing.assert_array_equal(shortcut.scores(chip), whole)
    assert (whole != Runner(block, level=level)(X)).any()


def test_it_begins_at_codes_and_at_all_that_the_rest_needs(block):
    assert [cut.values for cut in cuts(block, ["second"], list(stored(block)), 4)] == [["q1"]]
    assert [cut.values for cut in cuts(block, ["third"], list(stored(block)), 4)] == [["f"], ["q1"]]
    around = next(cuts(block, ["first"], list(stored(block)), 4), None)
    assert around is None  # nothing but the image lies before the first weights


def test_where_both_halves_give_other_bits_an_earlier_place_is_taken(block, monkeypatch):
    """As ONNX Runtime does where it merges operators of a whole that a cut keeps apart."""
    from nfkit.access import shortcut as module

    def differing(model, *given):
        for index, cut in enumerate(cuts(model, *given)):
            if index == 0:
                factor = cut.after.graph.initializers["s_w"]
                factor.const_value = module.ir.tensor(np.float32(0.0157), name="s_w")
            yield cut

    monkeypatch.setattr(module, "cuts", differing)
    found = Shortcut.find(block, ["third"], stored(block), X, level="all", room=1 << 20)
    assert list(found._values) == ["q1"]
    chip = other(block, ["third"])
    np.testing.assert_array_equal(found.scores(chip), Runner(with_codes(block, chip))(X))


def test_there_is_none_without_room_or_before_the_first_weights(block):
    known = stored(block)
    assert Shortcut.find(block, ["third"], known, X, level="all", room=300 * 4 * 4 - 1) is None
    assert Shortcut.find(block, ["first"], known, X, level="all", room=1 << 20) is None


def test_there_is_none_in_a_model_of_one_batch_size(blocks):
    model = blocks("5")
    assert Shortcut.find(model, ["third"], stored(model), X, level="all", room=1 << 20) is None
