"""Counting generators by name: the published totals, from the graphs."""

import pytest

from nfkit.economy import analyse, candidate
from nfkit.energy import count, load_curve
from nfkit.errors import OptionError
from nfkit.models.zoo import path

# Parameters, operations at 3x32x32, and accesses; the published totals.
PUBLISHED = {
    "conv-l": (723_273, "80.5", 320_256),
    "conv-s": (113_187, "10.34", 41_508),
    "deconv-l": (647_785, "64.69", 259_264),
    "deconv-s": (156_777, "22.44", 86_208),
    "unet-l": (482_771, "41.41", 180_894),
    "unet-s": (121_195, "10.58", 45_711),
}

# Accesses and operations at true shapes: transposed convolutions without multiplications by zero.
TRUE = {
    "conv-l": (320_256, 79_626_240),
    "conv-s": (41_508, 10_036_224),
    "deconv-l": (213_888, 50_298_880),
    "deconv-s": (49_024, 11_501_568),
    "unet-l": (157_568, 36_274_176),
    "unet-s": (39_872, 9_191_424),
}


@pytest.fixture(scope="module")
def graphs():
    return {name: candidate(name, (3, 32, 32), 10) for name in PUBLISHED}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_totals(graphs, name):
    counted = count(graphs[name], preset="paper", part="generator")
    parameters, macs, accesses = PUBLISHED[name]
    assert counted.uncounted == ()
    assert (counted.parameters, counted.accesses) == (parameters, accesses)
    assert round(counted.macs / 1e6, len(macs.partition(".")[2])) == float(macs)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_true_totals(graphs, name):
    counted = count(graphs[name], weight_bits=8, part="generator")
    assert (counted.accesses, counted.macs) == TRUE[name]


def test_the_last_layer_of_a_base_is_not_widened_as_a_generators(graphs):
    as_base = count(graphs["unet-l"], preset="paper")
    assert as_base.accesses == PUBLISHED["unet-l"][2] - 30


def test_generators_by_name(zoo_base):
    curve = load_curve("stutz-2021")
    result = analyse(zoo_base, curve.at_rate(0.01), curve, generators=["conv-s"], image_shape=(1, 28, 28))
    (saving,) = result.savings
    expected = count(candidate("conv-s", (1, 28, 28), 10), weight_bits=8)
    assert saving.generator.accesses == expected.accesses
    assert saving.by_accesses == pytest.approx(1 - result.point.energy - expected.accesses / count(zoo_base).accesses)
    record = result.to_dict()
    assert record["schema"] == "nfkit.energy/1"
    assert record["generators"][0]["saving_by_accesses"] == saving.by_accesses
    assert sum(layer["accesses"] for layer in record["base"]["layers"]) == record["base"]["accesses"]


def test_differences_of_the_presets_are_named(zoo_base):
    curve = load_curve("stutz-2021")
    result = analyse(zoo_base, curve.at_rate(0.01), curve)
    named = {entry["name"]: entry for entry in result.differences()}
    changed = sum(entry["paper"] - entry["true"] for entry in named.values())
    assert named
    assert result.other.accesses - result.base.accesses == changed


@pytest.fixture(scope="module")
def zoo_base():
    from nfkit.model import load

    return load(path("resnet8-fashion-mnist"))


def test_unknown_generator():
    with pytest.raises(OptionError, match="no generator 'conv-xl'"):
        candidate("conv-xl", (3, 32, 32), 10)
