"""ONNX Runtime's quantiser, made to leave no trace."""

import hashlib
import logging
import subprocess
import sys
from collections import Counter

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from nfkit.errors import DataError, ModelError, OptionError
from nfkit.graph.memory.bits import recorded_bits
from nfkit.graph.quantised.from_float import quantize_static

# The operators of a generator in front of a model, in the small.
MODEL = """
<ir_version: 10, opset_import: ["" : OPSET, "ai.onnx.ml" : 1],
 producer_name: "someone", producer_version: "7">
net (float[batch, 2, 6, 6] image) => (float[batch, 2, 6, 6] out)
<int64[8] pads = {0, 0, 0, 0, 0, 0, 2, 2}, float[4] half = {1, 1, 0.5, 0.5}, float[4] twice = {1, 1, 2, 2},
 int64[2] starts = {0, 0}, int64[2] ends = {6, 6}, int64[2] axes = {2, 3}, float low = {-1}, float high = {1}>
{
    padded = Pad (image, pads)
    down = Conv <pads = [1, 1, 1, 1]> (padded, w_down, b_down)
    active = Relu (down)
    pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (active)
    up = ConvTranspose <strides = [2, 2]> (pooled, w_up, b_up)
    small = Resize <mode = "nearest"> (padded, , half)
    wide = Resize <mode = "nearest"> (small, , twice)
    joined = Concat <axis = 1> (wide, up)
    last = Conv <pads = [1, 1, 1, 1]> (joined, w_last, b_last)
    bounded = Tanh (last)
    cropped = Slice (bounded, starts, ends, axes)
    moved = Add (image, cropped)
    out = Clip (moved, low, high)
}
"""
SHAPES = {
    "w_down": (4, 2, 3, 3),
    "b_down": (4,),
    "w_up": (4, 3, 2, 2),
    "b_up": (3,),
    "w_last": (2, 5, 3, 3),
    "b_last": (2,),
}
WEIGHTS = ("w_down", "w_up", "w_last")


def network(opset: int = 18) -> ir.Model:
    generator = np.random.default_rng(5)
    tensors = [
        ir.tensor(generator.normal(0, 0.1, shape).astype(np.float32), name=name) for name, shape in SHAPES.items()
    ]
    model = ir.from_onnx_text(MODEL.replace("OPSET", str(opset)), initializers=tensors)
    for tensor in tensors:
        value = model.graph.initializers[tensor.name]
        value.shape, value.type = tensor.shape, ir.TensorType(tensor.dtype)
    return model


def pictures(count: int = 200) -> np.ndarray:
    return np.random.default_rng(6).uniform(-1, 1, (count, 2, 6, 6)).astype(np.float32)


