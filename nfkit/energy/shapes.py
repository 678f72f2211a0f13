"""Shapes of all values of a graph at batch 1, also behind operators that ONNX's own inference does not know.

ONNX Runtime's quantised operators are replaced, in a copy, by standard ones of the same shape behaviour; then ONNX
infers.
"""

from __future__ import annotations

import logging

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from nfkit.graph.operators.operands import facts_of, integer, key_of

Shapes = dict[str, tuple[int, ...]]

_RUNTIMES_OWN = ("activation", "activation_params", "channels_last")
"""Attributes of ONNX Runtime's operators that their standard twins do not have."""


def batch_of(model: ir.Model) -> int:
    """Samples that the model takes at once: its first input's first extent, 1 where that is free."""
    image = next((v for v in model.graph.inputs if v.name not in model.graph.initializers), None)
    if image is None or image.shape is None or len(image.shape) < 2:
        return 1
    first = image.shape[0]
    return first if isinstance(first, int) and first > 0 else 1


def infer_shapes(model: ir.Model) -> Shapes:
    """Extents of every value whose shape can be told, by name; a free batch is 1.

    Args:
        model: The model; not changed.
    """
    stored = _known(model, free_batch=True)
    copy = _without_dead_nodes(model)
    for value in copy.graph.inputs:
        if value.shape is not None and len(value.shape):
            # Some exporters write -1 for a free axis.
            first, *rest = (d if isinstance(d, int) and d > 0 else None for d in value.shape)
            value.shape = ir.Shape([first or 1, *rest])
    for value in (*(out for node in copy.graph for out in node.outputs), *copy.graph.outputs):
        value.shape = None  # what a file says may hold another batch
    for node in list(copy.graph):
        if key_of(node)[0] and facts_of(node).shaped_like is not None:
            _replace(node)
    # Types of the stand-ins need not fit, and one node that cannot be inferred shall not stop the others.
    logger = logging.getLogger("onnx_ir.passes.common.shape_inference")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        inferred = ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(copy).model
    finally:
        logger.setLevel(level)
    return {**stored, **_known(inferred, free_batch=False)}


def _without_dead_nodes(model: ir.Model) -> ir.Model:
    """A copy of what the outputs depend on; inference costs more than all the rest of a count."""
    graph = model.graph
    try:
        live = ir.convenience.extract(graph, list(graph.inputs), list(graph.outputs))
    except ValueError:  # a graph without outputs, say
        return model.clone()
    functions = [function.clone() for function in model.functions.values()]
    return ir.Model(live, ir_version=model.ir_version, functions=functions)


def _replace(node: ir.Node) -> None:
    like = facts_of(node).shaped_like
    assert like is not None
    op, inputs = like
    if integer(node, "channels_last", 0):
        return
    attributes = [a for name, a in node.attributes.items() if name not in _RUNTIMES_OWN]
    given = [node.inputs[i] for i in inputs if i < len(node.inputs)]
    stand_in = ir.Node("", op, given, attributes, num_outputs=1)
    stand_in.outputs[0].name = node.outputs[0].name
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    ir.convenience.replace_nodes_and_values(graph, node, [node], [stand_in], node.outputs[:1], stand_in.outputs)


def _known(model: ir.Model, *, free_batch: bool) -> Shapes:
    """The shapes that a model states; a free first axis is a batch of 1, if it may be."""
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    values += [out for node in model.graph for out in node.outputs]
    known: Shapes = {}
    for value in values:
        if value.shape is None:
            continue
        extents = [d if isinstance(d, int) and d > 0 else None for d in value.shape]
        if free_batch and extents and extents[0] is None:
            extents[0] = 1
        if None not in extents:
            known[str(value.name)] = tuple(d for d in extents if d is not None)
    return known
