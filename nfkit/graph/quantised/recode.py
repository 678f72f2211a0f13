"""Gives the weights of a quantised model other codes, and keeps the rest of the graph in step.

New codes on a coarser grid need a scale that has grown by the same factor. Two more things hang on that scale:

1. The int32 bias of the same layer. Integer kernels add it to the accumulator as it is, in steps of input scale times
   weight scale, whatever its own DequantizeLinear says. So it is rounded to the new step as well.
2. Other weights, where several share one scale or zero point. They keep the old one; this weight gets its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import UnsupportedError
from nfkit.graph.operators.operands import DEQUANTIZE, facts_of, is_transposed, key_of, operand, passed_on


@dataclass(frozen=True)
class _Operand:
    """An input of a node."""

    node: ir.Node
    index: int

    @property
    def value(self) -> ir.Value | None:
        """What is there, if anything."""
        return self.node.inputs[self.index] if self.index < len(self.node.inputs) else None


@dataclass(frozen=True)
class _Bias:
    """A bias in steps of the weight's scale: its codes, and their own scale where the graph holds one."""

    codes: _Operand
    scale: _Operand | None
    layer: ir.Node


@dataclass(frozen=True)
class _Use:
    """A node that knows how to read an initializer's codes."""

    scale: _Operand
    zero_point: _Operand
    biases: tuple[_Bias, ...]


def recode(
    model: ir.Model,
    name: str,
    codes: npt.NDArray[np.int64],
    growth: npt.NDArray[np.float64],
    zero_point: int = 0,
) -> None:
    """Replaces the codes of a weight, in place.

    Args:
        model: The model to change.
        name: Initializer of the weight.
        codes: The new codes, of the same shape; stored in the type that the weight has.
        growth: By how much one step has grown: one number, or one for each of the weight's scales.
        zero_point: The code that now stands for 0.

    Raises:
        UnsupportedError: When the graph does not say what the codes mean, or a bias cannot follow; the model is
            unchanged then.
    """
    value = model.graph.initializers.get(name)
    if value is None:
        raise UnsupportedError(
            f"weight '{name}' is no initializer of the main graph, and only those can be given other codes: inline "
            "functions and branches first (onnx.inliner)"
        )
    uses = list(_uses(value, moved=False))
    layers = {bias.layer for use in uses for bias in use.biases}
    # One reader of a bias may serve several layers that share the weight: it is changed once.
    biases = list({bias.codes: bias for use in uses for bias in use.biases}.values())
    for bias in biases:
        _check_bias(bias, growth, layers)
    for use in uses:
        _check_scale(name, use, growth, zero_point)

    scales = [use.scale for use in uses] + [bias.scale for bias in biases if bias.scale is not None]
    _assign(model.graph, scales, lambda stored: _grown(stored, growth), name)
    zero_points = [use.zero_point for use in uses if use.zero_point.value is not None]
    _assign(model.graph, zero_points, lambda stored: np.full_like(stored, zero_point), name)
    _assign(model.graph, [bias.codes for bias in biases], lambda stored: _coarser(stored, growth), name)
    _store(value, codes.astype(_array(value).dtype))


def _uses(value: ir.Value, *, moved: bool) -> Iterator[_Use]:
    for node, index in value.uses():
        raw = facts_of(node).codes.get(index)
        if key_of(node) in DEQUANTIZE and index == 0:
            block = node.attributes.get("block_size")
            if block is not None and block.as_int():
                raise UnsupportedError(f"initializer '{value.name}' is quantised in blocks of {block.as_int()} codes")
            use = _Use(_Operand(node, 1), _Operand(node, 2), tuple(_float_biases(node.outputs[0])))
        elif raw is not None and raw.role == "weight" and raw.scale is not None and raw.zero_point is not None:
            bias = _Bias(_Operand(node, raw.bias), None, node) if raw.bias is not None else None
            found = (bias,) if bias is not None and bias.codes.value is not None else ()
            use = _Use(_Operand(node, raw.scale), _Operand(node, raw.zero_point), found)
            _refuse_columns(node, use)
        elif _moves(node, index):
            for output in node.outputs:
                yield from _uses(output, moved=True)
            continue
        else:
            raise UnsupportedError(
                f"initializer '{value.name}' is read by {node.op_type} (node '{node.name}'), and the graph does "
                "not say where that keeps its scale: bring the model as QDQ"
            )
        if moved and use.scale.value is not None and _array(use.scale.value).size > 1:
            raise UnsupportedError(
                f"'{value.name}' is moved before it is dequantised with one scale a channel (node '{node.name}'): "
                "move it after DequantizeLinear instead"
            )
        yield use


