"""The five bases have the published sizes, and are valid, runnable and repeatable graphs."""

import subprocess
import sys
from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx_ir.passes.common import ShapeInferencePass

from nfkit.access.runtime import Runner
from nfkit.energy import count, count_macs, count_parameters
from nfkit.errors import OptionError
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import fault_sites
from nfkit.model import to_bytes
from nfkit.models.bases import BASES, build

# Published for 3x32x32 and 10 classes: parameters, and reads of 64-bit words of weights on a 32x32 array that keeps
# outputs stationary.
PUBLISHED = {
    "resnet18": (11_173_962, 2_755_968),
    "resnet50": (23_520_842, 6_182_144),
    "vgg11": (9_231_114, 1_334_656),
    "vgg16": (14_728_266, 2_366_848),
    "vgg19": (20_040_522, 3_104_128),
}

# Multiplications of convolutions and linear layer; and the operations by the published convention, which adds biases,
# normalisation, ReLU and pooled values, in M as published (ResNet50: 1.31 G).
MACS = {
    "resnet18": (555_422_720, "557.14"),
    "resnet50": (1_297_829_888, "1.31"),
    "vgg11": (152_769_536, "153.50"),
    "vgg16": (313_201_664, "314.43"),
    "vgg19": (398_136_320, "399.47"),
}

# A known difference: the authors call the stem's ReLU (64x32x32) and the average pool (512x4x4) as functions,
# which their counter of modules does not see.
UNSEEN = {"resnet18": 64 * 32 * 32 + 512 * 4 * 4}

LAYERS = {"resnet18": 21, "resnet50": 54, "vgg11": 9, "vgg16": 14, "vgg19": 17}  # that hold weights


@pytest.fixture(scope="module")
def made():
    """made(name): the base at its defaults, built once, its shapes inferred."""
    models = {name: build(name) for name in BASES}
    for model in models.values():
        ShapeInferencePass()(model)
    return models.__getitem__


@pytest.mark.parametrize("name", BASES)
def test_parameters_are_the_published_ones(made, name):
    assert count_parameters(made(name)) == PUBLISHED[name][0]


@pytest.mark.parametrize("name", BASES)
def test_accesses_are_the_published_ones(made, name):
    counted = count(made(name), preset="paper")
    assert counted.uncounted == ()
    assert (counted.accesses, counted.parameters) == (PUBLISHED[name][1], PUBLISHED[name][0])


@pytest.mark.parametrize("name", BASES)
def test_operations_are_the_published_ones(made, name):
    multiplications, published = MACS[name]
    assert count_macs(made(name)) == multiplications
    unit = 1e9 if name == "resnet50" else 1e6
    operations = count(made(name), preset="paper").macs - UNSEEN.get(name, 0)
    assert f"{operations / unit:.2f}" == published


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *((name, (3, 224, 224)) for name in BASES),
        ("resnet18", (1, 35, 61)),
        ("vgg11", (1, 35, 61)),
        ("vgg16", (3, 32, 32)),
    ],
)
def test_graph_is_valid_at_any_image_size(name, shape):
    model = build(name, shape, 7)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert (model.ir_version, model.opset_imports) == (9, {"": 20})
    assert str(model.graph.inputs[0].shape) == f"[N,{','.join(map(str, shape))}]"
    assert str(model.graph.outputs[0].shape) == "[N,7]"


@pytest.mark.parametrize("name", BASES)
def test_runs_on_any_batch_and_tells_images_apart(made, name):
    x = np.random.default_rng(0).uniform(-1, 1, (5, 3, 32, 32)).astype(np.float32)
    runner = Runner(made(name), threads=1)
    scores = runner(x)
    assert scores.shape == (5, 10)
    assert np.isfinite(scores).all()
    assert scores.std(0).min() > 1e-3
    np.testing.assert_allclose(runner(x, batch=1), scores, rtol=1e-3, atol=1e-3)


