"""Stores weights as the integers that the graph makes of them.

Training with fake quantisation exports floating weights with a quantiser behind them. A runtime folds the two when it
loads the file, and a device holds the codes; but the file holds floats, which have no cells to fault. Folding writes
the codes into the file, under the name of the weight:

    w (float) -> QuantizeLinear -> ...        becomes    w (int8) -> ...
    w (int8) -> Clip(-8, 7) -> ...            becomes    w (int8, recorded as 4 bits) -> ...
    w (float) -> Quant (QONNX) -> ...         becomes    w (int8) -> DequantizeLinear -> ...
    w (int64) -> Cast to int8 -> ...          becomes    w (int8) -> ...
    x -> Quant (QONNX) -> ...                 becomes    x -> QuantizeLinear -> Clip -> DequantizeLinear -> ...
    ... -> ExtendedDequantizeLinear (Quark)   becomes    ... -> DequantizeLinear

The result computes the same to the last bit, and is the file to ship.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveInitializersFromInputsPass

from nfkit.errors import ModelError, UnsupportedError
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.memory.foreign import vendor_operators
from nfkit.graph.memory.storage import bodies, every_node
from nfkit.graph.operators.operands import QUANTIZE, key_of, operand, standard_op
from nfkit.graph.operators.vendors import QONNX, QUARK, explain, is_quant
from nfkit.graph.quantised.code_store import CodeStore
from nfkit.graph.quantised.known import known, origin
from nfkit.graph.quantised.qonnx import quantise_activation, store_weight
from nfkit.graph.quantised.quark import standardise

_FREE_INITIALIZERS = 4
"""IR version from which on initializers need not be inputs."""

_MAKERS = frozenset(domain for domain, _ in QUARK)
_BYTES = (np.dtype(np.int8), np.dtype(np.uint8))
_NARROW = (ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16)
_WIDE = (np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.uint32), np.dtype(np.uint64))
_REFUSED = {
    "BipolarQuant": "its codes have 1 bit, -1 or 1, and memories are counted from 2 bits on: use a narrow signed Quant "
    "of 2 bits",
    "Trunc": "it drops low bits of a sum, which no standard operator does: export average pooling without it, with a "
    "Quant behind",
    "FloatQuant": "it makes floats of few bits, no integers: quantise to integers",
    "MultiThreshold": "it is what streamlining makes of a Quant: take the model from before streamlining",
}


class FoldQuantisedWeights(ir.passes.InPlacePass):
    """Replaces quantisers of constants by initializers of their codes, in whatever graph they stand.

    Left as they are: standard quantisers of activations, those whose codes a graph returns, and those inside functions,
    which have no initializers.

    Raises:
        UnsupportedError: When a quantiser cannot be expressed; all of them are named at once.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrites the model in place."""
        if model.ir_version < _FREE_INITIALIZERS:  # which lists all of them as inputs, meant to be replaced or not
            RemoveInitializersFromInputsPass()(model)
            model.ir_version = _FREE_INITIALIZERS
        inside = {id(node) for function in model.functions.values() for node in function.all_nodes()}
        store, opset = CodeStore(model), model.opset_imports.get("", 1)
        dependent = _dependent_on_inputs(model.graph)
        changed, refusals = _standardise(model)
        for node in list(every_node(model)):
            if node.domain in QONNX:
                refusals += _attempt(store, node, opset, dependent, id(node) in inside)
                changed = True
            elif id(node) not in inside:
                changed |= _fold_standard(store, node)
        if refusals:
            more = f"; and {len(refusals) - 5} more" if len(refusals) > 5 else ""
            raise UnsupportedError(f"the model cannot be folded: {'; '.join(refusals[:5])}{more}")
        store.finish()
        for opset_imports, nodes in _owners(model):
            for domain in (QONNX | _MAKERS) & opset_imports.keys() - {node.domain for node in nodes}:
                del opset_imports[domain]
        return ir.passes.PassResult(model, changed)


def fold(model: ir.Model) -> ir.Model:
    """A copy of the model that stores its weights as the integers that the graph makes of them.

    Codes that the graph keeps within fewer bits than their type have them recorded, under `nfkit.bits`.

    Raises:
        ModelError: When the graph quantises no constants.
        UnsupportedError: When a quantiser has a type or shape that is not understood, or has no standard form.
    """
    refuse_faults(model)
    result = ir.passes.functionalize(FoldQuantisedWeights())(model)
    if not result.modified:
        others = vendor_operators(model)
        if others:
            raise UnsupportedError(f"nfkit fold does not know {explain(others)}")
        raise ModelError(
            "the graph quantises no constants to integers, so there is nothing to fold: weights are either stored as "
            "integers already (see nfkit inspect), or the model is not quantised"
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
        raise UnsupportedError(
            f"{where} quantises to {zero_point.dtype}, which is no integer type, and faults hit integers: export the "
            "model with int8 or uint8 in its place"
        )
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


def _fold_standard(store: CodeStore, node: ir.Node) -> bool:
    """Folds a QuantizeLinear of a constant, or a Clip of stored codes, in place; says whether it was one."""
    if node.outputs[0].is_graph_output() or not isinstance(node.graph, ir.Graph):
        return False
    if standard_op(node) == "Cast":
        return _fold_cast(store, node)
    is_clip = standard_op(node) == "Clip"
    if not is_clip and key_of(node) not in QUANTIZE:
        return False
    given = [value for value in node.inputs if value is not None]
    numbers = [number for value in given if (number := known(value)) is not None]
    if len(numbers) < len(given) or len(numbers) < 2:
        return False
    bits = None
    if is_clip:
        if numbers[0].dtype not in _BYTES or len(node.inputs) < 3 or None in node.inputs[:3]:
            return False
        codes = np.minimum(np.maximum(numbers[0], numbers[1]), numbers[2]).astype(numbers[0].dtype)
        bits = _least_bits(int(numbers[1].item()), int(numbers[2].item()), numbers[0].dtype)
    else:
        codes = quantise(node, numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else None)
    stored = store.codes(node.graph, codes, given[0], bits)
    node.outputs[0].replace_all_uses_with(stored)
    store.remove(node)
    return True


def _fold_cast(store: CodeStore, node: ir.Node) -> bool:
    """Stores codes that the file holds in more bits than the graph reads of them, in place."""
    target = ir.DataType(node.attributes["to"].as_int())
    wide = known(operand(node, 0))
    if target not in _NARROW or wide is None or wide.size < 2 or wide.dtype not in _WIDE:
        return False
    source = node.inputs[0]
    assert source is not None
    assert isinstance(node.graph, ir.Graph)
    node.outputs[0].replace_all_uses_with(store.codes(node.graph, wide.astype(target.numpy()), source))
    store.remove(node)
    return True


def _standardise(model: ir.Model) -> tuple[bool, list[str]]:
    """Makes AMD Quark's quantisers standard, in place: whether there were any, and what stands against it."""
    found, refusals = False, []
    for opset_imports, nodes in _owners(model):
        for node in nodes:
            if node.domain not in _MAKERS or node.op_identifier() in model.functions:
                continue
            found = True
            try:
                standardise(node, opset_imports)
            except UnsupportedError as error:
                refusals.append(f"node '{node.name or node.outputs[0].name}' ({node.op_type}): {error}")
    return found, refusals


