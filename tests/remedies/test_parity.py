"""A right model is taken, however far rounding goes in it; a wrong kernel is refused, and its node named."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from nfkit.access.runtime import Runner
from nfkit.errors import ModelError
from nfkit.learn.gradients import registry
from nfkit.learn.gradients.frozen import run
from nfkit.remedies.parity import check_parity

pytestmark = pytest.mark.usefixtures("one_thread")

CHANNELS, SIDE, BLOCKS = 24, 10, 26


def deep(seed=0):
    """An int8 QDQ network of 53 convolutions, every other one depthwise, with a shortcut around each pair."""
    random = np.random.default_rng(seed)
    nodes, tensors = [], []

    def store(name, array):
        tensors.append(onnx.numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(op, inputs, output, **attributes):
        nodes.append(onnx.helper.make_node(op, inputs, [output], name=f"{op}_{output}", **attributes))
        return output

    def quantised(x, scale, zero):
        s, z = store(f"{x}_s", np.float32(scale)), store(f"{x}_z", np.uint8(zero))
        return node("DequantizeLinear", [node("QuantizeLinear", [x, s, z], f"{x}_q"), s, z], f"{x}_f")

    def convolution(x, name, inputs, outputs, kernel, group, gain):
        w = random.integers(-127, 128, (outputs, inputs // group, kernel, kernel)).astype(np.int8)
        fan = inputs // group * kernel * kernel
        scale = gain / (73 * np.sqrt(fan)) * (0.7 + 0.6 * random.random(outputs))
        s = store(f"{name}_ws", scale.astype(np.float32))
        z = store(f"{name}_wz", np.zeros(outputs, np.int8))
        f = node("DequantizeLinear", [store(f"{name}_w", w), s, z], f"{name}_wf", axis=0)
        return node("Conv", [x, f], name, pads=[kernel // 2] * 4, group=group)

    x = quantised("x", 1 / 127, 128)
    x = quantised(convolution(x, "stem", 2, CHANNELS, 3, 1, 1.0), 4 / 255, 128)
    for i in range(BLOCKS):
        h = quantised(convolution(x, f"depthwise{i}", CHANNELS, CHANNELS, 3, CHANNELS, 3.0), 5 / 255, 128)
        h = convolution(h, f"pointwise{i}", CHANNELS, CHANNELS, 1, 1, 3.0)
        x = quantised(node("Add", [x, quantised(h, 5 / 255, 128)], f"sum{i}"), 4 / 255, 128)
    pooled = node("Flatten", [node("GlobalAveragePool", [x], "pool")], "flat")
    store("head_w", random.integers(-127, 128, (CHANNELS, 6)).astype(np.int8))
    store("head_s", np.float32(0.02))
    node("MatMul", [pooled, node("DequantizeLinear", ["head_w", "head_s"], "head_f")], "y")
    graph = onnx.helper.make_graph(
        nodes, "deep",
        [onnx.helper.make_tensor_value_info("x", 1, ["N", 2, SIDE, SIDE])],
        [onnx.helper.make_tensor_value_info("y", 1, ["N", 6])], tensors,
    )  # fmt: skip
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(proto)
    return ir.from_proto(proto)


@pytest.fixture(scope="module")
def network():
    """The deep network and its samples."""
    return deep(), np.random.default_rng(1).uniform(-1, 1, (64, 2, SIDE, SIDE)).astype(np.float32)


def old_rule(model, x):
    """What was asked of a model before: mean difference against the spread, and equal classes."""
    computed, expected = run(model, x, len(x)), Runner(model, level="basic")(x)
    close = np.abs(computed - expected).mean() <= 0.05 * expected.std()
    return bool(close) and (computed.argmax(1) == expected.argmax(1)).mean() >= 0.95


def test_rounding_that_accumulates_over_fifty_convolutions_is_no_disagreement(network):
    model, x = network
    assert sum(node.op_type == "Conv" for node in model.graph) == 2 * BLOCKS + 1
    assert not old_rule(model, x)
    outputs = [Runner(model, level=level)(x) for level in ("none", "basic", "all")]
    between = max(np.abs(a - b).mean() for a in outputs for b in outputs)
    parity = check_parity(model, x)
    assert parity.nodes > 250
    # ONNX Runtime's levels are as far from each other as torch is from one of them.
    assert parity.levels >= between * 0.999
    assert parity.mean < 2 * parity.levels
    assert "rounding that accumulates" in str(parity)


@pytest.fixture
def wrong(monkeypatch):
    """wrong(operator, kernel): another kernel in the place of an operator's."""

    def put(name, make):
        entries = registry._KERNELS[("", name)]
        changed = [registry.Entry(make(e.kernel), e.since, e.until) for e in entries]
        monkeypatch.setitem(registry._KERNELS, ("", name), changed)

    return put


