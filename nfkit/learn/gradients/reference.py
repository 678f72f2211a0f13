"""Operators that only constants have a part in: they need values but no gradient, and so no kernel of their own.

Exporters do much with stored codes before a layer reads them (bytes taken apart, pruned blocks scattered into place).
What has no torch kernel there is computed by the reference implementation of ONNX, once for each set of codes.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import torch
from torch import Tensor

from nfkit.errors import UnsupportedError
from nfkit.graph.operators.operands import standard_op
from nfkit.learn.gradients.registry import Entry

_RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")


def constant_nodes(graph: ir.Graph) -> set[ir.Node]:
    """The nodes of a graph, in order, that no input of the model has a part in."""
    dependent = {value for value in graph.inputs if value.name not in graph.initializers}
    found = set()
    for node in graph:
        if any(value in dependent for value in node.inputs if value is not None) or not _is_fixed(node):
            dependent.update(node.outputs)
        else:
            found.add(node)
    return found


def reference_entry(node: ir.Node, opset: int) -> Entry | None:
    """A kernel that computes a node of constants by ONNX's reference implementation; None where that has none."""
    from onnx.reference import ReferenceEvaluator

    if not standard_op(node):
        return None
    names = [f"i{index}" if value is not None else "" for index, value in enumerate(node.inputs)]
    proto = ir.to_proto(node)
    proto.input[:] = names
    proto.output[:] = [f"o{index}" for index in range(len(node.outputs))]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [proto],
            "one",
            [onnx.ValueInfoProto(name=name) for name in names if name],
            [onnx.ValueInfoProto(name=name) for name in proto.output],
        ),
        opset_imports=[onnx.helper.make_opsetid("", opset)],
    )
    try:
        evaluator = ReferenceEvaluator(model)
    except Exception:  # what the evaluator lacks, each operator says in its own way
        return None

    def kernel(*operands: Tensor | None) -> tuple[Tensor, ...]:
        given = {name: v.numpy() for name, v in zip(names, operands, strict=True) if name and v is not None}
        try:
            results = list(evaluator.run(None, given))
        except Exception as error:  # what the evaluator lacks, each operator says in its own way
            raise UnsupportedError(f"{node.op_type}: onnx cannot compute it ({error})") from error
        return tuple(torch.from_numpy(np.array(result)) for result in results)

    return Entry(kernel, 1, 10**6)


def _is_fixed(node: ir.Node) -> bool:
    graphs = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return node.op_type not in _RANDOM and not any(a.type in graphs for a in node.attributes.values())
