"""Generators by name: the published totals, counted on their graphs, and which one is chosen."""

import numpy as np
import pytest

from nfkit.energy import count, load_curve
from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.input.discovery import find_input
from nfkit.learn.export import export_generator
from nfkit.models.generators import HINTS, build
from nfkit.plans.generator_choice import candidate, choose, classes_of, cost_of

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


def test_unknown_generator():
    with pytest.raises(OptionError, match="no generator 'conv-xl'"):
        candidate("conv-xl", (3, 32, 32), 10)


# --- choosing ---

CURVE = load_curve("stutz-2021")
IMAGE = (1, 28, 28)


@pytest.fixture(scope="module")
def costs():
    """Accesses of the hints in front of the zoo's model."""
    return {name: cost_of(name, IMAGE, 10).accesses for name in HINTS}


def test_wider_hints_read_more(costs):
    in_order = [costs[name] for name in HINTS]  # the widest first
    assert in_order == sorted(set(in_order), reverse=True)


@pytest.mark.parametrize("name", ["hint-128", "hint-48", "hint-8"])
@pytest.mark.parametrize("slack", [1 + 1e-9, 1.01])
def test_auto_is_the_widest_hint_within_the_budget(zoo, costs, name, slack):
    budget = costs[name] / count(zoo.model).accesses * slack
    choice = choose(zoo.model, IMAGE, "auto", CURVE.at_rate(0.01), CURVE, budget=budget)
    assert choice.name == name
    assert choice.saving.generator.accesses == costs[name]
    assert choice.reason.startswith(f"{name} is the widest that reads at most {100 * budget:.3g} % of the base's")


def test_without_a_budget_auto_spends_up_to_half_of_what_the_voltage_saves(zoo, costs):
    point = CURVE.at_rate(0.01)
    choice = choose(zoo.model, IMAGE, "auto", point, CURVE)
    share = (1 - point.energy) / 2
    fitting = [name for name in HINTS if costs[name] <= share * count(zoo.model).accesses]
    assert choice.name == fitting[0]
    assert choice.saving.pays
    assert choice.saving.by_accesses >= share


def test_budget_below_every_generator(zoo, costs):
    budget = costs["hint-8"] / count(zoo.model).accesses * 0.99
    with pytest.raises(OptionError, match=r"no generator reads as little as .* --allow-loss"):
        choose(zoo.model, IMAGE, "auto", CURVE.at_rate(0.01), CURVE, budget=budget)


def test_named_generator_over_the_budget(zoo):
    with pytest.raises(OptionError, match=r"conv-l reads .* more than the --energy-budget of 2 %"):
        choose(zoo.model, IMAGE, "conv-l", CURVE.at_rate(0.01), CURVE, budget=0.02)


def test_named_generator_that_costs_more_than_it_saves_is_named_with_its_loss(zoo):
    choice = choose(zoo.model, IMAGE, "conv-l", CURVE.at_rate(0.01), CURVE)
    assert choice.name == "conv-l"
    assert not choice.saving.pays
    assert choice.reason == choice.saving.verdict
    assert choice.reason.startswith("conv-l costs more than it saves")


def test_the_pattern_reads_nothing(zoo):
    choice = choose(zoo.model, IMAGE, "pattern", CURVE.at_rate(0.01), CURVE, budget=0.001)
    assert choice.saving.generator.accesses == 0
    assert choice.saving.by_accesses == pytest.approx(1 - CURVE.at_rate(0.01).energy)


def test_a_rate_that_the_curve_does_not_know(zoo, costs):
    auto = choose(zoo.model, IMAGE, "auto", None, CURVE)
    assert (auto.name, auto.saving) == ("hint-64", None)
    assert "'stutz-2021' knows no voltage for this rate" in auto.reason
    named = choose(zoo.model, IMAGE, "conv-s", None, CURVE)
    assert (named.name, named.saving) == ("conv-s", None)
    assert named.reason == "'stutz-2021' knows no voltage for this rate, so what conv-s saves is unknown"
    budget = 1.001 * costs["hint-16"] / count(zoo.model).accesses
    within = choose(zoo.model, IMAGE, "auto", None, CURVE, budget=budget)
    assert (within.name, within.saving) == ("hint-16", None)


@pytest.fixture
def uncountable(parse):
    """A base whose only weights are in an operator that no count knows."""
    return parse(
        """
        <ir_version: 8, opset_import: ["" : 18, "some.vendor" : 1]>
        foreign (float[N, 1, 28, 28] image) => (float[N, 7] scores)
        { scores = some.vendor.Classify (image, w) }
        """,
        w=np.ones((784, 7), np.float32),
    )


