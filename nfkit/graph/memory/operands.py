"""The memory behind each weight operand: from which stored tensors a layer reads its weights, and in how many bits."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from nfkit.graph.memory.paths import Paths
from nfkit.graph.memory.ranks import CODES
from nfkit.graph.memory.survey import Survey
from nfkit.graph.operators.operands import code_type, facts_of, operand, packed_in, passed_on


@dataclass(frozen=True)
class Memory:
    """What a layer's weights are stored in.

    Attributes:
        name: Name of the stored tensor, the largest where there are several; of the computed value, where none is
            stored.
        bits: Bits of one weight.
        is_float: Whether those are floats.
        count: Weights that all the stored tensors hold together; 0 where none is stored.
    """

    name: str
    bits: int
    is_float: bool
    count: int


class Memories:
    """The memories of a model's layers.

    Args:
        survey: What the model stores, and what reads it.
    """

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._paths: Paths = survey.flow.paths
        self._found: dict[tuple[int, int], list[Memory]] = {}
        for name, entry in survey.stored.items():
            for reading in survey.readings(name):
                for end in reading.ends:
                    if end.role == "weight":
                        memory = Memory(
                            name,
                            reading.quantised or survey.bits(name),
                            entry.dtype not in CODES and not reading.quantised,
                            entry.tensor.size * packed_in(end.node, end.index),
                        )
                        self._found.setdefault((id(end.node), end.index), []).append(memory)

    def at(self, node: ir.Node, index: int) -> Memory | None:
        """The memory that an operand is read from; None where the model's inputs have a part in its values."""
        found = {memory.name: memory for memory in self._found.get((id(node), index), ())}
        if not found:
            value = operand(node, index)
            return _computed(value) if value is not None and self._paths.is_constant(value) else None
        weights = [memory for memory in found.values() if not self._survey.is_filler(memory.name)]
        stored = weights or list(found.values())
        largest = max(stored, key=lambda memory: memory.count)
        return Memory(
            largest.name,
            max(memory.bits for memory in stored),
            any(memory.is_float for memory in stored),
            sum(memory.count for memory in stored),
        )


def _computed(value: ir.Value) -> Memory:
    """Weights that no tensor holds, such as those of ConstantOfShape: what their type, or their quantiser, says."""
    name, dtype = str(value.name), value.dtype
    while (node := value.producer()) is not None:
        facts = facts_of(node)
        if facts.quantiser == "quantises":
            return Memory(name, code_type(node).bitwidth, False, 0)
        if facts.quantiser is None and not passed_on(node):
            content = node.attributes.get("value")
            if content is not None and content.type == ir.AttributeType.TENSOR and dtype is None:
                dtype = content.as_tensor().dtype
            break
        before = operand(node, (passed_on(node) or (0,))[0])
        if before is None:
            break
        value, dtype = before, before.dtype if facts.quantiser else dtype or before.dtype
    dtype = dtype or ir.DataType.FLOAT
    return Memory(name, 8 if dtype == ir.DataType.STRING else dtype.bitwidth, dtype.is_floating_point(), 0)