def _owners(model: ir.Model) -> Iterator[tuple[dict[str, int], list[ir.Node]]]:
    """Opset imports, and the nodes that they hold for: of the graph, then of each function."""
    yield model.opset_imports, list(model.graph.all_nodes())
    for function in model.functions.values():
        yield function.opset_imports, list(function.all_nodes())


def _attempt(store: CodeStore, node: ir.Node, opset: int, dependent: set[int], inside: bool) -> list[str]:
    """Folds a QONNX node in place; what stands against it, so that all obstacles can be told together."""
    try:
        if inside:
            raise UnsupportedError("it stands in a function: inline the functions first (onnx.inliner)")
        _fold_qonnx(store, node, opset, dependent)
    except UnsupportedError as error:
        return [f"node '{node.name or node.outputs[0].name}' ({node.op_type}): {error}"]
    return []


def _fold_qonnx(store: CodeStore, node: ir.Node, opset: int, dependent: set[int]) -> None:
    if not is_quant(node):
        raise UnsupportedError(_REFUSED.get(node.op_type, "it is no Quant: export the model with Quant nodes only"))
    source = operand(node, 0)
    if source is None:
        raise UnsupportedError("it has no input: export the model again")
    values = known(source)
    if values is not None:
        store_weight(store, node, values, opset)
        return
    root = origin(source)
    if root.is_graph_input() and root.is_initializer():
        raise UnsupportedError(
            f"its weight '{root.name}' is an input of the model too, so that callers may replace it: take it off the "
            "inputs (onnx_ir.passes.common.RemoveInitializersFromInputsPass)"
        )
    if source.graph is not None and source.producer() is not None and id(source) not in dependent:
        raise UnsupportedError(f"its weight '{source.name}' is computed by the graph: store it (qonnx-cleanup)")
    quantise_activation(store, node, opset)


def _dependent_on_inputs(graph: ir.Graph) -> set[int]:
    """Values of a graph and its bodies that are not computed of constants alone, by id."""
    found = {id(value) for value in graph.inputs if not value.is_initializer()}
    for node in graph.all_nodes():
        # What a body computes may depend on anything that it sees.
        inner = node.graph is not graph or any(True for _ in bodies(node))
        if inner or any(id(value) in found for value in node.inputs) or node.op_type.startswith("Random"):
            found.update(id(output) for output in node.outputs)
    return found


def _least_bits(low: int, high: int, dtype: np.dtype[Any]) -> int | None:
    """Bits that codes from low to high need; None where that is all of the type."""
    signed = np.issubdtype(dtype, np.signedinteger)
    for bits in range(2, 8):
        least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        if least <= low <= high <= most:
            return bits
    return None