def test_runs_on_large_images():
    scores = Runner(build("vgg11", (3, 224, 224), 4), threads=1)(np.ones((1, 3, 224, 224), np.float32))
    assert scores.shape == (1, 4)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", BASES)
def test_every_layer_stores_int8_codes_with_one_scale(made, name):
    model = made(name)
    kinds = Counter(node.op_type for node in model.graph)
    assert kinds["Conv"] == kinds["BatchNormalization"] == LAYERS[name] - 1
    assert (kinds["Gemm"], kinds["DequantizeLinear"]) == (1, LAYERS[name])
    sites = fault_sites(model)
    assert len(sites) == LAYERS[name]
    assert {(site.dtype, site.axis, len(site.scale)) for site in sites} == {("int8", None, 1)}
    assert find_input(model).layout == "NCHW"


def test_only_vggs_have_biases_in_their_convolutions(made):
    for name in BASES:
        operands = {len(node.inputs) for node in made(name).graph if node.op_type == "Conv"}
        assert operands == ({3} if name.startswith("vgg") else {2})


def test_weights_are_he_normal_cut_at_four_deviations():
    model = build("resnet18", quantised=False)
    for name in ("stage1.0.conv1.weight", "stage4.1.conv2.weight"):
        weights = model.graph.initializers[name].const_value.numpy()
        deviation = (2 / weights[0].size) ** 0.5
        error = deviation / (2 * weights.size) ** 0.5  # of an estimated standard deviation
        assert weights.std() == pytest.approx(deviation, abs=5 * error)
        assert np.abs(weights).max() <= 4 * deviation


def test_codes_are_the_rounded_weights():
    exact, stored = build("vgg11", quantised=False).graph, build("vgg11").graph
    for name in ("stage1.0.conv.weight", "head.weight"):
        codes = stored.initializers[f"{name}_quantized"].const_value.numpy()
        scale = stored.initializers[f"{name}_scale"].const_value.numpy()
        assert codes.min() >= -127
        weights = exact.initializers[name].const_value.numpy()
        assert np.abs(codes * scale - weights).max() <= scale / 2 * (1 + 1e-5)  # float32 rounds the bound itself
    assert ir.DataType.INT8 not in {value.dtype for value in exact.initializers.values()}
    assert count_parameters(build("vgg11", quantised=False)) == PUBLISHED["vgg11"][0]


def test_no_layer_is_an_identity(made):
    for node in made("vgg11").graph:
        if node.op_type == "BatchNormalization":
            for value, centre in zip(node.inputs[1:], (1, 0, 0, 1), strict=True):
                numbers = value.const_value.numpy()
                assert 0 < np.abs(numbers - centre).mean() < np.abs(numbers - centre).max() <= 0.1 + 1e-6


def test_same_seed_same_bytes(made):
    first = to_bytes(build("vgg11"))
    assert to_bytes(build("VGG11")) == first
    assert to_bytes(build("vgg11", seed=1)) != first


def test_weights_do_not_depend_on_what_is_read_first():
    forwards, backwards = build("vgg11").graph.initializers, build("vgg11").graph.initializers
    last_first = {name: backwards[name].const_value.numpy() for name in reversed(list(backwards))}
    for name, value in forwards.items():
        np.testing.assert_array_equal(value.const_value.numpy(), last_first[name])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet34",), r"'resnet34'.*resnet18"),
        (("vgg11", (3, 31, 32)), "at least 32x32 pixels, got 31x32"),
        (("resnet18", (0, 32, 32)), "got 0x32x32"),
        (("resnet18", (3, 32, 32), 0), "at least one class"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, message):
    with pytest.raises(OptionError, match=message):
        build(*arguments)


def test_negative_seed_is_refused():
    with pytest.raises(OptionError, match="A seed is 0 or more"):
        build("vgg11", seed=-1)


def test_building_imports_no_torch():
    code = "import sys; from nfkit.models.bases import build; build('vgg11'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