def run(model: ir.Model, image: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    return session.run(None, {"image": image})[0]


def stored(model: ir.Model) -> dict[str, ir.Node]:
    """The nodes that dequantise an int8 initializer, by its name."""
    return {
        node.inputs[0].name: node
        for node in model.graph
        if node.op_type == "DequantizeLinear" and node.inputs[0].const_value is not None
        if node.inputs[0].dtype == ir.DataType.INT8
    }


def test_network_runs_every_operator_of_a_generator():
    used = {node.op_type for node in network().graph}
    assert used >= {"Conv", "ConvTranspose", "Relu", "MaxPool", "Resize", "Concat", "Tanh", "Add", "Clip"}
    assert used >= {"Pad", "Slice"}


@pytest.mark.parametrize("opset", [18, 20])
def test_weights_become_int8_initializers(opset):
    float_model = network(opset)
    nodes = stored(quantize_static(float_model, pictures()))
    assert nodes.keys() == {f"{name}_quantized" for name in WEIGHTS}
    for name in WEIGHTS:
        codes, scale, zero_point = (v.const_value.numpy() for v in nodes[f"{name}_quantized"].inputs)
        weights = float_model.graph.initializers[name].const_value.numpy()
        assert zero_point == 0
        assert scale == pytest.approx(np.abs(weights).max() / 127, rel=1e-6)
        # Rounding to the nearest code: half a step, and float32's rounding of the quotient.
        assert np.abs(codes * scale - weights).max() <= 0.5001 * scale


@pytest.mark.parametrize("opset", [18, 20])
@pytest.mark.parametrize("activation", ["uint8", "int8"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_outputs_stay_close(opset, activation, per_channel):
    model = network(opset)
    quantised = quantize_static(model, pictures(), per_channel=per_channel, activation=activation)
    difference = np.abs(run(quantised, pictures()) - run(model, pictures()))
    # A step of the output is 2 / 255, and no other tensor's is longer. The image's rounding, half a step,
    # reaches the sum directly, and through the last convolution, whose weights add up to less than 4 an
    # output: 2 steps if all errors agreed. The sum's own rounding and the residual's are half a step each.
    step = 2 / 255
    assert difference.max() <= 4 * step
    assert difference.mean() <= 0.75 * step  # they do not agree


@pytest.mark.parametrize("bits", range(2, 8))
@pytest.mark.parametrize("per_channel", [False, True])
def test_codes_of_fewer_bits_are_rounded_from_the_float_weights(bits, per_channel):
    float_model, most = network(), 2 ** (bits - 1) - 1
    model = quantize_static(float_model, pictures(), bits=bits, per_channel=per_channel)
    nodes = stored(model)
    assert recorded_bits(model) == {f"{name}_quantized": bits for name in WEIGHTS}
    for name, axis in (("w_down", 0), ("w_up", 1), ("w_last", 0)):
        weights = float_model.graph.initializers[name].const_value.numpy()
        others = tuple(i for i in range(4) if i != axis) if per_channel else (0, 1, 2, 3)
        scale = np.abs(weights).max(axis=others, keepdims=True) / np.float32(most)
        codes, written, zero_point = (v.const_value.numpy() for v in nodes[f"{name}_quantized"].inputs)
        np.testing.assert_array_equal(codes, np.rint(weights / scale))
        np.testing.assert_array_equal(written.ravel(), scale.ravel())
        assert codes.dtype == np.int8
        assert np.abs(codes).max() == most
        assert not np.any(zero_point)


@pytest.mark.parametrize("per_channel", [False, True])
def test_biases_follow_the_scales_of_fewer_bits(per_channel):
    float_model = network()
    model = quantize_static(float_model, pictures(), bits=4, per_channel=per_channel)
    for conv in (node for node in model.graph if node.op_type in ("Conv", "ConvTranspose")):
        x, w, b = (value.producer() for value in conv.inputs)
        (s_x, s_w), (codes, s_b) = (
            (n.inputs[1].const_value.numpy() for n in (x, w)),
            (v.const_value.numpy() for v in b.inputs[:2]),
        )
        np.testing.assert_allclose(s_b, s_x * s_w, rtol=1e-6)
        bias = float_model.graph.initializers[b.inputs[0].name.removesuffix("_quantized")].const_value.numpy()
        # Half a step, and once more half of the finer step that it was first rounded to.
        assert np.abs(codes * s_b - bias).max() <= 0.53 * np.max(s_b)


def test_a_channel_without_weights_keeps_its_bias():
    """Its scale was enlarged so that the bias fits int32, and stays so for fewer bits."""
    model = network()
    weights = np.array(model.graph.initializers["w_last"].const_value.numpy())
    weights[1] = 1e-12
    model.graph.initializers["w_last"].const_value = ir.tensor(weights, name="w_last")
    outputs = [run(quantize_static(model, pictures(), per_channel=True, bits=bits), pictures()) for bits in (8, 7)]
    np.testing.assert_array_equal(outputs[0][:, 1], outputs[1][:, 1])


@pytest.mark.parametrize("bits", [1, 9])
def test_there_are_no_such_codes(bits):
    with pytest.raises(OptionError, match=f"2 to 8 bits, not {bits}"):
        quantize_static(network(), pictures(), bits=bits)


def test_per_channel_scales_lie_on_the_output_channels():
    nodes = stored(quantize_static(network(), pictures(), per_channel=True))
    for name, axis, channels in (("w_down", 0, 4), ("w_up", 1, 3), ("w_last", 0, 2)):
        node = nodes[f"{name}_quantized"]
        assert node.attributes["axis"].value == axis
        assert node.inputs[1].const_value.shape == (channels,)


def test_symmetric_int8_activations_have_zero_points_of_zero():
    model = quantize_static(network(), pictures(), activation="int8", symmetric_activations=True)
    nodes = [node for node in model.graph if node.op_type == "QuantizeLinear"]
    assert nodes
    assert {int(node.inputs[2].const_value.numpy()) for node in nodes} == {0}
    assert {node.inputs[2].dtype for node in nodes} == {ir.DataType.INT8}


def test_activations_are_uint8_unless_asked_otherwise():
    model = quantize_static(network(), pictures())
    assert {n.inputs[2].dtype for n in model.graph if n.op_type == "QuantizeLinear"} == {ir.DataType.UINT8}


def test_excluded_operators_stay_float():
    model = quantize_static(network(), pictures(), exclude_ops={"Add", "Clip"})
    clip = model.graph.outputs[0].producer()
    assert clip.op_type == "Clip"
    assert clip.inputs[0].producer().op_type == "Add"
    assert np.abs(run(model, pictures())).max() <= 1


def test_argument_is_unchanged():
    model = network()
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    quantize_static(model, pictures())
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_no_trace_of_the_quantiser():
    model = network()
    model.metadata_props["owner"] = "someone"
    quantised = quantize_static(model, pictures())
    assert quantised.opset_imports == {"": 18}
    assert quantised.ir_version == 8
    assert (quantised.producer_name, quantised.producer_version) == ("someone", "7")
    assert quantised.metadata_props == {"owner": "someone"}
    assert [v.name for v in quantised.graph.inputs] == ["image"]
    assert [str(v.shape) for v in quantised.graph.outputs] == ["[batch,2,6,6]"]


def test_nothing_is_said_and_logging_is_as_before(capfd):
    handlers, filters = list(logging.root.handlers), list(logging.root.filters)
    quantize_static(network(), pictures())
    assert capfd.readouterr() == ("", "")
    assert (logging.root.handlers, logging.root.filters) == (handlers, filters)


def test_bytes_are_the_same_in_every_process():
    def digest(hash_seed: int) -> str:
        code = (
            "import importlib.util, sys, onnx_ir as ir;"
            f"spec = importlib.util.spec_from_file_location('cases', {__file__!r});"
            "cases = importlib.util.module_from_spec(spec); spec.loader.exec_module(cases);"
            "print(cases.fingerprint())"
        )
        environment = {"PYTHONHASHSEED": str(hash_seed)}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
        ).stdout

    assert digest(1) == digest(2) == fingerprint() + "\n"


def fingerprint() -> str:
    proto = ir.to_proto(quantize_static(network(), pictures(), bits=5, per_channel=True))
    return hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()


def test_batches_by_name_are_as_good_as_an_array():
    image = pictures(128)
    from_array = quantize_static(network(), image)
    from_batches = quantize_static(network(), ({"image": image[i : i + 64]} for i in (0, 64)))
    assert ir.to_proto(from_array) == ir.to_proto(from_batches)


def test_fixed_batch_size_is_kept_to():
    model = network()
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.shape = ir.Shape([3, 2, 6, 6])
    quantised = quantize_static(model, pictures(7))
    assert Counter(n.op_type for n in quantised.graph)["ConvTranspose"] == 1


@pytest.mark.parametrize("count", [1, 7])
def test_a_fixed_batch_that_the_samples_do_not_fill_sees_all_of_them(count):
    model, image = network(), pictures(count)
    image[-1] *= 2  # the last one, which alone reaches the ends of the range, stands in no full batch
    free = quantize_static(model, image)
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.shape = ir.Shape([3, 2, 6, 6])
    fixed = quantize_static(model, image)
    scales = [
        {n: v.const_value.numpy() for n, v in m.graph.initializers.items() if n.endswith("_scale")}
        for m in (free, fixed)
    ]
    assert scales[0].keys() == scales[1].keys()
    assert len(scales[0]) > 4
    for name, scale in scales[0].items():
        np.testing.assert_allclose(scales[1][name], scale, rtol=1e-6)


def test_weights_in_another_file(tmp_path):
    ir.save(network(), tmp_path / "model.onnx", external_data="model.onnx.data", size_threshold_bytes=0)
    quantised = quantize_static(ir.load(tmp_path / "model.onnx"), pictures())
    assert ir.to_proto(quantised).graph.node == ir.to_proto(quantize_static(network(), pictures())).graph.node


@pytest.mark.parametrize("calibration", [[], np.zeros((0, 2, 6, 6), np.float32)])
def test_no_calibration_data(calibration):
    with pytest.raises(DataError, match="calibration"):
        quantize_static(network(), calibration)


def test_calibration_data_for_another_model():
    with pytest.raises(DataError, match=r"\['picture'\], the model \['image'\]"):
        quantize_static(network(), [{"picture": pictures()}])


def test_quantised_model_is_refused():
    with pytest.raises(ModelError, match="quantised already"):
        quantize_static(quantize_static(network(), pictures()), pictures())


def test_unknown_type_of_activations():
    with pytest.raises(OptionError, match="'int4'"):
        quantize_static(network(), pictures(), activation="int4")


def test_nothing_to_quantise():
    model = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[n] image) => (float[n] y) { y = Erf (image) }'
    )
    with pytest.raises(ModelError, match="nothing"):
        quantize_static(model, np.zeros((4,), np.float32))


def test_module_does_not_import_onnxruntime():
    code = "import sys, nfkit.graph.quantised.from_float; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
