"""Layers inside functions, branches and loops: counted as often as an inference runs them."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.energy import SystolicArray, count
from nfkit.energy.unrolled import unroll
from nfkit.graph.memory.survey import Survey

HEADER = '<ir_version: 10, opset_import: ["" : {opset}, "own" : 1]>\n'


def parse(text, opset=21, **arrays):
    proto = onnx.parser.parse_model(HEADER.format(opset=opset) + text)
    for name, array in arrays.items():
        proto.graph.initializer.append(ir.to_proto(ir.tensor(array, name=name)))
    onnx.checker.check_model(proto)
    return ir.from_proto(proto)


def ones(*shape):
    return np.ones(shape, np.int8)


def rows(counted):
    """What each layer reads: its memory, how often, and bits in all."""
    array = SystolicArray()
    return [(layer.storage, layer.repeats, array.weight_reads(layer) * layer.bits) for layer in counted.layers]


NESTED = """
g (float[N, 12] x) => (float[N, 4] y) <float s = {0.02}> {
    h = own.Dense (x, w, s)
    y = own.Head (h)
}
<opset_import: ["" : 21], domain: "own">
Dense (a, b, c) => (o) { f = DequantizeLinear (b, c)  o = MatMul (a, f) }
<opset_import: ["" : 21, "own" : 1], domain: "own">
Head (a) => (o) {
    v = Constant <value = int8[6, 4] {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24}> ()
    s = Constant <value_float = 0.03> ()
    o = own.Dense (a, v, s)
}
"""

TWICE = """
g (float[N, 4] x) => (float[N, 4] y) { h = own.Block (x)  y = own.Block (h) }
<opset_import: ["" : 21], domain: "own">
Block (a) => (o) {
    v = Constant <value = int8[4, 4] {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16}> ()
    s = Constant <value_float = 0.03> ()
    f = DequantizeLinear (v, s)
    o = MatMul (a, f)
}
"""


def test_layers_in_functions_are_counted_by_the_memories_of_the_file():
    counted = count(parse(NESTED, w=ones(12, 6)))
    assert not counted.uncounted
    assert rows(counted) == [("w", 1, 12 * 6 * 8), ("own.Head/v", 1, 6 * 4 * 8)]
    assert (counted.macs, counted.weights, counted.parameters) == (72 + 24, 72 + 24, 72 + 24)


def test_a_function_called_twice_is_one_memory_read_twice():
    counted = count(parse(TWICE))
    assert rows(counted) == [("own.Block/v", 1, 16 * 8)] * 2
    assert (counted.macs, counted.weights, counted.parameters, counted.accesses) == (32, 16, 16, 4)


BRANCHES = """
g (float[N, 12] x{more}) => (float[N, 4] y) <float s = {{0.02}}{condition}> {{
    f = DequantizeLinear (w, s)
    y = If (c) <
        then_branch = t () => (float[N, 4] o) {{ o = MatMul (x, f) }},
        else_branch = e () => (float[N, 4] o) {{
            u = DequantizeLinear (w1, s)
            v = DequantizeLinear (w2, s)
            h = MatMul (x, u)
            o = MatMul (h, v)
        }}>
}}
"""
WEIGHTS = {"w": ones(12, 4), "w1": ones(12, 6), "w2": ones(6, 4)}


def test_of_open_branches_the_dearer_one_is_counted_and_the_other_named():
    counted = count(parse(BRANCHES.format(more=", bool c", condition=""), **WEIGHTS))
    assert rows(counted) == [("w", 0, 0), ("w1", 1, 72 * 8), ("w2", 1, 24 * 8)]
    assert (counted.macs, counted.accesses, counted.gap) == (72 + 24, 12, None)
    assert counted.weights == 48 + 72 + 24  # all of them are stored
    assert [str(choice) for choice in counted.choices] == [
        "If 'y' is counted by its dearer branch, else_branch: 12 accesses, where then_branch takes 6"
    ]
    assert counted.to_dict()["choices"][0]["other_accesses"] == 6


@pytest.mark.parametrize(("value", "accesses"), [(1, 6), (0, 12)])
def test_of_a_constant_condition_the_branch_is_counted_that_it_takes(value, accesses):
    counted = count(parse(BRANCHES.format(more="", condition=f", bool c = {{{value}}}"), **WEIGHTS))
    assert (counted.accesses, counted.choices, counted.uncounted) == (accesses, (), ())


def test_the_branch_that_is_dearer_is_so_with_what_its_own_branches_cost():
    text = """
    g (float[N, 8] x, bool c, bool d) => (float[N, 8] y) <float s = {0.02}> {
        f = DequantizeLinear (w, s)
        [outer] y = If (c) <
            then_branch = t () => (float[N, 8] o) { h = MatMul (x, f)  o = MatMul (h, f) },
            else_branch = e () => (float[N, 8] o) {
                [inner] o = If (d) <
                    then_branch = t () => (float[N, 8] o1) { o1 = Relu (x) },
                    else_branch = e () => (float[N, 8] o2) {
                        h1 = MatMul (x, f)  h2 = MatMul (h1, f)  o2 = MatMul (h2, f)
                    }>
            }>
    }
    """
    counted = count(parse(text, w=ones(8, 8)))
    assert [layer.repeats for layer in counted.layers] == [0, 0, 1, 1, 1]
    assert [(c.name, c.counted, c.accesses, c.other_accesses) for c in counted.choices] == [
        ("outer", "else_branch", 24, 16),
        ("inner", "else_branch", 24, 0),
    ]
    assert counted.macs == 3 * 64


LOOP = """
g (float[N, 8] x{more}) => (float[N, 8] y, float[T, N, 8] all) <bool on = {{1}}, float s = {{0.02}}{limit}> {{
    y, all = Loop (n, on, x) <body = b (int64 i, bool goes, float[N, 8] a) => (bool stays, float[N, 8] o, float[N, 8] p)
        <int8[8, 8] v = {{{codes}}}> {{
            {stays}
            f = DequantizeLinear (v, s)
            o = MatMul (a, f)
            p = Identity (o)
        }}>
}}
"""
CODES = ", ".join(["1"] * 64)


def test_a_loop_of_known_length_reads_its_weights_on_every_trip():
    text = LOOP.format(more="", limit=", int64 n = {3}", codes=CODES, stays="stays = Identity (goes)")
    counted = count(parse(text))
    assert rows(counted) == [("y.body/v", 3, 3 * 64 * 8)]
    assert (counted.macs, counted.weights, counted.parameters) == (3 * 64, 64, 64)


@pytest.mark.parametrize(
    ("more", "limit", "stays"),
    [
        (", int64 n", "", "stays = Identity (goes)"),
        ("", ", int64 n = {3}", "m = ReduceMax <keepdims = 0> (a)  z = Sub (m, m)  stays = Equal (m, z)"),
    ],
)
def test_a_loop_that_data_end_is_named(more, limit, stays):
    counted = count(parse(LOOP.format(more=more, limit=limit, codes=CODES, stays=stays)))
    assert [str(entry) for entry in counted.uncounted] == ["Loop 'y': how often its body runs depends on data"]


def test_a_scan_reads_its_weights_on_every_step():
    text = """
    g (float[5, 12] x) => (float[5, 4] y) <float s = {0.02}, float[4] zero = {0, 0, 0, 0}> {
        last, y = Scan <num_scan_inputs = 1, body = b (float[4] a, float[12] row) => (float[4] after, float[4] o) {
            f = DequantizeLinear (w, s)
            o = MatMul (row, f)
            after = Add (a, o)
        }> (zero, x)
    }
    """
    counted = count(parse(text, w=ones(12, 4)))
    assert rows(counted) == [("w", 5, 5 * 48 * 8)]
    assert counted.macs == 5 * 48


def test_what_lies_behind_a_body_has_its_shape():
    text = LOOP.format(more="", limit=", int64 n = {3}", codes=CODES, stays="stays = Identity (goes)")
    text = text.replace("float[T, N, 8] all)", "float[T, N, 2] z)").rstrip().removesuffix("}")
    counted = count(parse(text + "g2 = DequantizeLinear (w, s)  z = MatMul (all, g2) }", w=ones(8, 2)))
    assert [(layer.positions, layer.depth, layer.outputs) for layer in counted.layers] == [(1, 8, 8), (3, 8, 2)]


def test_the_model_is_not_changed_and_one_without_bodies_not_copied():
    model = parse(BRANCHES.format(more=", bool c", condition=""), **WEIGHTS)
    before = ir.to_proto(model).SerializeToString()
    assert unroll(model).model is not model
    assert ir.to_proto(model).SerializeToString() == before
    flat = parse("g (float[N, 4] x) => (float[N, 4] y) { y = MatMul (x, w) }", w=np.ones((4, 4), np.float32))
    assert unroll(flat).model is flat


@pytest.mark.parametrize("text", [NESTED, TWICE])
def test_memories_keep_their_names(text):
    arrays = {"w": ones(12, 6)} if text == NESTED else {}
    model = parse(text, **arrays)
    assert set(Survey(model).stored) <= set(Survey(unroll(model).model).stored)
