"""Constant tensors wherever a file keeps them: names, contents, and what is put in their place."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.errors import ModelError
from nfkit.graph.memory.storage import find_stored, stored_tensors

EVERYWHERE = """
<ir_version: 10, opset_import: ["" : 21, "local" : 1]>
g (float[N, 2] x, bool c) => (float[N, 2] y) <int8[2, 2] w = {1, 2, 3, 4}, float s = {0.5}> {
    k = Constant <value = int8[2, 2] {5, 6, 7, 8}> ()
    h = local.f (x, w)
    [fork] y = If (c) <
        then_branch = t () => (float[N, 2] a) <int8[2, 2] v = {1, 2, 3, 4}> {
            d = DequantizeLinear (v, s)
            a = MatMul (h, d)
        },
        else_branch = e () => (float[N, 2] b) {
            inner = Identity (c)
            b = If (inner) <
                then_branch = tt () => (float[N, 2] a) {
                    v = Constant <value = int8[2, 2] {9, 9, 9, 9}> ()
                    d = DequantizeLinear (v, s)
                    a = MatMul (h, d)
                },
                else_branch = ee () => (float[N, 2] b) { b = Identity (h) }>
        }>
}
<domain: "local", opset_import: ["" : 21]>
f (a, w) => (o) {
    q = Constant <value = int8[2, 2] {5, 6, 7, 8}> ()
    s = Constant <value_float = 0.5> ()
    d = DequantizeLinear (q, s)
    e = DequantizeLinear (w, s)
    t = MatMul (a, d)
    o = MatMul (t, e)
}
"""


@pytest.fixture
def everywhere():
    return ir.from_proto(onnx.parser.parse_model(EVERYWHERE))


def test_names_say_where_a_tensor_is(everywhere):
    assert list(stored_tensors(everywhere)) == [
        "w",
        "s",
        "k",
        "fork.then_branch/v",
        "fork.else_branch/b.then_branch/v",
        "local.f/q",
    ]


def test_names_survive_writing_and_reading(everywhere):
    again = ir.from_proto(onnx.load_from_string(ir.to_proto(everywhere).SerializeToString()))
    assert list(stored_tensors(again)) == list(stored_tensors(everywhere))


def test_a_second_tensor_of_a_name_is_numbered(everywhere):
    weight = everywhere.graph.initializers["w"]
    weight.name = "local.f/q"  # what the function's constant is called
    assert list(stored_tensors(everywhere))[-1] == "local.f/q#2"
    assert find_stored(everywhere, ["local.f/q"])[0].node is None
    assert find_stored(everywhere, ["local.f/q#2"])[0].node is not None


@pytest.mark.parametrize("name", ["w", "k", "fork.then_branch/v", "fork.else_branch/b.then_branch/v", "local.f/q"])
def test_content_is_read_and_replaced(everywhere, name):
    entry = find_stored(everywhere, [name])[0]
    new = entry.array() + np.int8(1)
    assert (entry.shape, entry.dtype) == ((2, 2), ir.DataType.INT8)
    entry.store(new)
    written = ir.from_proto(onnx.load_from_string(ir.to_proto(everywhere).SerializeToString()))
    assert find_stored(written, [name])[0].array().tolist() == new.tolist()


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("kind", [onnx.TensorProto.INT4, onnx.TensorProto.UINT4, onnx.TensorProto.INT2])
def test_packed_types_keep_the_way_they_are_stored(everywhere, kind, raw):
    values = [1, -2, 0, 1, -1] if kind != onnx.TensorProto.UINT4 else [1, 15, 0, 9, 3]
    proto = onnx.helper.make_tensor("w", kind, [5], values)
    if raw:
        packed = bytes(proto.int32_data)
        del proto.int32_data[:]
        proto.raw_data = packed
    everywhere.graph.initializers["w"].const_value = ir.serde.deserialize_tensor(proto)
    entry = find_stored(everywhere, ["w"])[0]
    assert entry.array().tolist() == values
    entry.store(entry.array()[::-1])
    assert entry.array().tolist() == values[::-1]
    entry.store(entry.array()[::-1])
    assert ir.to_proto(entry.tensor) == proto


def test_unknown_names_are_refused(everywhere):
    with pytest.raises(ModelError, match="'nothing'"):
        find_stored(everywhere, ["nothing"])[0]