def test_a_base_that_cannot_be_counted(uncountable):
    point = CURVE.at_rate(0.01)
    assert count(uncountable).accesses == 0
    auto = choose(uncountable, IMAGE, "auto", point, CURVE)
    assert (auto.name, auto.saving) == ("hint-64", None)
    assert "the base's accesses cannot be counted" in auto.reason
    named = choose(uncountable, IMAGE, "conv-s", point, CURVE)
    assert (named.name, named.saving) == ("conv-s", None)
    for generator in ("auto", "conv-s"):
        with pytest.raises(ModelError, match="no budget can be a share of them"):
            choose(uncountable, IMAGE, generator, point, CURVE, budget=0.02)


def test_a_protected_model_is_refused(zoo, parse):
    generator = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        none (float[N, 1, 28, 28] image) => (float[N, 1, 28, 28] protected)
        { protected = Identity (image) }
        """
    )
    fused = fuse(generator, zoo.model, find_input(zoo.model), {})
    for name in ("auto", "conv-s"):
        with pytest.raises(ModelError, match="protected already"):
            choose(fused, IMAGE, name, CURVE.at_rate(0.01), CURVE)


DENSE = """
<ir_version: 8, opset_import: ["" : 18]>
dense (KIND[SHAPE] x) => (float[RESULT] scores)
<float s = {0.0078125}, KIND z = {0}>
{
    a = DequantizeLinear (x, s, z)
    flat = Flatten (a)
    b = DequantizeLinear (w, s)
    product = MatMul (flat, b)
    LAST
}
"""


@pytest.fixture
def dense(parse):
    """dense(shape, result, last, classes): an int8 classifier of one layer."""

    def build(shape, result, last="scores = Identity (product)", classes=37):
        text = DENSE
        for word, value in {"KIND": "int8", "SHAPE": shape, "RESULT": result, "LAST": last}.items():
            text = text.replace(word, value)
        inputs = np.prod([int(extent) for extent in shape.split(", ")[1:]])
        return parse(text, w=np.ones((inputs, classes), np.int8))

    return build


@pytest.mark.parametrize(
    ("shape", "result", "last"),
    [
        ("N, 16", "N, 37", "scores = Identity (product)"),
        ("N, 16", "N, C", "scores = Identity (product)"),
        ("4, 16", "A, B", "scores = Identity (product)"),
        ("N, 6, 5, 3", "N, C", "scores = Identity (product)"),
        ("N, 16", "N, 37, 1, 1", "two = Constant <value = int64[2] {2, 3}> () scores = Unsqueeze (product, two)"),
    ],
)
def test_classes_are_what_the_output_states_or_shows(dense, shape, result, last):
    assert classes_of(dense(shape, result, last)) == 37


def test_classes_that_nothing_tells(parse):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        free (float[N, L] x) => (float[N, C] scores)
        { scores = Relu (x) }
        """
    )
    assert classes_of(model) == 10


def test_the_number_of_classes_and_any_input_reach_the_choice(dense):
    model = dense("N, 5, 16, 3", "N, C", classes=100)
    image = find_input(model, layout="NHWC", value_range=(-1.0, 1.0)).image_shape
    choice = choose(model, image, "hint-8", CURVE.at_rate(0.01), CURVE)
    assert choice.saving.generator == cost_of("hint-8", (3, 5, 16), 100)
    head = next(layer for layer in choice.saving.generator.layers if layer.outputs == 100)
    assert head.depth == 2 * 8


def test_features_without_an_image(dense):
    model = dense("N, 16", "N, 37")
    image = find_input(model).image_shape
    assert choose(model, image, "hint-8", CURVE.at_rate(0.01), CURVE).saving.generator.macs > 0


def test_a_hint_that_only_looks_costs_what_its_file_holds():
    """Its patterns, which change the base's input, are in no file then."""
    looking = cost_of("hint-8", IMAGE, 10, looks_only=True)
    made = export_generator(build("hint-8", 1, IMAGE[1:], 10), IMAGE, opset=18, batch=1, residual=False)
    held = count(made, weight_bits=8, part="generator")
    assert (looking.accesses, looking.macs) == (held.accesses, held.macs)
    assert looking.accesses < cost_of("hint-8", IMAGE, 10).accesses


@pytest.mark.parametrize("name", ["hint-8", "auto"])
def test_what_is_said_of_a_hint_that_only_looks_is_what_it_costs(zoo, name):
    point = CURVE.at_rate(0.01)
    drives, looks = (choose(zoo.model, IMAGE, name, point, CURVE, looks_only=only) for only in (False, True))
    assert drives.name == looks.name  # the choice does not depend on it
    cost = cost_of(looks.name, IMAGE, 10, looks_only=True)
    assert looks.saving.generator.accesses == cost.accesses < drives.saving.generator.accesses
    assert looks.saving.verdict in looks.reason
