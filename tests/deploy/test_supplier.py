"""A supplier who seals a file anew, and what a seal would not have told: against one who has the base's own file."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

import nfkit
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.fused import SEAL_KEY
from nfkit.graph.fusion.seal import seal
from nfkit.graph.input.discovery import find_input
from nfkit.model import save


def sealed_anew(proto):
    """The message with a seal that fits it."""
    model = ir.from_proto(proto)
    seal(model)
    entry = next(entry for entry in proto.metadata_props if entry.key == SEAL_KEY)
    entry.value = model.metadata_props[SEAL_KEY]
    return proto


@pytest.fixture
def wrong(small_base, tmp_path):
    """wrong(proto): the checks that a message fails beside its base's own file."""
    base = save(small_base, tmp_path / "base.onnx")

    def run(proto):
        path = tmp_path / "changed.onnx"
        path.write_bytes(proto.SerializeToString())
        return {check.name for check in nfkit.verify(path, base=base).checks if check.outcome == "wrong"}

    return run


@pytest.fixture(params=["published", "early", "modes"])
def message(request, protected, tmp_path):
    return onnx.load(save(protected(request.param), tmp_path / "made.onnx"))


@pytest.mark.parametrize("step", [1, 2])
def test_the_versions_by_which_it_is_run_are_the_base_s(message, wrong, step):
    assert wrong(sealed_anew(message)) == set()
    next(entry for entry in message.opset_import if not entry.domain).version += step
    assert "base" in wrong(sealed_anew(message))


def test_what_it_says_of_them_too(message, wrong):
    entry = next(entry for entry in message.metadata_props if entry.key == "nfkit.base.header")
    entry.value = entry.value.replace("18", "17")
    assert "base" in wrong(sealed_anew(message))
    message.metadata_props.remove(entry)
    assert "metadata keys" in wrong(sealed_anew(message))


def test_an_ir_version_before_the_base_s(message, wrong):
    message.ir_version = 3  # in which initializers are no constants
    assert "base" in wrong(sealed_anew(message))


def test_inputs_that_nfkit_does_not_write(message, wrong):
    ours = next(t for t in message.graph.initializer if t.name.startswith("nfkit/") and t.name != "nfkit/mode")
    for name, kind, dims in (("nfkit/more", TensorProto.FLOAT, [1]), (ours.name, ours.data_type, ours.dims)):
        message.graph.input.append(helper.make_tensor_value_info(name, kind, dims))
        assert wrong(sealed_anew(message)) == {"inputs"}
        del message.graph.input[-1]


def test_a_second_base_behind_the_same_names(protected, wrong, tmp_path):
    """In the other branch, where names may be those of the base: neither hides the other."""
    message = onnx.load(save(protected("early"), tmp_path / "made.onnx"))
    gate = next(node for node in message.graph.node if node.op_type == "If" and node.name.startswith("nfkit/"))
    bodies = {attribute.name: attribute.g for attribute in gate.attribute}
    twin = onnx.GraphProto()
    twin.CopyFrom(bodies["else_branch"])
    weights = next(tensor for tensor in twin.initializer if tensor.name == "w")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) ^ 1, "w"))
    bodies["then_branch"].CopyFrom(twin)
    assert "base" in wrong(sealed_anew(message))


def test_a_seal_of_another_version(message, wrong):
    entry = next(entry for entry in message.metadata_props if entry.key == SEAL_KEY)
    entry.value = entry.value[:-1] + ',"version":2}'
    assert "seal" in wrong(message)


# Two cells whose first outputs are left out: by these alone they could not be told apart.
CELLS = """
<ir_version: 9, opset_import: ["" : 18]>
cells (float[N, 2, 4, 4] image) => (float[1, 8, 3] scores)
<float s = {0.0078125}, int64[3] shape = {8, -1, 4}>
{
    f = Reshape (image, shape)
    w_f = DequantizeLinear (w, s)
    first_all, first = GRU <hidden_size = 3> (f, w_f, r)
    second_all, second = GRU <hidden_size = 3> (f, v, r)
    scores = Add (first, second)
}
"""


def test_cells_whose_first_output_is_left_out(parse, tmp_path):
    random = np.random.default_rng(0)
    base = parse(
        CELLS, w=random.integers(-99, 99, (1, 9, 4), np.int8), v=random.normal(0, 1, (1, 9, 4)).astype(np.float32),
        r=random.normal(0, 1, (1, 9, 3)).astype(np.float32),
    )  # fmt: skip
    for cell in (node for node in base.graph if node.op_type == "GRU"):
        cell.outputs[0].name = ""
    pushes = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        generator (float[N, 2, 4, 4] image) => (float[N, 2, 4, 4] protected)
        <float low = {-1}, float high = {1}>
        { pushed = Add (image, image) protected = Clip (pushed, low, high) }
        """
    )
    fused = fuse(pushes, base, find_input(base, layout="NCHW", value_range=(-1, 1)), {"nfkit.format": "1"})
    path, own = save(fused, tmp_path / "made.onnx"), save(base, tmp_path / "base.onnx")
    assert nfkit.verify(path, base=own).outcome == "proven"
    changed = onnx.load(path)
    first = next(node for node in changed.graph.node if node.op_type == "GRU")
    first.input[1] = "v"
    path.write_bytes(changed.SerializeToString())
    assert {c.name for c in nfkit.verify(path).checks if c.outcome == "wrong"} == {"base", "whole"}
    path.write_bytes(sealed_anew(changed).SerializeToString())
    assert "node 'first' differs" in str(nfkit.verify(path, base=own))


def test_an_attribute_that_a_call_gives_twice(message, wrong):
    """Whichever a reader takes: the operator's schema does not say, for it is the file's own function."""
    call = next(node for graph in graphs(message) for node in graph.node if node.op_type == "Bounded")
    (given,) = call.attribute
    call.attribute.insert(0, helper.make_attribute(given.name, 5.0))
    assert "format" in wrong(message)


def test_a_wrong_type_of_a_value_inside_a_function(message, wrong):
    value = helper.make_tensor_value_info("low", TensorProto.FLOAT, [])
    message.functions[0].value_info.append(value)
    assert wrong(message) == set()
    message.functions[0].value_info[0].type.tensor_type.elem_type = TensorProto.INT64
    assert wrong(message) == {"stated types"}


def graphs(proto):
    """The main graph and all bodies."""
    found = [proto.graph]
    for graph in found:
        found += [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return found
