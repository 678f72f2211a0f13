"""Sparse tensors, stored as their values other than 0 and where those lie: read as the whole tensors they stand for.

ONNX Runtime makes them whole when it loads a file, so what a device of its kind holds are all elements, zeros included.
What nfkit writes holds them whole, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx

from nfkit.errors import ModelError

MAX_ELEMENTS = 2**31
"""Elements of one whole tensor: what a few bytes of a file may ask for at most."""

_Holder = onnx.GraphProto | onnx.FunctionProto


def make_dense(proto: onnx.ModelProto, folder: str) -> onnx.ModelProto:
    """The model with whole tensors in place of sparse ones; the model itself where it has none.

    Args:
        proto: The model as read; not changed.
        folder: Where its external data is looked for.

    Raises:
        ModelError: When a sparse tensor contradicts itself; with its name.
    """
    if not any(True for holder in _holders(proto) for _ in _sparse(holder)):
        return proto
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for holder in _holders(copy):
        if isinstance(holder, onnx.GraphProto):
            holder.initializer.extend(_whole(s, s.values.name, folder) for s in holder.sparse_initializer)
            del holder.sparse_initializer[:]
        for node in holder.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.SPARSE_TENSOR and node.op_type == "Constant":
                    whole = _whole(attribute.sparse_tensor, node.output[0], folder)
                    attribute.CopyFrom(onnx.helper.make_attribute("value", whole))
    return copy


def _holders(proto: onnx.ModelProto) -> Iterator[_Holder]:
    """The main graph, the functions, and all bodies."""
    pending: list[_Holder] = [proto.graph, *proto.functions]
    while pending:
        holder = pending.pop()
        yield holder
        for node in holder.node:
            for attribute in node.attribute:
                pending.extend([attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs)


def _sparse(holder: _Holder) -> Iterator[onnx.SparseTensorProto]:
    if isinstance(holder, onnx.GraphProto):
        yield from holder.sparse_initializer
    for node in holder.node:
        if node.op_type == "Constant":
            yield from (a.sparse_tensor for a in node.attribute if a.type == onnx.AttributeProto.SPARSE_TENSOR)


def _whole(sparse: onnx.SparseTensorProto, name: str, folder: str) -> onnx.TensorProto:
    extents = [int(extent) for extent in sparse.dims]
    size = math.prod(extents)
    where = f"sparse initializer '{name}'"
    if not extents or min(extents) < 0 or size > MAX_ELEMENTS:
        raise ModelError(f"{where} has shape {extents}: store it as a plain initializer (onnx.numpy_helper.from_array)")
    values = onnx.numpy_helper.to_array(sparse.values, folder).ravel()
    places = onnx.numpy_helper.to_array(sparse.indices, folder)
    if places.ndim == 2 and places.shape[1] == len(extents):
        inside = bool(np.all((places >= 0) & (places < np.array(extents))))
        flat = np.ravel_multi_index(tuple(places.T), tuple(extents)) if inside and len(places) else places[:, 0]
    else:
        flat, inside = places.ravel(), bool(places.ndim == 1 and np.all((places >= 0) & (places < size)))
    if not inside or len(flat) != len(values):
        raise ModelError(
            f"{where} has {len(values)} values and indices of shape {list(places.shape)} for a tensor of shape "
            f"{extents}, which do not fit: export the model again, or store it as a plain initializer"
        )
    dense = np.zeros(size, values.dtype)
    dense[flat] = values
    tensor = onnx.numpy_helper.from_array(dense.reshape(extents), name)
    tensor.doc_string = sparse.values.doc_string
    return tensor
