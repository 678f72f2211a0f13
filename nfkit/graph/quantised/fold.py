"""Stores weights as the integers that the graph makes of them.

Training with fake quantisation exports floating weights with QuantizeLinear behind them. A runtime folds the two when
it loads the file, and a device holds the codes; but the file holds floats, which have no cells to fault. Folding writes
the codes into the file:

    w (float) -> QuantizeLinear -> q -> ...          becomes
    q (int8)  -> ...

The result computes the same to the last bit, and is the file to ship.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import ModelError, UnsupportedError
from nfkit.graph.memory.storage import constant, every_node
from nfkit.graph.operators.operands import QUANTIZE, key_of


class FoldQuantisedWeights(ir.passes.InPlacePass):
    """Replaces each QuantizeLinear of a constant by an initializer of its codes, in whatever graph it stands.

    Left as they are: quantisers of activations, those whose codes a graph returns, and those inside functions, which
    have no initializers.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrites the model in place."""
        inside = {id(node) for function in model.functions.values() for node in function.all_nodes()}
        modified = False
        for node in [n for n in every_node(model) if key_of(n) in QUANTIZE and id(n) not in inside]:
            given = [value for value in node.inputs if value is not None]
            numbers = [number for value in given if (number := constant(value)) is not None]
            if len(numbers) < len(given) or node.outputs[0].is_graph_output():
                continue
            _store(node, quantise(node, numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else None))
            modified = True
        return ir.passes.PassResult(model, modified)


def fold(model: ir.Model) -> ir.Model:
    """A copy of the model that stores its weights as the integers that the graph makes of them.

    Raises:
        ModelError: When the graph quantises no constants.
        UnsupportedError: When a quantiser has a type or shape that is not understood.
    """
    result = ir.passes.functionalize(FoldQuantisedWeights())(model)
    if not result.modified:
        raise ModelError(
            "the graph quantises no constants, so there is nothing to fold: weights are either stored as integers "
            "already (see nfkit inspect), or the model is not quantised"
        )
    return result.model


def quantise(
    node: ir.Node, x: npt.NDArray[Any], scale: npt.NDArray[Any], zero_point: npt.NDArray[Any] | None
) -> npt.NDArray[Any]:
    """Codes of a QuantizeLinear: saturate(round half to even(x / scale) + zero point), in the scale's precision.

    Args:
        node: The quantiser.
        x: Values.
        scale: One number, one an index of the axis, or one a block.
        zero_point: Of the shape of the scale; zero of the node's output type by default.
    """
    where = f"node '{node.name or node.outputs[0].name}'"
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 1
    block = node.attributes["block_size"].as_int() if "block_size" in node.attributes else 0
    if zero_point is None:
        code = node.attributes["output_dtype"].as_int() if "output_dtype" in node.attributes else 0
        zero_point = np.zeros(scale.shape, ir.DataType(code).numpy() if code else np.uint8)
    kind = ir.DataType.from_numpy(zero_point.dtype)
    if not kind.is_integer():
        raise UnsupportedError(f"{where} quantises to {zero_point.dtype}, which is no integer type")
    low = -(2 ** (kind.bitwidth - 1)) if kind.is_signed() else 0
    high = low + 2**kind.bitwidth - 1
    spread_scale, spread_zero = (_spread(p, x, axis, block, where) for p in (scale, zero_point))
    rounded = np.rint(x.astype(scale.dtype) / spread_scale) + spread_zero.astype(scale.dtype)
    codes: npt.NDArray[Any] = np.clip(rounded, low, high).astype(zero_point.dtype)
    return codes


def _spread(parameter: npt.NDArray[Any], x: npt.NDArray[Any], axis: int, block: int, where: str) -> npt.NDArray[Any]:
    if block:
        return np.repeat(parameter, block, axis=axis).take(range(x.shape[axis]), axis=axis)
    if parameter.size == 1:
        return parameter.reshape(())
    if parameter.ndim != 1 or not -x.ndim <= axis < x.ndim or len(parameter) != x.shape[axis]:
        raise UnsupportedError(f"{where} has scales of shape {list(parameter.shape)} for {list(x.shape)} values")
    shape = [1] * x.ndim
    shape[axis] = -1
    return parameter.reshape(shape)


def _store(node: ir.Node, array: npt.NDArray[Any]) -> None:
    """Puts an initializer in a node's place, and drops the float if nothing else reads it."""
    graph, source, codes = node.graph, node.inputs[0], node.outputs[0]
    assert isinstance(graph, ir.Graph)
    assert source is not None
    name = str(codes.name)
    codes.name = f"{name}.folded"
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    codes.replace_all_uses_with(value)
    graph.remove(node, safe=True)
    if source.uses() or source.is_graph_output():
        return
    producer = source.producer()
    if producer is None and isinstance(source.graph, ir.Graph):
        source.graph.initializers.pop(str(source.name))
    elif producer is not None and producer.graph is not None:
        producer.graph.remove(producer, safe=True)
