"""Sparse tensors come in as the whole tensors that ONNX Runtime makes of them."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from nfkit.access.runtime import Runner
from nfkit.energy import count
from nfkit.errors import ModelError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.injection.inject import inject
from nfkit.graph.memory.coverage import coverage
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.model import load

WHOLE = np.zeros((4, 3), np.int8)
WHOLE[[0, 1, 3], [2, 0, 1]] = (5, -70, 127)
X = np.arange(8, dtype=np.float32).reshape(2, 4)


def sparse(indices, values=(5, -70, 127), extents=(4, 3), name="w"):
    return helper.make_sparse_tensor(
        numpy_helper.from_array(np.array(values, np.int8), name),
        numpy_helper.from_array(np.array(indices, np.int64), f"{name}_places"),
        list(extents),
    )


def model(tensor, *, as_node=False):
    scale = numpy_helper.from_array(np.float32(0.5), "s")
    nodes = [helper.make_node("DequantizeLinear", ["w", "s"], ["f"]), helper.make_node("MatMul", ["x", "f"], ["y"])]
    if as_node:
        nodes.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=tensor))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [scale],
    )
    if not as_node:
        graph.sparse_initializer.append(tensor)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("indices", [[2, 3, 10], [[0, 2], [1, 0], [3, 1]]], ids=["positions", "coordinates"])
@pytest.mark.parametrize("as_node", [False, True], ids=["initializer", "Constant node"])
def test_the_whole_tensor_is_the_weight(tmp_path, indices, as_node):
    proto = model(sparse(indices), as_node=as_node)
    before = proto.SerializeToString()
    onnx.save(proto, tmp_path / "sparse.onnx")
    for source in (proto, tmp_path / "sparse.onnx"):
        graph = load(source)
        (site,) = fault_sites(graph)
        assert (site.name, site.count) == ("w", 12)
        assert codes(graph, site).tolist() == WHOLE.tolist()
        np.testing.assert_array_equal(Runner(graph, level="basic")(X), X @ (WHOLE * np.float32(0.5)))
        assert (coverage(graph).reached, coverage(graph).complete, count(graph).layers[0].bits) == (12, True, 8)
        faulty = inject(graph, [site], Chip(1), BitErrors(0.2, "flip"), "node")
        read = Chip(1).faults(site, BitErrors(0.2, "flip")).apply(WHOLE)
        np.testing.assert_array_equal(Runner(faulty, level="basic")(X), X @ (read * np.float32(0.5)))
    assert proto.SerializeToString() == before


def test_onnx_runtime_takes_the_file_for_the_same():
    options = onnxruntime.SessionOptions()  # beyond level basic it would round the activations, too
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(model(sparse([2, 3, 10])).SerializeToString(), options)
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], X @ (WHOLE * np.float32(0.5)))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (sparse([2, 3, 12]), r"'w' has 3 values and indices of shape \[3\].*do not fit"),
        (sparse([[0, 2], [1, 0], [4, 1]]), r"'w' has 3 values and indices of shape \[3, 2\]"),
        (sparse([2, 3]), r"'w' has 3 values and indices of shape \[2\]"),
        (sparse([2, 3, 10], extents=(2**20, 2**20)), "'w' has shape .*plain initializer"),
    ],
    ids=["position outside", "coordinates outside", "too few places", "too large"],
)
def test_what_contradicts_itself_is_refused_by_name(tensor, message):
    with pytest.raises(ModelError, match=message):
        load(model(tensor))
