"""Which values of a graph are stored weights, and in how many bits.

A value is stored if no input of the model has a part in it. Its memory is the initializer (or constant) at the end of
the chain of dequantisation, moves and faults that leads to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnx_ir as ir

_RANDOM = {"RandomNormal", "RandomUniform"}


@dataclass(frozen=True)
class Storage:
    """The memory of a weight: the name of its initializer, the bits of a code, and whether those are floats."""

    name: str
    bits: int
    is_float: bool


def find_storage(model: ir.Model) -> dict[ir.Value, Storage]:
    """The memory behind every value that the model's inputs have no part in."""
    found: dict[ir.Value, Storage] = {}
    for value in model.graph.initializers.values():
        found[value] = _memory(value)
    for node in model.graph:
        # The masks of injected faults may be inputs; what they hit stays a weight.
        sources = [v for v in (node.inputs[:1] if node.domain == "nfkit" else node.inputs) if v is not None]
        if node.op_type in _RANDOM or any(_is_graph(a) for a in node.attributes.values()):
            continue
        if not all(source in found for source in sources):
            continue
        for output in node.outputs:
            if not sources or node.op_type == "ConstantOfShape":
                found[output] = _memory(output, node.attributes.get("value"))
            elif node.op_type == "QuantizeLinear":
                zero_point = sources[2].dtype if len(sources) > 2 else None
                bits = _bits(zero_point or output.dtype or ir.DataType.UINT8)
                found[output] = replace(found[sources[0]], bits=bits, is_float=False)
            else:
                found[output] = found[sources[0]]
    return found


def _memory(value: ir.Value, content: ir.Attr | None = None) -> Storage:
    dtype = value.dtype
    if dtype is None and content is not None and content.type == ir.AttributeType.TENSOR:
        dtype = content.as_tensor().dtype
    dtype = dtype or ir.DataType.FLOAT
    return Storage(str(value.name), _bits(dtype), dtype.is_floating_point())


def _bits(dtype: ir.DataType) -> int:
    return dtype.bitwidth if dtype != ir.DataType.STRING else 8


def _is_graph(attribute: ir.Attr) -> bool:
    return attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
