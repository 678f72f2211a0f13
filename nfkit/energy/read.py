"""Reads the layers of a graph: every operator that multiplies inputs with weights, whatever its quantised form.

* Convolutions are counted at their true output positions, a product with padding like any other.
* A transposed convolution is a matrix product of each input position with the whole kernel, whose results are then
  added up where they overlap: the way ONNX Runtime computes it, with no multiplication by inserted zeros.
* A recurrent layer multiplies all steps with its input weights at once, and one step after another with its recurrent
  weights, which it reads again each time.
* Functions, branches and loops are read as the flat graph that `nfkit.energy.unrolled` makes of them.

What cannot be counted is named, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Literal

import onnx_ir as ir

from nfkit.energy import paper
from nfkit.energy.layers import Layer, Part, Uncounted
from nfkit.energy.shapes import batch_of, infer_shapes
from nfkit.energy.unrolled import Runs, unroll
from nfkit.energy.unruled import why_uncounted
from nfkit.graph.memory.operands import Memories, Memory
from nfkit.graph.memory.sites import ADDED_ROLES, ROLE_KEY
from nfkit.graph.memory.storage import own_name
from nfkit.graph.memory.survey import Survey
from nfkit.graph.operators.facts import Counted, Kind
from nfkit.graph.operators.operands import facts_of, is_transposed, key_of

Preset = Literal["true", "paper"]


class _CannotCountError(Exception):
    """Why a node is not counted; never leaves this module."""


def read_layers(
    model: ir.Model,
    *,
    preset: Preset = "true",
    weight_bits: int | None = None,
    part: Part = "base",
    survey: Survey | None = None,
) -> tuple[list[Layer], list[Uncounted]]:
    """Lists the layers of a graph, in its order. Nodes that no output depends on are none.

    Args:
        model: The model; not changed.
        preset: `true` for the shapes as they are, `paper` for the conventions of `nfkit.energy.paper`.
        weight_bits: Bits that every weight is held in; by default those that the file stores.
        part: What the nodes belong to that nfkit has not marked as a generator's.
        survey: What the model stores, where that is known already.

    Returns:
        The layers, and the nodes that cost something but could not be counted.
    """
    unrolled = unroll(model)
    if survey is None or unrolled.model is not model:
        survey = Survey(unrolled.model)
    model = unrolled.model
    paths = survey.flow.paths
    reader = _Reader(model, survey, preset, weight_bits, part)
    layers: list[Layer] = []
    uncounted: list[Uncounted] = []
    for node in model.graph:
        if not paths.is_live(node) or paths.is_constant(node.outputs[0]):
            continue  # computed never, or from weights alone: once, before any inference
        try:
            layers += [_run(layer, unrolled.of(node)) for layer in reader.read(node)]
        except _CannotCountError as error:
            uncounted.append(Uncounted(_label(node), node.op_type, str(error), reader.part_of(node)))
        except (IndexError, ValueError, ZeroDivisionError):  # by operands of other ranks than the operator's
            reason = "its operands have shapes that the operator does not take"
            uncounted.append(Uncounted(_label(node), node.op_type, reason, reader.part_of(node)))
    return layers, uncounted


def _run(layer: Layer, runs: Runs) -> Layer:
    operations = None if layer.operations is None else layer.operations * runs.trips
    return replace(layer, repeats=layer.repeats * runs.trips, operations=operations, branches=runs.branches)


class _Reader:
    def __init__(self, model: ir.Model, survey: Survey, preset: Preset, weight_bits: int | None, part: Part) -> None:
        self._shapes = infer_shapes(model)
        self._memories = Memories(survey)
        self._batch = batch_of(model)
        self._functions = {(domain, name) for domain, name, _ in model.functions}
        self._preset = preset
        self._weight_bits = weight_bits
        self._part = part
        ours = [n for n in model.graph if _is_convolution(n) and self.part_of(n) == "generator"]
        self._last_of_generator = ours[-1] if ours else None

    def part_of(self, node: ir.Node) -> Part:
        return "generator" if node.metadata_props.get(ROLE_KEY) in ADDED_ROLES else self._part

    def read(self, node: ir.Node) -> list[Layer]:
        counted = facts_of(node).counted
        if counted is not None:
            if counted.kind == "recurrence":
                return self._recurrence(node)
            return [self._rule(counted.kind)(node, counted)]
        if self._preset == "paper" and not key_of(node)[0] and paper.is_counted(node.op_type):
            return [self._elementwise(node)]
        if reason := why_uncounted(node, self._memories, self._shapes, self._functions):
            raise _CannotCountError(reason)
        return []

    def _rule(self, kind: Kind) -> Callable[[ir.Node, Counted], Layer]:
        return {
            "convolution": self._convolution,
            "transposed": self._transposed,
            "product": self._product,
            "packed": self._packed_product,
        }[kind]

    def _convolution(self, node: ir.Node, facts: Counted) -> Layer:
        at_x, at_w, at_bias = facts.image, facts.weight, facts.bias
        weight, output = self._shape(node, at_w), self._output(node)
        groups = _integer(node, "group", 1)
        samples = self._samples(output[0])
        positions, depth = prod(output[2:]), prod(weight[1:])  # weights [Cout, Cin / group, *kernel]
        operations = None
        if self._preset == "paper":
            operations = samples * positions * depth * weight[0]
            operations += self._with_bias(node, at_bias, prod(output[1:])) + _activation(node) * prod(output[1:])
            positions = self._paper_positions(node, self._shape(node, at_x)[2:], weight[2:], output[2:])
        return self._layer(
            node, at_w, positions=samples * positions, depth=depth, outputs=weight[0] // groups, groups=groups,
            operations=operations,
        )  # fmt: skip

    def _paper_positions(
        self, node: ir.Node, extents: tuple[int, ...], kernel: tuple[int, ...], output: tuple[int, ...]
    ) -> int:
        axes = len(kernel)
        strides = _integers(node, "strides", [1] * axes)
        dilations = _integers(node, "dilations", [1] * axes)
        pads = _integers(node, "pads", [0] * 2 * axes)
        both = [pads[i] + pads[axes + i] for i in range(axes)]
        if "auto_pad" in node.attributes and node.attributes["auto_pad"].as_string().startswith("SAME"):
            spans = [dilations[i] * (kernel[i] - 1) + 1 for i in range(axes)]
            both = [max(0, (output[i] - 1) * strides[i] + spans[i] - extents[i]) for i in range(axes)]
        if node is self._last_of_generator and set(kernel) == {1}:
            both = [pad + 2 for pad in both]
        return paper.conv_positions(extents, kernel, strides, dilations, both)

    def _transposed(self, node: ir.Node, facts: Counted) -> Layer:
        image, weight = self._shape(node, 0), self._shape(node, 1)  # weights [Cin, Cout / group, *kernel]
        groups = _integer(node, "group", 1)
        samples = self._samples(image[0])
        if self._preset == "paper":
            output = self._output(node)
            operations = samples * prod(output[2:]) * prod(weight) + self._with_bias(node, 2, prod(output[1:]))
            return self._layer(
                node, 1, positions=samples * paper.transposed_positions(output[2:], weight[2:]),
                depth=weight[0] // groups * prod(weight[2:]), outputs=weight[1], groups=groups, operations=operations,
            )  # fmt: skip
        return self._layer(
            node, 1, positions=samples * prod(image[2:]), depth=weight[0] // groups, outputs=prod(weight[1:]),
            groups=groups,
        )  # fmt: skip

    def _product(self, node: ir.Node, facts: Counted) -> Layer:
        at_left, at_right, at_bias = facts.image, facts.weight, facts.bias
        left, right = self._shape(node, at_left), self._shape(node, at_right)
        left = (1, *left) if len(left) == 1 else left
        right = (*right, 1) if len(right) == 1 else right
        if _integer(node, "transA", 0):
            left = (*left[:-2], left[-1], left[-2])
        if is_transposed(node):
            right = (*right[:-2], right[-1], right[-2])
        stack = _broadcast(left[:-2], right[:-2])
        rows, depth, columns = left[-2], left[-1], right[-1]
        on_left = self._memories.at(node, at_left) is not None
        # Whichever operand is the weight: its outputs meet the positions of the other.
        at_w, outputs, positions = (at_left, rows, columns) if on_left else (at_right, columns, rows)
        groups = prod((left if on_left else right)[:-2]) if self._memories.at(node, at_w) is not None else 1
        positions = self._samples(positions * prod(stack) // groups)
        operations = None
        if self._preset == "paper":
            bias = self._with_bias(node, at_bias, positions * outputs * groups)
            operations = positions * depth * outputs * groups + bias
        return self._layer(
            node, at_w, positions=positions, depth=depth, outputs=outputs, groups=groups, operations=operations
        )

    def _packed_product(self, node: ir.Node, facts: Counted) -> Layer:
        image, depth = self._shape(node, facts.image), _integer(node, "K", 0)
        return self._layer(
            node, 1, positions=self._samples(prod(image) // depth), depth=depth, outputs=_integer(node, "N", 0),
            bits=_integer(node, "bits", 4),
        )  # fmt: skip

    def _recurrence(self, node: ir.Node) -> list[Layer]:
        image, entering, recurrent = (self._shape(node, i) for i in (0, 1, 2))
        steps, samples = image[:2] if not _integer(node, "layout", 0) else (image[1], image[0])
        samples, inputs = self._samples(samples), image[2]
        directions = entering[0]
        gates = prod(entering[1:]) // inputs  # [D, gates, inputs], or [D, inputs, gates] where ONNX Runtime packs them
        state = prod(recurrent[1:]) // gates
        return [
            self._layer(node, 1, positions=steps * samples, depth=inputs, outputs=gates, groups=directions),
            self._layer(node, 2, positions=samples, depth=state, outputs=gates, groups=directions, repeats=steps),
        ]

    def _elementwise(self, node: ir.Node) -> Layer:
        inputs, outputs = (prod(shape[1:]) for shape in (self._shape(node, 0), self._output(node)))
        operations = paper.elementwise_operations(node.op_type, inputs, outputs)
        return Layer(_label(node), node.op_type, outputs, 0, 1, part=self.part_of(node), bits=0, operations=operations)

    def _layer(
        self, node: ir.Node, at_w: int, *, positions: int, depth: int, outputs: int, groups: int = 1, repeats: int = 1,
        operations: int | None = None, bits: int | None = None,
    ) -> Layer:  # fmt: skip
        memory = self._memories.at(node, at_w)
        return Layer(
            _label(node), node.op_type, positions, depth, outputs, groups, repeats,
            storage=memory.name if memory else None, bits=self._bits(memory, bits), part=self.part_of(node),
            operations=operations, held=memory.count if memory else 0, is_float=bool(memory and memory.is_float),
        )  # fmt: skip

    def _bits(self, memory: Memory | None, stated: int | None) -> int:
        if memory is None:
            return 0
        return self._weight_bits or (paper.WEIGHT_BITS if self._preset == "paper" else stated or memory.bits)

    def _with_bias(self, node: ir.Node, at: int | None, outputs: int) -> int:
        value = node.inputs[at] if at is not None and len(node.inputs) > at else None
        if value is None:
            return 0
        # Unoptimised exports spell a convolution without bias as one with zeros spread out.
        spread = (producer := value.producer()) is not None and producer.op_type == "Expand"
        return 0 if spread else outputs

    def _samples(self, extent: int) -> int:
        """A count over the whole batch, for one sample."""
        return extent // self._batch if extent % self._batch == 0 else extent

    def _shape(self, node: ir.Node, index: int) -> tuple[int, ...]:
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is None or value.name not in self._shapes:
            name = value.name if value is not None else f"number {index}"
            raise _CannotCountError(
                f"the shape of its operand '{name}' is unknown; fix the model's free axes, for instance with "
                "python -m onnxruntime.tools.make_dynamic_shape_fixed"
            )
        return self._shapes[value.name]

    def _output(self, node: ir.Node) -> tuple[int, ...]:
        name = str(node.outputs[0].name)
        if name not in self._shapes:
            raise _CannotCountError(
                f"the shape of its output '{name}' is unknown; fix the model's free axes, for instance with "
                "python -m onnxruntime.tools.make_dynamic_shape_fixed"
            )
        return self._shapes[name]


def _is_convolution(node: ir.Node) -> bool:
    counted = facts_of(node).counted
    return counted is not None and counted.kind in ("convolution", "transposed")


def _label(node: ir.Node) -> str:
    graph = node.graph
    return node.name or (own_name(node.outputs[0], graph) if isinstance(graph, ir.Graph) else str(node.outputs[0].name))


def _activation(node: ir.Node) -> int:
    """1 where ONNX Runtime has fused a ReLU into a convolution."""
    attribute = node.attributes.get("activation")
    return int(attribute is not None and attribute.as_string() == "Relu")


def _integer(node: ir.Node, name: str, default: int) -> int:
    return node.attributes[name].as_int() if name in node.attributes else default


def _integers(node: ir.Node, name: str, default: list[int]) -> list[int]:
    return list(node.attributes[name].as_ints()) if name in node.attributes else default


def _broadcast(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    longer = max(len(left), len(right))
    padded = ((1,) * (longer - len(side)) + side for side in (left, right))
    return tuple(max(a, b) for a, b in zip(*padded, strict=True))
