"""NumPy, torch and ONNX Runtime carry out the same steps to the last bit, for every layout and type of an input."""

import itertools

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.graph.fusion.interface import write
from nfkit.graph.input import affine
from nfkit.graph.input.spec import InputSpec

SHAPES = {"NCHW": (3, 4, 5), "NHWC": (4, 5, 3), "NHW": (4, 5), "NC": (20,)}
TYPES = ("float32", "float16", "float64", "int8", "uint8", "int16", "uint16")
RANGES = [((-1.0,), (1.0,)), ((0.0,), (1.0,)), ((-2.1,), (2.6,)), ((-2.1, -2.0, -1.8), (2.2, 2.4, 2.6))]


def ranges(dtype):
    if not np.issubdtype(np.dtype(dtype), np.integer):
        return RANGES
    info = np.iinfo(dtype)
    # The last is wider than the type, so that values saturate.
    return [((float(info.min),), (float(info.max),)), ((-3.0,), (2.0,)), ((info.min - 9.0,), (info.max + 4.0,))]


SPECS = [
    InputSpec("x", dtype, layout, SHAPES[layout], "N", low, high, "given")
    for dtype, layout in itertools.product(TYPES, SHAPES)
    for low, high in ranges(dtype)
    if len(low) == 1 or layout in ("NCHW", "NHWC")
]
every_spec = pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.dtype}-{s.layout}-{len(s.low)}-{s.low[0]:g}")


@pytest.fixture
def in_onnx(execute):
    """in_onnx(steps, v): what ONNX Runtime makes of them."""

    def run(steps, v):
        kind = ir.TensorType(ir.DataType.from_numpy(v.dtype))
        image = ir.Value(name="image", type=kind, shape=ir.Shape(["N", *v.shape[1:]]))
        graph = ir.Graph([image], [], nodes=[], opset_imports={"": 21}, name="g")
        nodes = []
        result = write([*steps], image, nodes, graph)
        if result is image:
            return v
        graph.extend(nodes)
        graph.outputs.append(result)
        model = ir.from_proto(onnx.shape_inference.infer_shapes(ir.to_proto(ir.Model(graph, ir_version=10))))
        return execute(model, {"image": v})[0]

    return run


def levels(spec):
    """Levels at both ends, on ties between codes, beyond the ends, and at random."""
    x = np.random.default_rng(3).uniform(-1, 1, (40, *spec.image_shape)).astype(np.float32)
    x[0], x[1], x[2] = -1, 1, 0
    x[3] *= 2
    _, half_width = spec.bounds()
    x[4] = (np.floor(x[4] * half_width) + np.float32(0.5)) / half_width
    return x


@every_spec
def test_levels_reach_the_input_alike(spec, in_onnx):
    x = levels(spec)
    expected = spec.denormalise(x)
    assert expected.dtype == spec.dtype
    assert expected.shape == (40, *spec.shape)
    assert in_onnx(affine.levels_to_input(spec), x).tobytes() == expected.tobytes()


@every_spec
def test_torch_holds_the_same_values(spec):
    torch = pytest.importorskip("torch")
    from nfkit.learn.objective import ModelInput

    x = levels(spec)
    expected = spec.denormalise(x)
    entered = ModelInput(spec, torch.device("cpu"))(torch.from_numpy(x)).numpy()
    # torch holds the values of every type in float32; a zero that was rounded to has no sign in integers.
    assert (entered + np.float32(0)).tobytes() == (expected.astype(np.float32) + np.float32(0)).tobytes()


@every_spec
def test_the_input_becomes_levels_alike(spec, in_onnx):
    v = spec.denormalise(levels(spec))
    expected = spec.normalise(v)
    assert expected.dtype == np.float32
    assert in_onnx(affine.input_to_levels(spec), v).tobytes() == expected.tobytes()


@every_spec
def test_images_become_levels_alike(spec, in_onnx):
    C, H, W = spec.image_shape
    images = np.random.default_rng(4).integers(0, 256, (40, H, W, C), np.uint8)
    steps = affine.image_to_levels(spec) + affine.levels_to_input(spec)
    assert in_onnx(steps, images).tobytes() == spec.encode(images).tobytes()


def test_every_image_value_is_its_level():
    spec = InputSpec("x", "float32", "NC", (256,), "N", (-1.0,), (1.0,), "given")
    every = np.arange(256, dtype=np.uint8).reshape(1, 1, 256, 1)
    x = affine.carry_out(affine.image_to_levels(spec), every)
    by_hand = [np.float32(np.float32(code) / np.float32(127.5)) - np.float32(1) for code in range(256)]
    assert x.reshape(-1).tolist() == [float(level) for level in by_hand]


@every_spec
def test_the_result_is_the_callers_own(spec):
    x = levels(spec)
    before = x.copy()
    spec.denormalise(x)[...] = 7
    assert x.tobytes() == before.tobytes()


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_gradients_pass_straight_through_rounding(dtype):
    torch = pytest.importorskip("torch")
    from nfkit.learn.objective import ModelInput

    spec = InputSpec("x", dtype, "NHWC", SHAPES["NHWC"], "N", (-100.0,), (27.0,), "given")
    x = torch.from_numpy(levels(spec)).requires_grad_()
    ModelInput(spec, torch.device("cpu"))(x).sum().backward()
    assert x.grad.unique().tolist() == [63.5]