def _refuse_columns(node: ir.Node, use: _Use) -> None:
    """Matrix products of raw codes have one scale a column, which the sites' axis does not tell."""
    by_row = node.op_type == "QLinearConv" or is_transposed(node)
    if not by_row and use.scale.value is not None and _array(use.scale.value).size > 1:
        raise UnsupportedError(
            f"{node.op_type} (node '{node.name}') has one weight scale a column: bring the model as QDQ, or per tensor"
        )


def _float_biases(weight: ir.Value) -> Iterator[_Bias]:
    """Biases that are stored as int32 codes beside a dequantised weight."""
    for node, index in weight.uses():
        at = next((i for i, role in facts_of(node).values.items() if role == "bias"), None)
        if _moves(node, index):
            for output in node.outputs:
                yield from _float_biases(output)
        elif at is not None and (bias := operand(node, at)) is not None:
            reader = bias.producer()
            if reader is not None and key_of(reader) in DEQUANTIZE:
                stored = reader.inputs[0]
                if stored is not None and stored.dtype == ir.DataType.INT32 and stored.const_value is not None:
                    yield _Bias(_Operand(reader, 0), _Operand(reader, 1), node)


def _moves(node: ir.Node, index: int) -> bool:
    """Whether a node only moves the values of its operand: no filler among them, and none of another tensor."""
    return facts_of(node).passes == "moves" and index in passed_on(node)


def _check_bias(bias: _Bias, growth: npt.NDArray[np.float64], layers: set[ir.Node]) -> None:
    codes = bias.codes.value
    assert codes is not None
    if codes.const_value is None:
        raise UnsupportedError(f"bias '{codes.name}' is computed by the graph: store it as a constant")
    size, steps = _array(codes).size, growth.size if bias.scale is None else _array(bias.scale.value).size
    if growth.size > 1 and (size != growth.size or steps != growth.size):
        raise UnsupportedError(
            f"bias '{codes.name}' has {size} codes and {steps} scales, its weight {growth.size} scales: "
            "quantise both per tensor or both per channel"
        )
    if bias.scale is not None and any(node not in layers for node, _ in bias.codes.node.outputs[0].uses()):
        raise UnsupportedError(f"bias '{codes.name}' serves layers with different weights: duplicate it for each")


def _check_scale(name: str, use: _Use, growth: npt.NDArray[np.float64], zero_point: int) -> None:
    if use.scale.value is None or use.scale.value.const_value is None:
        raise UnsupportedError(f"the scale of initializer '{name}' is computed by the graph: store it as a constant")
    if growth.size not in (1, _array(use.scale.value).size):
        raise UnsupportedError(f"initializer '{name}' is read with scales of different axes: duplicate it for each")
    if use.zero_point.value is None and zero_point:
        raise UnsupportedError(f"initializer '{name}' stores unsigned codes without a zero point: give it one")
    if use.zero_point.value is not None and use.zero_point.value.const_value is None:
        raise UnsupportedError(f"the zero point of initializer '{name}' is computed by the graph: store it")


def _grown(scales: npt.NDArray[Any], growth: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    factor = growth.reshape(scales.shape) if growth.size == scales.size else growth.reshape(())
    grown: npt.NDArray[Any] = (scales.astype(np.float64) * factor).astype(scales.dtype)
    return grown


def _coarser(biases: npt.NDArray[Any], growth: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    rounded: npt.NDArray[Any] = np.rint(biases / growth.reshape(-1 if growth.size > 1 else ())).astype(biases.dtype)
    return rounded


def _assign(
    graph: ir.Graph,
    operands: Iterable[_Operand],
    change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
    owner: str,
) -> None:
    """Changes constant operands, for their nodes alone: those that share a constant share the changed one."""
    sharing: dict[ir.Value, set[_Operand]] = {}
    for one in operands:
        assert one.value is not None
        sharing.setdefault(one.value, set()).add(one)
    for old, mine in sharing.items():
        array = change(_array(old))
        if np.array_equal(array, _array(old)):
            continue
        if len(mine) == len(old.uses()):
            _store(old, array)
            continue
        name = f"{old.name}.of.{owner}"
        while name in graph.initializers:
            name += "_"
        value = ir.Value(name=name, shape=old.shape, type=old.type, const_value=ir.tensor(array, old.dtype, name=name))
        graph.register_initializer(value)
        for one in mine:
            one.node.replace_input_with(one.index, value)


def _store(value: ir.Value, array: npt.NDArray[Any]) -> None:
    held = value.const_value  # the type of the value may be stated otherwise
    dtype = value.dtype if held is None else held.dtype
    value.const_value = ir.tensor(np.array(array, order="C"), dtype, name=value.name)


def _array(value: ir.Value | None) -> npt.NDArray[Any]:
    assert value is not None
    assert value.const_value is not None
    return np.asarray(value.const_value.numpy())
