"""Convolutions of codes whose window lies wholly in the padding somewhere, and the padding spelt out before them.

OpenVINO 2026.4.1 computes the outputs at such places from memory that nothing was written to, where the code of zero is
not 0: they change from one time that a file is compiled to the next. In front of the codes, as a Pad of their own, the
same padding is computed rightly. A generator for images of 28 x 28 would hold one, since it fills them up to 32 x 32.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from nfkit.graph.fusion.build import Builder
from nfkit.graph.memory.storage import constant, every_node
from nfkit.graph.operators.operands import operand, standard_op

LOWEST_OPSET = 13
"""From which version of the standard operators on Pad takes codes."""
_OF_CODES = {"QLinearConv": 3, "ConvInteger": 1}
"""Which operand of an operator on codes holds the weights; the zero point of the codes is operand 2 in both."""
_ZERO_POINT = 2


def windows_in_padding(model: ir.Model) -> list[ir.Node]:
    """The convolutions of codes, in the main graph and its bodies, that compute outputs from padding alone.

    Args:
        model: The model.

    Returns:
        The nodes whose padding at an edge is at least as long as their window, and whose code of zero may not be 0.
    """
    return [node for node in every_node(model) if _covered(node) and _codes(node) is not None]


def spell_out_padding(model: ir.Model, prefix: str = "padding/") -> None:
    """Gives, in place, each such convolution a Pad of its codes, by the code of zero, in place of its padding.

    Args:
        model: At opset 13 or later.
        prefix: Start of the names of what is added.
    """
    for index, node in enumerate(windows_in_padding(model)):
        found = _codes(node)
        assert found is not None
        assert node.graph is not None
        reader, codes, zero_point = found
        builder = Builder(model.graph, model.opset_imports[""], f"{prefix}{index}/")
        begins, ends = np.split(np.array(_integers(node, "pads")), 2)
        widths = builder.constant("widths", np.concatenate([[0, 0], begins, [0, 0], ends]), np.int64)
        operands = [codes, widths]
        if zero_point is not None:
            known = constant(zero_point)  # Pad wants a scalar, which one that is computed is
            operands.append(zero_point if known is None else builder.constant("zero", known.reshape(()), known.dtype))
        padded = builder.node("Pad", *operands, output="codes")
        if zero_point is not None and zero_point.dtype is not None:
            padded.dtype = zero_point.dtype
        if reader is node:
            node.replace_input_with(0, padded)
        else:  # others may read the numbers without the padding
            numbers = builder.node("DequantizeLinear", padded, *[v for v in reader.inputs[1:] if v is not None])
            node.replace_input_with(0, numbers)
        node.graph.insert_before(node, builder.nodes)
        node.attributes["pads"] = ir.AttrInt64s("pads", [0] * (2 * len(begins)))


def _covered(node: ir.Node) -> bool:
    """Whether the padding at some edge is at least as long as the window."""
    op = standard_op(node)
    if op != "Conv" and op not in _OF_CODES:
        return False
    pads, kernel = _integers(node, "pads"), _kernel(node)
    if not pads or not kernel:
        return False
    steps = _integers(node, "dilations") or [1] * len(kernel)
    spans = [(extent - 1) * step + 1 for extent, step in zip(kernel, steps, strict=True)]
    return bool((np.array(pads).reshape(2, -1) >= spans).any())


def _kernel(node: ir.Node) -> list[int]:
    """Extents of the window; none where the file does not say."""
    if stated := _integers(node, "kernel_shape"):
        return stated
    weights = operand(node, _OF_CODES.get(standard_op(node), 1))
    made = None if weights is None else weights.producer()
    if made is not None and standard_op(made) == "DequantizeLinear":
        weights = operand(made, 0)
    if weights is None or weights.shape is None:
        return []
    return [extent for extent in weights.shape[2:] if isinstance(extent, int)]


def _integers(node: ir.Node, name: str) -> list[int]:
    attribute = node.attributes.get(name)
    return [] if attribute is None or attribute.is_ref() else list(attribute.as_ints())


def _codes(node: ir.Node) -> tuple[ir.Node, ir.Value, ir.Value | None] | None:
    """The node that reads a convolution's codes, the codes and their zero point; None where zero is their code 0."""
    reader: ir.Node | None = node
    if standard_op(node) == "Conv":
        source = operand(node, 0)
        reader = None if source is None else source.producer()
        if reader is None or standard_op(reader) != "DequantizeLinear":
            return None
    assert reader is not None
    codes, zero_point = operand(reader, 0), operand(reader, _ZERO_POINT)
    if codes is None:
        return None
    known = None if zero_point is None else constant(zero_point)
    # Signed codes are moved by 128 there before they are multiplied, so that their 0 is none.
    signed = ir.DataType.INT8 in (codes.dtype, None if zero_point is None else zero_point.dtype)
    is_zero = zero_point is None or (known is not None and not known.any())
    return None if is_zero and not signed else (reader, codes, zero_point)
