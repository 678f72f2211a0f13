"""What is no valid model is refused where it comes in: with the defect, its place, and no work done."""

import subprocess
import sys
import textwrap

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import nfkit
from nfkit.errors import ModelError, UnsupportedError
from nfkit.graph.input.discovery import find_input
from nfkit.model import load
from nfkit.rim.calls import MAX_DEPTH, MAX_NODES

BODY = """
<ir_version: 10, opset_import: ["" : 21, "own" : 1]>
g (float[N, 2, 4, 4] x) => (float[N, 3] y)
<float s = {0.1}, int8 z = {0}, int8[3, 2, 3, 3] w, bool c = {1}, int64 trips = {3}> {
    f = DequantizeLinear (w, s, z)
    v = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, f)
    h = If (c) <then_branch = t () => (float[N, 3, 4, 4] a) { a = Neg (v) },
                else_branch = e () => (float[N, 3, 4, 4] b) { b = Identity (v) }>
    o = own.act (h)
    p = GlobalAveragePool (o)
    y = Flatten (p)
}
<domain: "own", opset_import: ["" : 21]> act (i) => (j) { k = Relu (i)  j = Relu (k) }
"""


@pytest.fixture
def proto():
    message = onnx.parser.parse_model(BODY)
    (hollow,) = [v for v in message.graph.value_info if v.name == "w"]
    message.graph.value_info.remove(hollow)
    message.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((3, 2, 3, 3), np.int8), "w"))
    return message


def tensor(proto, name):
    return next(t for t in proto.graph.initializer if t.name == name)


def node(proto, op):
    return next(n for n in proto.graph.node if n.op_type == op)


def attribute(owner, name):
    return next(a for a in owner.attribute if a.name == name)


def dims(proto, extents):
    proto.graph.input[0].type.tensor_type.shape.ClearField("dim")
    for extent in extents:
        proto.graph.input[0].type.tensor_type.shape.dim.add(dim_value=extent)


def set_text(t):
    t.Clear()
    t.name, t.data_type = "z", onnx.TensorProto.STRING
    t.string_data.append(b"zero")


def change(owner, **fields):
    for name, value in fields.items():
        held = getattr(owner, name)
        if isinstance(value, list):
            del held[:]
            held.extend(value)
        else:
            setattr(owner, name, value)


