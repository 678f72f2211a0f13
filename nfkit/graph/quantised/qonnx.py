"""QONNX's Quant nodes as stored integers and standard operators.

Of a constant the codes are stored, with their bits recorded, behind DequantizeLinear; where that cannot say what the
node does (scales along two axes, a zero point that is no code, codes of more than 8 bits, an old opset), behind Cast,
Sub and Mul. Of an activation the node becomes QuantizeLinear, Clip where the codes do not fill their type, and
DequantizeLinear, if these compute the same to the last bit; else it is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import UnsupportedError
from nfkit.graph.quantised.code_store import CodeStore
from nfkit.graph.quantised.quantiser import read

_TO_NEAREST = ("ROUND", "HALF_EVEN")
_BYTE = 8
_PER_TENSOR, _CLIP_INPUTS, _INTEGER_CLIP, _PER_AXIS = 10, 11, 12, 13  # opsets from which on these exist


def store_weight(store: CodeStore, node: ir.Node, values: npt.NDArray[Any], opset: int) -> None:
    """Puts stored codes in the place of a Quant node on a constant, in place.

    Raises:
        UnsupportedError: When the codes are no stored integers of 2 to 32 bits.
    """
    quantiser, source, graph = read(node), node.inputs[0], node.graph
    assert source is not None
    assert isinstance(graph, ir.Graph)
    if values.dtype != np.float32:
        raise UnsupportedError(f"it quantises {values.dtype} values: QONNX is defined for float32")
    if quantiser.bits == 1:
        raise UnsupportedError(
            "its codes have 1 bit, and memories are counted from 2 bits on: narrow signed codes of 2 bits hold -1 and 1"
        )
    if quantiser.bits > _BYTE and not quantiser.signed:
        raise UnsupportedError(f"its unsigned codes have {quantiser.bits} bits: give 2 to 8, or signed ones up to 32")
    codes = quantiser.codes(values)
    if not np.isfinite(codes).all() or codes.max(initial=0) > 2**31 - 1:
        raise UnsupportedError(f"values of '{source.name}' are no numbers, or beyond int32: export the model again")
    wide = quantiser.bits > _BYTE
    dtype = np.int32 if wide else (np.int8 if quantiser.signed else np.uint8)
    width = np.dtype(dtype).itemsize * 8
    stored = store.codes(graph, codes.astype(dtype), source, quantiser.bits if quantiser.bits < width else None)
    label = str(node.name or node.outputs[0].name)
    axes = quantiser.axes
    if (
        not wide
        and len(axes) <= 1
        and quantiser.has_whole_zero_points
        and opset >= (_PER_AXIS if axes else _PER_TENSOR)
    ):
        scale, zero = quantiser.flat()
        operands = [
            stored,
            store.constant(graph, f"{source.name}_scale", scale),
            store.constant(graph, f"{source.name}_zero_point", zero.astype(dtype)),
        ]
        result = _add(node, "DequantizeLinear", operands, label, **_axis(axes, values.ndim))
    else:
        result = _add(node, "Cast", [stored], f"{label}.cast", to=int(ir.DataType.FLOAT))
        if quantiser.zero_point.any():
            zero_point = store.constant(graph, f"{source.name}_zero_point", quantiser.zero_point)
            result = _add(node, "Sub", [result, zero_point], f"{label}.centre")
        scale_value = store.constant(graph, f"{source.name}_scale", quantiser.scale)
        result = _add(node, "Mul", [result, scale_value], label)
    _replace(store, node, result)


def quantise_activation(store: CodeStore, node: ir.Node, opset: int) -> None:
    """Puts QuantizeLinear, Clip and DequantizeLinear in the place of a Quant node on an activation, in place.

    Raises:
        UnsupportedError: When they would not compute the same to the last bit.
    """
    quantiser, x, graph = read(node), node.inputs[0], node.graph
    assert isinstance(graph, ir.Graph)
    label = str(node.name or node.outputs[0].name)
    axes = quantiser.axes
    obstacles = {
        f"rounds activations by {quantiser.rounding}, QuantizeLinear to nearest: export with rounding_mode ROUND": (
            quantiser.rounding not in _TO_NEAREST
        ),
        "has a zero point, which QuantizeLinear adds after rounding: export symmetric activations, or unsigned ones "
        "behind a ReLU": bool(quantiser.zero_point.any()),
        f"has activations of {quantiser.bits} bits: 8 or fewer fit QuantizeLinear": quantiser.bits > _BYTE,
        "has activations of one signed bit (-1 and 1): use 2 bits": quantiser.bits == 1 and quantiser.signed,
        "has a negative scale: export it positive": bool((quantiser.scale < 0).any()),
        "has scales along more than one axis: export one scale a tensor or a channel": len(axes) > 1,
        "has one scale a channel of a value of unknown rank: run onnx.shape_inference first": (
            len(axes) == 1 and (x is None or x.shape is None)
        ),
        f"needs opset {_PER_AXIS if axes else _PER_TENSOR}, the model has {opset}: export it at that opset": (
            opset < (_PER_AXIS if axes else _PER_TENSOR)
        ),
    }
    found = [reason for reason, holds in obstacles.items() if holds]
    if found:
        raise UnsupportedError(f"it {'; it '.join(found)}")
    assert x is not None
    dtype = np.int8 if quantiser.signed else np.uint8
    scale, zero = quantiser.flat()
    output = node.outputs[0].name
    parameters = [
        store.constant(graph, f"{output}_scale", scale),
        store.constant(graph, f"{output}_zero_point", zero.astype(dtype)),
    ]
    along = _axis(axes, len(x.shape) if axes and x.shape is not None else 0)
    limits = (np.iinfo(dtype).min, np.iinfo(dtype).max)
    clipped = (quantiser.low, quantiser.high) != limits
    codes = _add(node, "QuantizeLinear", [x, *parameters], f"{label}.quantize", **along)
    if clipped and opset >= _INTEGER_CLIP:
        ends = [
            store.constant(graph, f"{output}_{name}", np.array(end, dtype))
            for name, end in (("low", quantiser.low), ("high", quantiser.high))
        ]
        codes = _add(node, "Clip", [codes, *ends], f"{label}.clip")
    result = _add(node, "DequantizeLinear", [codes, *parameters], label, **along)
    if clipped and opset < _INTEGER_CLIP:  # before, Clip takes floats only; their products are the same
        bounds = [np.float32(end) * scale for end in (quantiser.low, quantiser.high)]
        if scale.ndim:
            raise UnsupportedError(f"it needs opset {_PER_AXIS}, the model has {opset}: export it at that opset")
        if opset >= _CLIP_INPUTS:
            values = [store.constant(graph, f"{output}_bound", np.array(b, np.float32)) for b in bounds]
            result = _add(node, "Clip", [result, *values], f"{label}.clip")
        else:
            result = _add(node, "Clip", [result], f"{label}.clip", min=float(bounds[0]), max=float(bounds[1]))
    _replace(store, node, result)


def _axis(axes: list[int], rank: int) -> dict[str, int]:
    return {"axis": axes[0] + rank} if axes else {}


def _add(node: ir.Node, op: str, inputs: list[ir.Value], name: str, **attributes: Any) -> ir.Value:
    """Puts a node in front of another; its output's name is made up by the writer unless it is given later."""
    added = ir.node(op, inputs, attributes, name=name)
    added.outputs[0].name = f"{node.outputs[0].name}.{op}"
    assert node.graph is not None
    node.graph.insert_before(node, added)
    return added.outputs[0]


def _replace(store: CodeStore, node: ir.Node, result: ir.Value) -> None:
    """Lets a value take a node's place, under the name of its output."""
    old = node.outputs[0]
    name, result.type, result.shape = old.name, old.type, old.shape
    old.replace_all_uses_with(result, replace_graph_outputs=True)
    old.name = f"{name}.folded"
    store.remove(node)
    result.name = name
