"""Where a model stores its constant tensors, under one name each.

A file keeps constants in four places. All of them are memory, and each memory has one name, which faults are drawn
by and reports speak of:

1. an initializer of the main graph, listed as an overridable input or not, inside the file or beside it: its own name;
2. the tensor of a Constant node in the main graph: the name of the node's output;
3. either of these in the body of an If, Loop or Scan: `node.branch/name`, such as `if_1.then_branch/w`, and so on
   inwards;
4. a Constant node of a model-local function: `domain.Function/name`. It is one memory, however often the function is
   called.

Names depend on the graph alone, not on the order in which nodes are visited, except that a second memory of the same
name gets `#2` behind it. A base behind an answer stage keeps its names, though its first output then has another (see
`own_name`). Scalars count: whether a tensor is worth reporting is for the reader to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import ModelError
from nfkit.model import check_loaded

BASE_OUTPUT = "nfkit/base_output"
"""Name of a base's first output where an answer stage follows it and bears the output's own name."""


@dataclass(frozen=True)
class Stored:
    """One constant tensor of a model, and where it is kept.

    Attributes:
        name: The memory's name, unique in the model.
        value: What nodes read it as.
        holder: The graph, body or function that it lives in.
    """

    name: str
    value: ir.Value
    holder: ir.Graph | ir.Function

    @property
    def node(self) -> ir.Node | None:
        """The Constant node that holds the tensor; None for an initializer."""
        return self.value.producer()

    @property
    def tensor(self) -> ir.TensorProtocol:
        """The tensor as the file holds it.

        Raises:
            ModelError: When the file names the tensor without its content.
        """
        node = self.node
        if node is None:
            tensor = self.value.const_value
        elif "value" in node.attributes:
            tensor = node.attributes["value"].as_tensor()
        else:
            listed = constant(self.value)
            tensor = None if listed is None else ir.tensor(listed, name=self.value.name)
        if tensor is None:
            raise ModelError(f"initializer '{self.name}' has no data: load the model with its external data beside it")
        return tensor

    @property
    def dtype(self) -> ir.DataType:
        """Element type."""
        return self.tensor.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents."""
        return tuple(int(extent) for extent in self.tensor.shape.numpy())

    def array(self) -> npt.NDArray[Any]:
        """The content; types of fewer than 8 bits as arrays of one code an element.

        Raises:
            ModelError: When the file or its external data lacks the content.
        """
        try:
            return np.asarray(self.tensor.numpy())
        except (OSError, ValueError) as error:
            raise ModelError(
                f"initializer '{self.name}' cannot be read ({error}): put the model's external data beside it"
            ) from error

    def store(self, array: npt.NDArray[Any]) -> None:
        """Puts other content of the same type and shape in the tensor's place."""
        tensor = _like(self.tensor, array)
        node = self.node
        if node is None:
            self.value.const_value = tensor
        else:
            node.attributes["value"] = ir.AttrTensor("value", tensor)


def stored_tensors(model: ir.Model) -> dict[str, Stored]:
    """All constant tensors of a model by name: the main graph's initializers first, in the order of the file."""
    check_loaded(model)
    found: dict[str, Stored] = {}
    for entry in _tensors(model):
        name, count = entry.name, 1
        while name in found:
            count += 1
            name = f"{entry.name}#{count}"
        found[name] = Stored(name, entry.value, entry.holder)
    return found


def find_stored(model: ir.Model, names: Sequence[str]) -> list[Stored]:
    """The tensors of some names, in their order.

    Raises:
        ModelError: When the model has none of a name.
    """
    own = model.graph.initializers
    # They come first, so a name of theirs is theirs, and the rest need not be looked through.
    found = {n: Stored(n, own[n], model.graph) for n in names} if own.keys() >= set(names) else stored_tensors(model)
    missing = [name for name in names if name not in found]
    if missing:
        raise ModelError(f"the model stores no tensor named '{missing[0]}': nfkit inspect lists its weight sites")
    return [found[name] for name in names]