def keeping_attributes(kernel, change):
    """A kernel with the attributes of another, whose result it changes."""
    import functools

    @functools.wraps(kernel)
    def changed(*operands, **attributes):
        return change(kernel(*operands, **attributes), operands, attributes)

    return changed


def shifted(result, operands, attributes):
    # Depthwise convolutions as if their images had moved by one pixel.
    return result.roll(1, dims=-1) if attributes.get("group", 1) > 1 else result


def test_a_wrong_kernel_in_the_middle_is_refused_and_named(network, wrong):
    wrong("Conv", lambda kernel: keeping_attributes(kernel, shifted))
    with pytest.raises(ModelError, match=r"disagree at node 'Conv_depthwise0' \(Conv\): given the same operands"):
        check_parity(*network)


def test_another_rounding_rule_is_refused_and_named(network, wrong):
    # A step more or less, and never more: only how often tells it from rounding at an edge.
    def floored(result, operands, attributes):
        x, scale, zero = operands
        return (torch.floor(x / scale) + zero.to(x.dtype)).clamp(0, 255)

    wrong("QuantizeLinear", lambda kernel: keeping_attributes(kernel, floored))
    with pytest.raises(ModelError, match=r"at node 'QuantizeLinear_x_q' \(QuantizeLinear\): .* codes on average"):
        check_parity(*network)


def test_a_small_leak_is_refused_where_it_is(network, wrong):
    wrong("Add", lambda kernel: keeping_attributes(kernel, lambda y, operands, attributes: 0.99 * y))
    with pytest.raises(ModelError, match=r"at node 'Add_sum0' \(Add\)"):
        check_parity(*network)


def test_a_close_model_needs_no_second_look(convnet):
    parity = check_parity(convnet(), np.random.default_rng(0).uniform(-1, 1, (64, 2, 4, 4)).astype(np.float32))
    assert (parity.nodes, parity.levels, parity.equal_classes) == (0, None, 1.0)


# Operators on codes: products that saturate below level `extended` on processors without VNNI.
CODES = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[N, 64] x) => (float[N, 5] y)
<float s_x = {0.0078125}, uint8 z_x = {0}, float s_w = {0.01}, int8 z_w = {0}, float s_y = {0.25}, uint8 z_y = {128}>
{
    q = QuantizeLinear (x, s_x, z_x)
    [product] c = QLinearMatMul (q, s_x, z_x, w, s_w, z_w, s_y, z_y)
    y = DequantizeLinear (c, s_y, z_y)
}
"""


def test_saturation_of_the_processor_is_not_held_against_a_right_model(parse):
    random = np.random.default_rng(0)
    w = random.choice([-127, 120, 127], (64, 5)).astype(np.int8)  # with codes near 255 every pair of products saturates
    x = random.uniform(1.7, 2.0, (64, 64)).astype(np.float32)
    parity = check_parity(parse(CODES, w=w), x)
    assert parity.largest <= 0.25  # one code
    assert parity.equal_classes >= 0.95


DETECTOR = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[N, 6] x) => (float[N, 3, 4] y) <float s = {0.01}, int64[3] shape = {0, 3, 4}>
{
    f = DequantizeLinear (w, s)
    h = MatMul (x, f)
    y = Reshape (h, shape)
}
"""


def test_outputs_that_are_no_scores_are_compared_by_value_alone(parse):
    w = np.random.default_rng(0).integers(-127, 128, (6, 12), np.int8)
    parity = check_parity(parse(DETECTOR, w=w), np.random.default_rng(1).normal(size=(64, 6)).astype(np.float32))
    assert parity.equal_classes is None
    assert "no scores of classes, so that values alone were compared" in str(parity)
    assert parity.mean < 1e-5
