"""What lower voltage saves on a model, with generators by name, which torch builds to be counted."""

import pytest

pytest.importorskip("torch")

from nfkit.energy import count, load_curve
from nfkit.plans.energy_analysis import analyse
from nfkit.plans.generator_choice import candidate


def test_generators_by_name(zoo):
    curve = load_curve("stutz-2021")
    result = analyse(zoo.model, curve.at_rate(0.01), curve, generators=["conv-s"], image_shape=(1, 28, 28))
    (saving,) = result.savings
    expected = count(candidate("conv-s", (1, 28, 28), 10), weight_bits=8)
    assert saving.generator.accesses == expected.accesses
    assert saving.by_accesses == pytest.approx(1 - result.point.energy - expected.accesses / count(zoo.model).accesses)
    record = result.to_dict()
    assert record["schema"] == "nfkit.energy/1"
    assert record["generators"][0]["saving_by_accesses"] == saving.by_accesses
    assert sum(layer["accesses"] for layer in record["base"]["layers"]) == record["base"]["accesses"]


def test_differences_of_the_presets_are_named(zoo):
    curve = load_curve("stutz-2021")
    result = analyse(zoo.model, curve.at_rate(0.01), curve)
    named = {entry["name"]: entry for entry in result.differences()}
    changed = sum(entry["paper"] - entry["true"] for entry in named.values())
    assert named
    assert result.other.accesses - result.base.accesses == changed
