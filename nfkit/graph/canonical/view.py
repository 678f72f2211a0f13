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

from nfkit.graph.canonical.inlining import MemoryNames, inlined, lift_constants, splice
from nfkit.graph.canonical.rewrites import rewrite
from nfkit.graph.memory.storage import constant


def canonical(model: ir.Model) -> ir.Model:
    """The canonical view of a model, which stays as it is. What has no standard form stays in it too."""
    view, names = inlined(model)
    while _take_branch(view.graph, names):
        pass
    lift_constants(view.graph, names)
    rewrite(view)
    return view


def _take_branch(graph: ir.Graph, names: MemoryNames) -> bool:
    """Replaces the first If of a constant condition by the branch that it takes; says whether there was one."""
    for node in graph:
        if node.op_type != "If" or node.domain or node.inputs[0] is None:
            continue
        condition = constant(node.inputs[0])
        if condition is None:
            continue
        branch = "then_branch" if condition.item() else "else_branch"
        prefix = f"{node.name or node.outputs[0].name}.{branch}/"
        results = splice(graph, node, node.attributes[branch].as_graph(), prefix, names)
        for old, new in zip(node.outputs, results, strict=True):
            old.replace_all_uses_with(new, replace_graph_outputs=True)
        graph.remove(node, safe=True)
        return True
    return False
