"""Small files of huge tensors are refused where they come in; what is large by itself passes."""

import numpy as np
import onnx
import pytest

from nfkit.errors import ModelError
from nfkit.model import load
from nfkit.rim.growth import MAX_GROWN

HEAD = '<ir_version: 10, opset_import: ["" : 21, "own" : 1]> '
WEIGHT = "int8[1, 4] c0 = {1, 2, 3, 4}, float s = {0.1}"
DOUBLING = "".join(f"c{i + 1} = Concat <axis = 0> (c{i}, c{i})  " for i in range(23))
READ = "f = DequantizeLinear (t, s)  u = Transpose (f)  y = MatMul (x, u)"


def graph(stored, nodes, functions=""):
    return onnx.parser.parse_model(f"{HEAD} g (float[N, 4] x) => (float[N, M] y) <{stored}> {{ {nodes} }} {functions}")


REFUSED = {
    "codes": (graph(WEIGHT, DOUBLING + READ.replace("(t", "(c23")), "Concat makes 'c23' 33,554,432"),
    "values": (
        graph("int8[1, 4] q = {1, 2, 3, 4}, float s = {0.1}", "c0 = DequantizeLinear (q, s) " + DOUBLING
              + "u = Transpose (c23)  y = MatMul (x, u)"), "Concat makes 'c23' 33,554,432",
    ),
    "dead": (graph(WEIGHT, DOUBLING + READ.replace("(t", "(c0")), "Concat makes 'c23' 33,554,432"),
    "tile": (graph(WEIGHT + ", int64[2] n = {8388608, 1}", "t = Tile (c0, n) " + READ), "Tile makes 't' 33,554,432"),
    "expand": (graph(WEIGHT + ", int64[2] n = {8388608, 4}", "t = Expand (c0, n) " + READ), "Expand makes 't' 33,554,"),
    "pad": (graph(WEIGHT + ", int64[4] n = {8388607, 0, 0, 0}", "t = Pad (c0, n) " + READ), "Pad makes 't' 33,554,432"),
    "fill": (
        graph(WEIGHT, "n = Constant <value = int64[2] {8388608, 4}> ()  k = ConstantOfShape (n)  u = Transpose (k)"
              "y = MatMul (x, u)"), "ConstantOfShape makes 'k' 33,554,432",
    ),
    "function": (
        graph(WEIGHT + ", int64[2] n = {2048, 1}", "a = own.more (c0, n)  t = own.more (a, n) " + READ,
              '<domain: "own", opset_import: ["" : 21]> more (i, r) => (o) { j = Tile (i, r)  o = Identity (j) }'),
        None,
    ),
    "sample": (
        graph(WEIGHT, "".join(f"x{i + 1} = Concat <axis = 0> (x{i}, x{i})  " for i in range(29)).replace("x0", "x")
              + "f = DequantizeLinear (c0, s)  u = Transpose (f)  y = MatMul (x29, u)"),
        "Concat makes 'x29' 2,147,483,648",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", [case for case, (_, message) in REFUSED.items() if message])
def test_small_files_of_huge_tensors_are_refused(case):
    proto, message = REFUSED[case]
    with pytest.raises(ModelError, match=message):
        load(proto)


def test_calls_are_followed_with_what_they_are_given():
    proto, _ = REFUSED["function"]
    load(proto)  # 4 x 2048 x 2048 is the limit itself
    for tensor in proto.graph.initializer:
        if tensor.name == "n":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([2049, 1]), "n"))
    with pytest.raises(ModelError, match=r"Tile makes 'j' 16,793,604"):
        load(proto)


def test_what_the_file_itself_stores_is_no_growth():
    halves = [onnx.numpy_helper.from_array(np.zeros((MAX_GROWN // 8, 4), np.int8), name) for name in ("a", "b")]
    scale = onnx.numpy_helper.from_array(np.float32(0.1), "s")
    nodes = [
        onnx.helper.make_node("Concat", ["a", "b", "a", "b"], ["t"], axis=0),  # twice what is stored
        onnx.helper.make_node("DequantizeLinear", ["t", "s"], ["f"]),
        onnx.helper.make_node("Transpose", ["f"], ["u"], perm=[1, 0]),
        onnx.helper.make_node("MatMul", ["x", "u"], ["y"]),
    ]
    ends = [onnx.helper.make_tensor_value_info(name, 1, ["N", extent]) for name, extent in (("x", 4), ("y", None))]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], [*halves, scale]))
    assert load(model).graph.initializers["a"].const_value.size == MAX_GROWN // 2


def test_unused_and_unknown_operands_assume_nothing():
    nodes = "k = Concat <axis = 0> (x, c0f)  y = own.unknown (k) "
    load(graph("int8[1, 4] c0 = {1, 2, 3, 4}, float s = {0.1}", "c0f = DequantizeLinear (c0, s) " + nodes))


def test_constants_that_a_call_brings_assume_nothing():
    functions = """<domain: "own", opset_import: ["" : 21]> more <n> (i) => (o) {
        r = Constant <value : tensor = @n> ()  f = Cast <to = 1> (r)  o = Add (i, f) }"""
    call = "t = own.more <n = float {2.0}> (x)  f = DequantizeLinear (c0, s)  u = Transpose (f)  y = MatMul (t, u)"
    assert load(graph(WEIGHT, call, functions)).functions