DEFECTS = {
    "undefined operand": (lambda m: change(m.graph.node[1], input=["x", "absent"]), r"reads 'absent', which nothing"),
    "undefined in a body": (
        lambda m: change(attribute(node(m, "If"), "then_branch").g.node[0], input=["absent"]),
        r"attribute 'then_branch' of .* reads 'absent'",
    ),
    "undefined in a function": (lambda m: change(m.functions[0].node[0], input=["absent"]), r"function 'act' reads"),
    "undefined result": (lambda m: change(m.graph.output[0], name="absent"), r"returns 'absent', which nothing"),
    "no outputs": (lambda m: change(m.graph.node[1], output=[]), r"\(Conv\)|Conv.* has no outputs"),
    "nameless outputs": (lambda m: change(m.graph.node[1], output=[""]), r"has no outputs"),
    "no operator": (lambda m: change(m.graph.node[1], op_type=""), r"has no operator"),
    "no results": (lambda m: m.graph.ClearField("output"), r"the graph returns nothing"),
    "computed twice": (
        lambda m: change(node(m, "Flatten"), output=["p"]),
        r"'p' in the graph is computed or stored twice",
    ),
    "stored twice": (lambda m: m.graph.initializer.append(tensor(m, "s")), r"stores 's' twice"),
    "two inputs": (lambda m: m.graph.input.append(m.graph.input[0]), r"two inputs 'x'"),
    "no type": (lambda m: change(tensor(m, "s"), data_type=0), r"initializer 's' has element type 0, which is none"),
    "unknown type": (lambda m: change(tensor(m, "s"), data_type=77), r"element type 77"),
    "input without type": (
        lambda m: change(m.graph.input[0].type.tensor_type, elem_type=0),
        r"input 'x' has element type 0",
    ),
    "text as zero point": (
        lambda m: set_text(tensor(m, "z")),
        r"DequantizeLinear in the graph: it takes 'z' of type string",
    ),
    "float as zero point": (
        lambda m: tensor(m, "z").CopyFrom(onnx.numpy_helper.from_array(np.float32(0), "z")),
        r"takes 'z' of type float",
    ),
    "other zero point": (
        lambda m: tensor(m, "z").CopyFrom(onnx.numpy_helper.from_array(np.uint8(0), "z")),
        r"type uint8 beside one of",
    ),
    "empty scale": (
        lambda m: tensor(m, "s").CopyFrom(onnx.numpy_helper.from_array(np.zeros(0, np.float32), "s")),
        r"scale 's' is empty",
    ),
    "scales of another axis": (
        lambda m: tensor(m, "s").CopyFrom(onnx.numpy_helper.from_array(np.ones(3, np.float32), "s")),
        r"scales 's' of extents \[3\] do not fit axis 1 of 'w'",
    ),
    "rank 70": (lambda m: change(tensor(m, "w"), dims=[1] * 70), r"initializer 'w' has 70 axes, more than 64"),
    "negative extents": (lambda m: change(tensor(m, "w"), dims=[-3, -2, 3, 3]), r"has extents \[-3, -2, 3, 3\]"),
    "2^40 codes": (lambda m: change(tensor(m, "w"), dims=[2**40]), r"needs 1099511627776 bytes and holds 54"),
    "more than 2^40 codes": (
        lambda m: change(tensor(m, "w"), dims=[2**62]),
        r"has more than 1,099,511,627,776 elements",
    ),
    "fewer bytes": (lambda m: change(tensor(m, "w"), raw_data=b"\1" * 53), r"needs 54 bytes and holds 53"),
    "two contents": (lambda m: tensor(m, "w").float_data.append(1), r"'w' holds content in float_data, where none"),
    "input of 2^31": (lambda m: dims(m, [1, 3, 2**31, 1]), r"has more than 268,435,456 elements"),
    "768 TiB": (lambda m: dims(m, [2**16, 2**16, 2**16]), r"has more than 268,435,456 elements"),
    "negative input": (
        lambda m: dims(m, [-2, 2, 4, 4]),
        r"input 'x' has extents \[-2, 2, 4, 4\]; export it with names",
    ),
    "input of rank 70": (lambda m: dims(m, [1] * 70), r"input 'x' has 70 axes"),
    "attribute type": (
        lambda m: change(attribute(node(m, "Conv"), "pads"), type=2),
        r"its attribute 'pads' is of type INT",
    ),
    "attribute without type": (lambda m: change(attribute(node(m, "Conv"), "pads"), type=0), r"is of type|has no type"),
    "attribute without name": (lambda m: node(m, "Flatten").attribute.add(type=2), r"has no name"),
    "no element type": (
        lambda m: m.graph.node.append(onnx.helper.make_node("Cast", ["x"], ["cast"], to=2**40)),
        r"'to' is 1099511627776, which is no element type",
    ),
    "attribute reference": (
        lambda m: change(attribute(node(m, "Conv"), "pads"), ref_attr_name="pads"),
        r"stands for one of a function",
    ),
    "too many operands": (
        lambda m: node(m, "Flatten").input.extend(["p"]),
        r"it has 2 inputs, which Flatten does not take",
    ),
    "too few operands": (lambda m: change(node(m, "Conv"), input=["x"]), r"it has 1 inputs, which Conv does not take"),
    "window": (lambda m: change(attribute(node(m, "Conv"), "pads"), ints=[1, 1, 1]), r"different numbers of axes"),
    "kernel": (lambda m: attribute(node(m, "Conv"), "kernel_shape").ints.__setitem__(0, 0), r"extents below 1"),
    "missing branch": (lambda m: node(m, "If").attribute.pop(), r"it lacks the attribute 'else_branch'"),
    "branch of two": (
        lambda m: attribute(node(m, "If"), "then_branch").g.output.append(
            attribute(node(m, "If"), "then_branch").g.output[0]
        ),
        r"If.* and its body differ in what they take or return",
    ),
    "call of two": (lambda m: node(m, "act").input.append("h"), r"gives or takes more than function 'act' has"),
    "declared as another type": (
        lambda m: m.graph.value_info.append(onnx.helper.make_tensor_value_info("s", 2, [])),
        r"'s' in the graph is declared as another type than its own, float",
    ),
    "a function of itself": (
        lambda m: change(m.functions[0].node[0], domain="own", op_type="act"),
        r"'act' calls itself",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_defects_are_named(proto, tmp_path, defect):
    load(proto)
    spoil, words = DEFECTS[defect]
    spoil(proto)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    for source in (proto, tmp_path / "m.onnx"):
        with pytest.raises(ModelError, match=words):
            load(source)


def chain(functions, calls, loop=False):
    """Functions that each call the next one so many times; the last may call the first."""
    text = '<ir_version: 10, opset_import: ["" : 18, "o" : 1]> g (float[N] x) => (float[N] y) { y = o.f0 (x) }'
    for i in range(functions):
        last = i == functions - 1
        called = ("o.f0" if loop else "Relu") if last else f"o.f{i + 1}"
        steps = "".join(f"a{k + 1} = {called} (a{k})\n" for k in range(calls))
        text += f'<domain: "o", opset_import: ["" : 18, "o" : 1]> f{i} (a0) => (a{calls}) {{ {steps} }}\n'
    return onnx.parser.parse_model(text)


def test_functions_that_blow_up_are_refused_before_they_are_inlined():
    with pytest.raises(
        ModelError, match=rf"function 'f\d+' has [\d,]+ nodes once its calls are inlined, more than {MAX_NODES:,}"
    ):
        load(chain(23, 2))
    assert load(chain(10, 2)).graph.num_nodes() == 1


def test_long_chains_of_functions_are_refused():
    with pytest.raises(ModelError, match=f"calls functions {MAX_DEPTH + 1} deep, more than {MAX_DEPTH}"):
        load(chain(3000, 1))
    load(chain(MAX_DEPTH - 1, 1))


def test_circles_of_functions_are_refused():
    for functions in (1, 2, 40):
        with pytest.raises(ModelError, match="calls itself, directly or through others"):
            load(chain(functions, 2, loop=True))


def test_unusual_models_that_mean_one_thing_pass(proto):
    proto.graph.node.reverse()
    proto.opset_import[0].domain = "ai.onnx"
    node(proto, "Flatten").domain = "ai.onnx"
    proto.graph.node.add(op_type="Magic", domain="of.theirs", input=["p", "", "x"], output=["", "m"])
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("p", 1, ["a", 3, None, None]))
    assert load(proto).graph.num_nodes() == 7


def test_free_axes_may_be_written_as_minus_one(proto, execute):
    dims(proto, [-1, 2, 4, 4])
    model = load(proto)
    assert find_input(model, value_range=(0, 1)).batch == "N"
    assert execute(model, {"x": np.ones((5, 2, 4, 4), np.float32)})[0].shape == (5, 3)
    dims(proto, [-1, 2, -1, 4])
    with pytest.raises(UnsupportedError, match="has free axes besides the batch"):
        find_input(load(proto))


def test_sources_of_a_wrong_type_get_a_sentence(proto):
    for source in (None, 7, [proto], proto.graph):
        with pytest.raises(ModelError, match=r"a model is a path, an onnx.ModelProto or an onnx_ir.Model, not \w+$"):
            load(source)
    with pytest.raises(ModelError, match=r"not bytes \(onnx.load_from_string reads bytes\)"):
        load(proto.SerializeToString())
    for name in ("a\0b", "m" * 5000):
        with pytest.raises(ModelError, match="no model at"):
            load(name)


def test_models_in_memory_that_cannot_be_copied_are_refused(proto):
    model = ir.from_proto(proto)
    stray = ir.Value(name="stray")
    model.graph[1].replace_input_with(1, stray)
    with pytest.raises(ModelError, match="model 'g' cannot be copied"):
        load(model)


def test_twenty_thousand_nodes_take_time_linear_in_them():
    """Five times the nodes take nowhere near twenty-five times the steps, counted by the interpreter itself."""
    code = textwrap.dedent(
        """
        import sys, onnx
        from nfkit.rim.gate import check_model
        def steps(n):
            nodes = [onnx.helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(n)]
            io = [onnx.helper.make_tensor_value_info(name, 1, [2]) for name in ("v0", f"v{n}")]
            proto = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", io[:1], io[1:]))
            count = [0]
            def trace(frame, event, argument):
                count[0] += 1
                return trace
            sys.settrace(trace)
            check_model(proto, "m")
            sys.settrace(None)
            return count[0]
        print(steps(2000) / steps(400))
        """
    )
    ratio = float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert 4 < ratio < 6


CURVE = nfkit.load_curve("stutz-2021")
USES = {
    "find_sites": lambda wrong, _: nfkit.find_sites(wrong),
    "find_input": lambda wrong, _: nfkit.find_input(wrong),
    "inject": lambda wrong, _: nfkit.inject(wrong, [], nfkit.Chip(1), nfkit.BitErrors(0.1)),
    "remove": lambda wrong, _: nfkit.remove(wrong),
    "split": lambda wrong, _: nfkit.split(wrong),
    "fuse": lambda wrong, model: nfkit.fuse(model, wrong, find_input(model, value_range=(0, 1)), {}),
    "requantise": lambda wrong, _: nfkit.requantise(wrong, 4),
    "analyse": lambda wrong, _: nfkit.analyse(wrong, CURVE.at_rate(0.01), CURVE),
}


@pytest.mark.parametrize("use", USES)
def test_functions_that_take_a_model_in_memory_say_so(proto, tmp_path, use):
    model = load(proto)
    for wrong in ("m.onnx", tmp_path, proto, proto.SerializeToString(), None):
        with pytest.raises(ModelError, match=f"takes a model in memory, not {type(wrong).__name__}: read it with"):
            USES[use](wrong, model)


def test_names_that_are_no_text_are_refused(proto, tmp_path):
    content = proto.SerializeToString()
    for name in (b"Conv", b"act", b"own", b"GlobalAveragePool", b"scores"):
        (tmp_path / "m.onnx").write_bytes(content.replace(name, b"\xff" * len(name)))
        if name in content:
            with pytest.raises(ModelError, match=r"which is no text|cannot be read"):
                load(tmp_path / "m.onnx")
