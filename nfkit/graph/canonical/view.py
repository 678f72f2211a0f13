"""The canonical view of a model: one flat graph of standard operators, whatever form the file has.

A copy made for reading, above all by the differentiable interpreter; it is never written. In it

1. functions are inlined, and branches whose condition is a constant replaced by the one that is taken;
2. constant tensors are initializers, under the names of their memories (see `nfkit.graph.memory.storage`), so that
   codes can be exchanged by site as in the model itself;
3. operators on codes, and ONNX Runtime's fused ones, are replaced by float operators between DequantizeLinear and
   QuantizeLinear (see `nfkit.graph.canonical.rewrites`).

The view computes what the model does, up to rounding: ONNX Runtime adds up integers where the view adds up floats, so
a value on the edge between two codes may fall to either. In exchange weights are dequantised once for each set of
codes rather than once a batch, and quantisers fuse as in a QDQ model. Whether the two agree is proved on data, by
`nfkit.remedies.parity`.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from nfkit.graph.canonical.rewrites import rewrite
from nfkit.graph.memory.storage import constant, stored_tensors
from nfkit.rim.failures import model_errors

_Names = dict[int, str]  # id of a tensor -> name of its memory


def canonical(model: ir.Model) -> ir.Model:
    """The canonical view of a model, which stays as it is. What has no standard form stays in it too."""
    view = model.clone()
    kept = []  # the tensors, so that no id is used again while names are looked up by it
    names: _Names = {}
    for entry in stored_tensors(view).values():
        if entry.node is None and entry.value.const_value is None:
            continue
        if id(entry.tensor) in names:  # one tensor object shared by two memories
            entry.store(entry.array().copy())
        names[id(entry.tensor)] = entry.name
        kept.append(entry.tensor)
    if view.functions:
        with model_errors("the functions of the model cannot be inlined"):
            view = InlinePass()(view).model
    while _take_branch(view.graph, names):
        pass
    _lift_constants(view.graph, names)
    rewrite(view)
    return view


def _take_branch(graph: ir.Graph, names: _Names) -> bool:
    """Replaces the first If of a constant condition by the branch that it takes; says whether there was one."""
    for node in graph:
        if node.op_type != "If" or node.domain or node.inputs[0] is None:
            continue
        condition = constant(node.inputs[0])
        if condition is None:
            continue
        taken = "then_branch" if condition.item() else "else_branch"
        _splice(graph, node, node.attributes[taken].as_graph(), f"{node.name or node.outputs[0].name}.{taken}/", names)
        return True
    return False


def _splice(graph: ir.Graph, node: ir.Node, branch: ir.Graph, prefix: str, names: _Names) -> None:
    results = list(branch.outputs)
    branch.outputs.clear()
    for value in list(branch.initializers.values()):
        del branch.initializers[str(value.name)]
        value.name = names.get(id(value.const_value), f"{prefix}{value.name}")
        graph.register_initializer(value)
    nodes = list(branch)
    for inner in nodes:
        branch.remove(inner)
        for output in inner.outputs:
            output.name = f"{prefix}{output.name}"  # its twin in the other branch may have the same name
    graph.insert_before(node, nodes)
    for old, new in zip(node.outputs, results, strict=True):
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _lift_constants(graph: ir.Graph, names: _Names) -> None:
    for node in list(graph):
        if node.op_type != "Constant" or node.domain or "value" not in node.attributes:
            continue
        tensor, output = node.attributes["value"].as_tensor(), node.outputs[0]
        name = names.get(id(tensor), str(output.name))
        value = graph.initializers.get(name)
        if value is None:  # else a function's own memory, inlined before
            output.name = f"{name}.lifted"
            value = ir.Value(
                name=name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype), const_value=tensor
            )
            graph.register_initializer(value)
        output.replace_all_uses_with(value, replace_graph_outputs=True)
        graph.remove(node, safe=True)
