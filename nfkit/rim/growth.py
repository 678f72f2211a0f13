"""What operators that repeat or fill make of a few bytes: predicted, by adding up, before anything runs them.

Each of 30 Concats that joins a tensor to itself is a file of two kilobytes and a tensor of gigabytes, and runtimes
compute constants as soon as they load a model. Sizes are followed as lower bounds, through what keeps them; where an
operator says nothing of its size, nothing is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import onnx_ir as ir

from nfkit.errors import ModelError

MAX_GROWN = 2**24
"""Elements that constants may grow to, as many as a layer of 4,096 x 4,096 has; more where the file itself is large."""
MAX_FACTOR = 16
"""By how much constants may outgrow all that the file stores."""
MAX_ACTIVATION = 2**30
"""Elements that one sample may grow to."""

_LONGEST = 2 * 64  # pads of the highest rank
_KEEPS = {
    "Abs", "Cast", "Ceil", "Clip", "DequantizeLinear", "Dropout", "Elu", "Erf", "Exp", "Flatten", "Floor",
    "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "LogSoftmax", "Neg", "Not", "QuantizeLinear", "Reciprocal",
    "Relu", "Reshape", "Round", "Sigmoid", "Sign", "Softmax", "Softplus", "Sqrt", "Squeeze", "Tanh", "Transpose",
    "Unsqueeze",
}  # fmt: skip
_LARGEST = {
    "Add", "And", "Div", "Equal", "Greater", "Less", "Max", "Mean", "Min", "Mod", "Mul", "Or", "Pow", "Sub", "Sum",
    "Where", "Xor",
}  # fmt: skip


@dataclass(frozen=True)
class _Size:
    """At least how many elements a value has, and whether they are known before the model runs.

    Attributes:
        elements: How many.
        constant: Whether they are known.
        content: What they are, for short lists of whole numbers.
    """

    elements: int
    constant: bool
    content: tuple[int, ...] | None = None


Sizes = dict[ir.Value, _Size]


def check_growth(model: ir.Model, name: str) -> None:
    """Refuses a model that makes huge tensors of small ones.

    Args:
        model: The model, in order.
        name: How to call it in a message.

    Raises:
        ModelError: With the node.
    """
    stored = [value for graph in model.graphs() for value in graph.initializers.values()]
    sizes: Sizes = {value: _of(value.const_value) for value in stored}
    total = sum(size.elements for size in sizes.values())
    sizes |= {value: _Size(_extent(value), False) for value in model.graph.inputs if value not in sizes}
    _Growth(model, name, max(MAX_GROWN, MAX_FACTOR * total)).follow(model.graph, sizes)


class _Growth:
    def __init__(self, model: ir.Model, name: str, limit: int) -> None:
        self._functions, self._name, self._limit = model.functions, name, limit

    def follow(self, nodes: Iterable[ir.Node], sizes: Sizes) -> None:
        """Adds the sizes of what nodes compute."""
        for node in nodes:
            for attribute in node.attributes.values():
                if attribute.type == ir.AttributeType.GRAPH and not attribute.is_ref():
                    self.follow(attribute.as_graph(), sizes)
            function = self._functions.get(node.op_identifier())
            if function is not None:
                self._call(node, function, sizes)
                continue
            size = _result(node, sizes) if node.domain == "" else None
            if size is None:
                continue
            limit = self._limit if size.constant else MAX_ACTIVATION
            if size.elements > limit:
                what = "constants" if size.constant else "one sample"
                raise ModelError(
                    f"{self._name}: {node.op_type} makes '{node.outputs[0].name}' {size.elements:,} elements large, of "
                    f"{what}; the limit is {limit:,}: export it without, or store the tensor itself"
                )
            sizes.update((output, size) for output in node.outputs)

    def _call(self, node: ir.Node, function: ir.Function, sizes: Sizes) -> None:
        """A call is followed with what it is given; how many there are is limited by `nfkit.rim.calls`."""
        inner = {
            formal: sizes[given]
            for formal, given in zip(function.inputs, node.inputs, strict=False)
            if given is not None and given in sizes
        }
        self.follow(function, inner)
        for formal, output in zip(function.outputs, node.outputs, strict=False):
            if formal in inner:
                sizes[output] = inner[formal]


def _result(node: ir.Node, sizes: Sizes) -> _Size | None:
    """The size of each of a node's outputs; None where nothing is known of it."""
    operator, given = node.op_type, [value for value in node.inputs if value is not None]
    if operator == "Constant":
        return _constant(node)
    if operator in _KEEPS:
        size = sizes.get(given[0]) if given else None
        return size if size is None or operator == "Identity" else replace(size, content=None)
    known = [sizes[value] for value in given if value in sizes]
    if not known:
        return None
    constant = len(known) == len(given) and all(size.constant for size in known)
    if operator in _LARGEST:
        return _Size(max(size.elements for size in known), constant)
    if operator == "Concat":
        return _Size(sum(size.elements for size in known), constant)
    first, second = (sizes.get(given[index]) if index < len(given) else None for index in (0, 1))
    if operator == "ConstantOfShape" and first is not None and first.content is not None:
        return _Size(_product(first.content), True)
    if first is None or second is None or second.content is None:
        return None
    numbers = second.content
    if operator == "Tile":
        return _Size(first.elements * _product(numbers), constant)
    if operator == "Expand":
        return _Size(max(first.elements, _product(numbers)), constant)
    if operator == "Pad" and first.elements:
        half = len(numbers) // 2  # an axis whose extent is not known has one entry at least
        extents = [d if isinstance(d, int) else 1 for d in given[0].shape or ()] or [1] * half
        padded = [d + a + b for d, a, b in zip(extents, numbers[:half], numbers[half:], strict=False)]
        return _Size(max(first.elements, _product(padded)), constant)
    return None


def _constant(node: ir.Node) -> _Size | None:
    tensor, numbers = node.attributes.get("value"), node.attributes.get("value_ints")
    if numbers is not None and not numbers.is_ref() and numbers.type == ir.AttributeType.INTS:
        content = tuple(numbers.as_ints())
        return _Size(len(content), True, content)
    if tensor is None or tensor.is_ref() or tensor.type != ir.AttributeType.TENSOR:
        return None  # one of a function's caller, above all
    return _of(tensor.as_tensor())


def _of(tensor: ir.TensorProtocol | None) -> _Size:
    if tensor is None:
        return _Size(0, True)
    short = tensor.dtype == ir.DataType.INT64 and tensor.size <= _LONGEST
    return _Size(tensor.size, True, tuple(map(int, tensor.numpy().ravel())) if short else None)


def _extent(value: ir.Value) -> int:
    """Elements of one sample: free axes count as one."""
    return math.prod(d for d in value.shape or () if isinstance(d, int) and d > 0)


def _product(numbers: Iterable[int]) -> int:
    return math.prod(max(0, number) for number in numbers)
