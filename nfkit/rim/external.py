"""Tensors whose data lies beside the model: found, checked, and taken into it.

They are mapped, not read, so that a model of any size can be looked at. An array that was handed out keeps the map
open: nothing here closes it, since codes of a model are held for as long as someone measures with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

from nfkit.errors import ModelError


def set_base(model: ir.Model, folder: str) -> None:
    """Says where the data lies, for all tensors, those of functions included."""
    for tensor in external_tensors(model):
        tensor.base_dir = folder


def external_tensors(model: ir.Model) -> Iterator[ir.ExternalTensor]:
    """All tensors of a model, its bodies and functions whose data lies outside."""
    for tensor, _ in _places(model):
        if isinstance(tensor, ir.ExternalTensor):
            yield tensor


def external_files(model: ir.Model) -> list[Path]:
    """The files that hold data of the model, each once."""
    return list(dict.fromkeys(Path(tensor.path) for tensor in external_tensors(model)))


def locations(proto: onnx.ModelProto) -> list[str]:
    """The data files that a message names, each once, without building a model from it."""
    found: dict[str, None] = {}
    for tensor in _tensors(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            found.update({entry.value: None for entry in tensor.external_data if entry.key == "location"})
    return list(found)


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    pending: list[onnx.GraphProto | onnx.FunctionProto] = [proto.graph, *proto.functions]
    while pending:
        holder = pending.pop()
        if isinstance(holder, onnx.GraphProto):
            yield from holder.initializer
        for node in holder.node:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                pending += (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs)


def check_external(model: ir.Model, name: str) -> None:
    """Refuses a model whose data is missing, shorter than its tensors, or elsewhere than in the model's folder.

    Args:
        model: The model.
        name: How to call it in a message.

    Raises:
        ModelError: With the file and the first tensor that lacks data.
    """
    sizes: dict[str, int] = {}
    for tensor in external_tensors(model):
        path = tensor.path
        where = f"{name} keeps tensor '{tensor.name}' in '{path}'"
        if path not in sizes:
            if not os.path.isfile(path):
                raise ModelError(f"{where}, where there is no such file: put the model's external data beside it")
            _check_place(path, str(tensor.base_dir), where)
            sizes[path] = os.path.getsize(path)
        first, length = tensor.offset or 0, tensor.nbytes if tensor.length is None else tensor.length
        if length != tensor.nbytes or first < 0:
            raise ModelError(
                f"{where}, {length} bytes from {first} on, where its shape and type need {tensor.nbytes}: "
                "export the model again"
            )
        if first + length > sizes[path]:
            raise ModelError(
                f"{where}, up to byte {first + length}, but the file ends at {sizes[path]}: "
                "copy it again, it is not whole"
            )


def _check_place(path: str, folder: str, where: str) -> None:
    """Refuses data that is not the model's own: what a link leads to may be any file of the machine."""
    itself, inside = os.path.realpath(path), os.path.realpath(folder)
    if os.path.commonpath([itself, inside]) != inside:
        found = f"which is '{itself}', outside the model's folder"
    elif os.stat(path).st_nlink > 1:
        found = "a file that has other names elsewhere (hard links)"
    else:
        return
    raise ModelError(f"{where}, {found}: copy the model and its data into one folder, as files of their own (cp -L)")


def with_data(model: ir.Model) -> ir.Model:
    """The model, or a copy that holds what lies beside it; the tensors of the model itself stay as they are.

    Raises:
        ModelError: When the data cannot be read.
    """
    if next(external_tensors(model), None) is None:
        return model
    copy = model.clone()
    for tensor, put in _places(copy):
        if isinstance(tensor, ir.ExternalTensor):
            put(_mapped(tensor))
    return copy


def _mapped(tensor: ir.ExternalTensor) -> ir.TensorProtocol:
    try:
        array = tensor.numpy()
    except (OSError, ValueError) as error:  # also for data that lies outside the model's folder
        raise ModelError(
            f"the external data of tensor '{tensor.name}' cannot be read ({error}): put '{tensor.location}' itself, "
            "no link, into the model's folder"
        ) from error
    return ir.Tensor(array, dtype=tensor.dtype, shape=tensor.shape, name=tensor.name, doc_string=tensor.doc_string)


_Put = Callable[[ir.TensorProtocol], None]


def _places(model: ir.Model) -> Iterator[tuple[ir.TensorProtocol, _Put]]:
    """Every tensor of a model, with what puts another in its place."""
    holders: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for holder in holders:
        graphs: list[ir.Graph] = [] if isinstance(holder, ir.Function) else [holder]
        for node in holder.all_nodes():
            for attribute in list(node.attributes.values()):
                if attribute.is_ref():
                    continue
                if attribute.type == ir.AttributeType.TENSOR:
                    yield attribute.as_tensor(), _attribute_setter(node, attribute.name)
                elif attribute.type == ir.AttributeType.GRAPH:
                    graphs.append(attribute.as_graph())
                elif attribute.type == ir.AttributeType.GRAPHS:
                    graphs.extend(attribute.as_graphs())
        for graph in graphs:
            for value in graph.initializers.values():
                if value.const_value is not None:
                    yield value.const_value, _value_setter(value)


def _attribute_setter(node: ir.Node, name: str) -> _Put:
    def put(tensor: ir.TensorProtocol) -> None:
        node.attributes[name] = ir.AttrTensor(name, tensor)

    return put


def _value_setter(value: ir.Value) -> _Put:
    def put(tensor: ir.TensorProtocol) -> None:
        value.const_value = tensor

    return put