def constant(value: ir.Value) -> npt.NDArray[Any] | None:
    """What an initializer or a Constant node holds; None for anything else, and for what a caller may override.

    Unlike `onnx_ir.convenience.get_const_tensor` it leaves the names of tensors alone.
    """
    if value.is_graph_input():
        return None
    node = value.producer()
    if node is None:
        return None if value.const_value is None else np.asarray(value.const_value.numpy())
    if node.op_type != "Constant" or node.domain:
        return None
    for name, attribute in node.attributes.items():
        if attribute.is_ref() or name not in ("value", "value_float", "value_floats", "value_int", "value_ints"):
            return None
        if name == "value":
            return np.asarray(attribute.as_tensor().numpy())
        return np.asarray(attribute.value, np.float32 if "float" in name else np.int64)
    return None


def every_node(model: ir.Model) -> Iterator[ir.Node]:
    """All nodes of the main graph, of its bodies, and of the functions."""
    yield from model.graph.all_nodes()
    for function in model.functions.values():
        yield from function.all_nodes()


def own_name(value: ir.Value, graph: ir.Graph) -> str:
    """Name of a value in the file that its maker wrote, where nfkit gave it another.

    Args:
        value: The value.
        graph: The main graph.
    """
    renamed = value.name == BASE_OUTPUT and len(graph.outputs) > 0
    return str(graph.outputs[0].name if renamed else value.name)


def bodies(node: ir.Node) -> Iterator[tuple[str, ir.Graph]]:
    """The graphs that a control-flow node runs, by attribute."""
    for name, attribute in node.attributes.items():
        if attribute.type == ir.AttributeType.GRAPH:
            yield name, attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            for index, graph in enumerate(attribute.as_graphs()):
                yield f"{name}[{index}]", graph


def _tensors(model: ir.Model) -> Iterator[Stored]:
    yield from _within(model.graph, "", model.graph)
    for (domain, name, overload), function in model.functions.items():
        yield from _within(function, ".".join(part for part in (domain, name, overload) if part) + "/", model.graph)


def _within(holder: ir.Graph | ir.Function, prefix: str, main: ir.Graph) -> Iterator[Stored]:
    if isinstance(holder, ir.Graph):
        for value in holder.initializers.values():
            yield Stored(f"{prefix}{value.name}", value, holder)
    for node in holder:
        if node.op_type == "Constant" and not node.domain and _holds_tensor(node):
            yield Stored(f"{prefix}{own_name(node.outputs[0], main)}", node.outputs[0], holder)
        for branch, graph in bodies(node):
            # A branch that nfkit put around a base is none of the base's: its memories keep the names they had.
            added = str(node.name).startswith("nfkit/")
            within = prefix if added else f"{prefix}{node.name or own_name(node.outputs[0], main)}.{branch}/"
            yield from _within(graph, within, main)


def _holds_tensor(node: ir.Node) -> bool:
    # Inside a function the attribute may stand for one that the caller gives.
    return any(
        name in node.attributes and not node.attributes[name].is_ref()
        for name in ("value", "value_floats", "value_ints")
    )


def _like(old: ir.TensorProtocol, array: npt.NDArray[Any]) -> ir.TensorProtocol:
    """A tensor of other content, kept the way the file keeps the old one."""
    new = ir.tensor(array, dtype=old.dtype, name=old.name, doc_string=old.doc_string)
    if not isinstance(old, ir.TensorProtoTensor):
        return new
    proto = ir.to_proto(old)
    if proto.int32_data:
        # Codes of fewer than 8 bits are packed into bytes first, one byte an entry; floats are the bits they are of.
        word = np.uint16 if old.dtype.bitwidth == 16 else np.uint8
        whole = old.dtype.is_integer() and old.dtype.bitwidth >= 8
        entries = array if whole else np.frombuffer(new.tobytes(), word)
        proto.int32_data[:] = entries.ravel().tolist()
    else:
        proto.raw_data = new.tobytes()
    return ir.serde.deserialize_tensor(proto)
